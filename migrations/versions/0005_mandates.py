"""Mandates with their counters, so that parallel orders never spend more than was allowed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table. A limit that is null does not limit: its CHECK passes."""
    op.create_table(
        "mandates",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("principal_id", sa.String(43), nullable=False),
        sa.Column("buyer_id", sa.String(43), nullable=False),
        sa.Column("jti", sa.String(64), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("limits", sa.Text, nullable=False),
        sa.Column("mandate", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("revoked_by", sa.String(43)),
        sa.Column("revocation_reason", sa.Text),
        sa.Column("budget_minor", sa.BigInteger),
        sa.Column("period_budget_minor", sa.BigInteger),
        sa.Column("period_seconds", sa.BigInteger),
        sa.Column("max_orders", sa.BigInteger),
        sa.Column("spent_minor", sa.BigInteger, nullable=False),
        sa.Column("period", sa.BigInteger, nullable=False),
        sa.Column("period_spent_minor", sa.BigInteger, nullable=False),
        sa.Column("orders", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mandates"),
        sa.UniqueConstraint("principal_id", "jti", name="uq_mandates_principal_id_jti"),
        sa.CheckConstraint(
            "spent_minor >= 0 AND spent_minor <= budget_minor", name="ck_mandates_budget"
        ),
        sa.CheckConstraint(
            "period_spent_minor >= 0 AND period_spent_minor <= period_budget_minor",
            name="ck_mandates_period_budget",
        ),
        sa.CheckConstraint("orders >= 0 AND orders <= max_orders", name="ck_mandates_max_orders"),
    )
    op.create_index("ix_mandates_buyer_id", "mandates", ["buyer_id"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("mandates")
