"""Signed reviews, one for each order: the unique key is what makes a second one impossible."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "reviews",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("order_id", sa.String(40), nullable=False),
        sa.Column("receipt_id", sa.String(40), nullable=False),
        sa.Column("service_id", sa.String(40), nullable=False),
        sa.Column("seller_id", sa.String(43), nullable=False),
        sa.Column("buyer_id", sa.String(43), nullable=False),
        sa.Column("verdict", sa.String(8), nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("posted_at", sa.BigInteger, nullable=False),
        sa.Column("commitment", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
        sa.UniqueConstraint("order_id", name="uq_reviews_order_id"),
        sa.CheckConstraint("verdict IN ('good', 'bad')", name="ck_reviews_verdict_known"),
    )
    op.create_index("ix_reviews_service_id_id", "reviews", ["service_id", "id"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("reviews")
