"""Subscriptions to raw streams: durable cursors that wake workers.

A subscription has at most one live wake, numbered by its generation. A link holds how far its
stream was acknowledged, and where the stream stood at the last wake. A stream that some link names
is watched; an append to it leaves a mark in ``stirred``, which outlives a crash.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and mark the streams that are watched."""
    op.add_column(
        "raw_streams",
        sa.Column("is_watched", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_index("ix_raw_streams_owner_id", "raw_streams", ["owner_id"])
    op.create_table(
        "stream_subscriptions",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("owner_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(256), nullable=False),
        sa.Column("kind", sa.String(9), nullable=False),
        sa.Column("pattern", sa.String(512), nullable=True),
        sa.Column("url", sa.Text, nullable=True),
        sa.Column("wake_path", sa.String(512), nullable=True),
        sa.Column("lease_ms", sa.Integer, nullable=False),
        sa.Column("description", sa.Text, nullable=True),
        sa.Column("form", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("wake_id", sa.String(40), nullable=True),
        sa.Column("holder", sa.String(256), nullable=True),
        sa.Column("lease_ends_at", sa.BigInteger, nullable=True),
        sa.Column("try_at", sa.BigInteger, nullable=True),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("is_slow", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stream_subscriptions"),
        sa.UniqueConstraint("owner_id", "name", name="uq_stream_subscriptions_owner_id_name"),
    )
    for column in ("lease_ends_at", "try_at"):
        op.create_index(f"ix_stream_subscriptions_{column}", "stream_subscriptions", [column])
    op.create_table(
        "subscription_links",
        sa.Column("subscription_id", sa.String(40), nullable=False),
        sa.Column("path", sa.String(512), nullable=False),
        sa.Column("stream_id", sa.String(40), nullable=True),
        sa.Column("is_explicit", sa.Integer, nullable=False),
        sa.Column("is_matched", sa.Integer, nullable=False),
        sa.Column("acked", sa.BigInteger, nullable=False),
        sa.Column("woken", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("subscription_id", "path", name="pk_subscription_links"),
    )
    for column in ("stream_id", "path"):
        op.create_index(f"ix_subscription_links_{column}", "subscription_links", [column])
    op.create_table(
        "stirred",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("stirred_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_stirred"),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("stirred", "subscription_links", "stream_subscriptions"):
        op.drop_table(table)
    op.drop_index("ix_raw_streams_owner_id", "raw_streams")
    op.drop_column("raw_streams", "is_watched")
