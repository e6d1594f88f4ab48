"""Signed recommendations, and the agents told: each of them once on the strength of a receipt."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "recommendations",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("receipt_id", sa.String(40), nullable=False),
        sa.Column("order_id", sa.String(40), nullable=False),
        sa.Column("service_id", sa.String(40), nullable=False),
        sa.Column("slug", sa.String(48), nullable=False),
        sa.Column("from_id", sa.String(43), nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("sent_at", sa.BigInteger, nullable=False),
        sa.Column("commitment", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_recommendations"),
    )
    op.create_index("ix_recommendations_from_id_id", "recommendations", ["from_id", "id"])
    op.create_table(
        "recommendation_recipients",
        sa.Column("receipt_id", sa.String(40), nullable=False),
        sa.Column("recipient_id", sa.String(43), nullable=False),
        sa.Column("recommendation_id", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("receipt_id", "recipient_id", name="pk_recommendation_recipients"),
    )
    op.create_index(
        "ix_recommendation_recipients_recommendation_id",
        "recommendation_recipients",
        ["recommendation_id"],
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("recommendation_recipients")
    op.drop_table("recommendations")
