"""Mandates in the wire form of AP2, signed decisions, and a limit of orders per period.

Mandates that are here keep their meaning: they have no such limit, and no open checkout beside
them. A decision stands in the log, so it needs no table of its own.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and the table of closed mandates, in which nothing changes."""
    op.add_column("mandates", sa.Column("period_max_orders", sa.BigInteger, nullable=True))
    # SQLite can give an existing table a CHECK only together with a column.
    op.execute(
        "ALTER TABLE mandates ADD COLUMN period_orders BIGINT DEFAULT 0 NOT NULL "
        "CONSTRAINT ck_mandates_period_max_orders "
        "CHECK (period_orders >= 0 AND period_orders <= period_max_orders)"
    )
    op.add_column("mandates", sa.Column("principal_jwk", sa.Text, nullable=True))
    op.add_column("mandates", sa.Column("agent_kid", sa.String(43), nullable=True))
    op.add_column("mandates", sa.Column("open_checkout", sa.Text, nullable=True))
    op.create_table(
        "ap2_closed_mandates",
        sa.Column("order_id", sa.String(40), nullable=False),
        sa.Column("mandate_id", sa.String(32), nullable=False),
        sa.Column("quote_id", sa.String(40), nullable=False),
        sa.Column("payment", sa.Text, nullable=False),
        sa.Column("payment_reference", sa.String(43), nullable=False),
        sa.Column("checkout", sa.Text, nullable=False),
        sa.Column("checkout_reference", sa.String(43), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_ap2_closed_mandates"),
        sa.UniqueConstraint("quote_id", name="uq_ap2_closed_mandates_quote_id"),
    )
    op.create_index("ix_ap2_closed_mandates_mandate_id", "ap2_closed_mandates", ["mandate_id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER ap2_closed_mandates_append_only "
            "BEFORE UPDATE OR DELETE ON ap2_closed_mandates "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
    else:
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER ap2_closed_mandates_no_{act.lower()} "
                f"BEFORE {act} ON ap2_closed_mandates "
                "BEGIN SELECT RAISE(ABORT, 'ap2_closed_mandates is append-only'); END"
            )


def downgrade() -> None:
    """Drop the table, triggers included, and the columns."""
    op.drop_table("ap2_closed_mandates")
    for column in (
        "open_checkout", "agent_kid", "principal_jwk", "period_orders", "period_max_orders",
    ):  # fmt: skip
        op.drop_column("mandates", column)
