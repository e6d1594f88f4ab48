"""Orders, their chunks, receipts and interventions.

The checks restate what the verbs guarantee: no order pays out more than it holds.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "orders",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("session_id", sa.String(40), nullable=False),
        sa.Column("quote_id", sa.String(40), nullable=False),
        sa.Column("quote_digest", sa.String(64), nullable=False),
        sa.Column("input_digest", sa.String(64), nullable=False),
        sa.Column("service_id", sa.String(40), nullable=False),
        sa.Column("slug", sa.String(64), nullable=False),
        sa.Column("manifest_digest", sa.String(64), nullable=False),
        sa.Column("buyer_id", sa.String(64), nullable=False),
        sa.Column("principal_id", sa.String(64), nullable=True),
        sa.Column("seller_id", sa.String(64), nullable=False),
        sa.Column("mandate_id", sa.String(40), nullable=True),
        sa.Column("escrow_id", sa.String(40), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("is_paused", sa.Integer, nullable=False),
        sa.Column("paused_at", sa.BigInteger, nullable=True),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("price_per", sa.String(8), nullable=False),
        sa.Column("units", sa.BigInteger, nullable=False),
        sa.Column("units_delivered", sa.BigInteger, nullable=False),
        sa.Column("max_chunks", sa.BigInteger, nullable=False),
        sa.Column("chunks_delivered", sa.BigInteger, nullable=False),
        sa.Column("delivery_digest", sa.String(64), nullable=False),
        sa.Column("captured_minor", sa.BigInteger, nullable=False),
        sa.Column("fee_minor", sa.BigInteger, nullable=False),
        sa.Column("returned_minor", sa.BigInteger, nullable=False),
        sa.Column("refunded_minor", sa.BigInteger, nullable=False),
        sa.Column("refund_policy", sa.String(20), nullable=False),
        sa.Column("refund_window_seconds", sa.BigInteger, nullable=False),
        sa.Column("deliver_seconds", sa.BigInteger, nullable=False),
        sa.Column("first_offset", sa.BigInteger, nullable=False),
        sa.Column("commitment", sa.Text, nullable=False),
        sa.Column("delivery_commitment", sa.Text, nullable=True),
        sa.Column("placed_at", sa.BigInteger, nullable=False),
        sa.Column("deliver_by", sa.BigInteger, nullable=False),
        sa.Column("accept_by", sa.BigInteger, nullable=True),
        sa.Column("due_at", sa.BigInteger, nullable=True),
        sa.Column("ended_at", sa.BigInteger, nullable=True),
        sa.Column("receipt_id", sa.String(40), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
        sa.UniqueConstraint("quote_id", name="uq_orders_quote_id"),
        sa.CheckConstraint("amount_minor > 0", name="ck_orders_amount_above_zero"),
        sa.CheckConstraint("units_delivered <= units", name="ck_orders_units_within_the_quote"),
        sa.CheckConstraint(
            "captured_minor >= 0 AND fee_minor >= 0 AND fee_minor <= captured_minor "
            "AND returned_minor >= 0 AND captured_minor + returned_minor <= amount_minor "
            "AND refunded_minor >= 0 AND refunded_minor <= captured_minor",
            name="ck_orders_parts_within_the_hold",
        ),
    )
    op.create_index("ix_orders_buyer_id_id", "orders", ["buyer_id", "id"])
    op.create_index("ix_orders_due_at", "orders", ["due_at"])
    op.create_index("ix_orders_seller_id_id", "orders", ["seller_id", "id"])
    op.create_index("ix_orders_service_id_buyer_id", "orders", ["service_id", "buyer_id"])
    op.create_index("ix_orders_session_id", "orders", ["session_id"])
    op.create_table(
        "order_chunks",
        sa.Column("order_id", sa.String(40), nullable=False),
        sa.Column("chunk", sa.BigInteger, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("units", sa.BigInteger, nullable=False),
        sa.Column("units_delivered", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("delivered_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("order_id", "chunk", name="pk_order_chunks"),
    )
    op.create_table(
        "receipts",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("order_id", sa.String(40), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("issued_at", sa.BigInteger, nullable=False),
        sa.Column("receipt", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_receipts"),
    )
    op.create_index("ix_receipts_order_id", "receipts", ["order_id"])
    op.create_table(
        "order_controls",
        sa.Column("session_id", sa.String(40), nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("order_id", sa.String(40), nullable=False),
        sa.Column("action", sa.String(12), nullable=False),
        sa.Column("requested_by", sa.String(64), nullable=False),
        sa.Column("answer", sa.String(12), nullable=True),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("answer_by", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("session_id", "offset", name="pk_order_controls"),
    )
    op.create_index("ix_order_controls_answer_by", "order_controls", ["answer_by"])


def downgrade() -> None:
    """Drop them."""
    for table in ("order_controls", "receipts", "order_chunks", "orders"):
        op.drop_table(table)
