"""Disputes, refunds in parts, and orders that are delivered again.

A refund is now one of several: those that were made get their row, with what the house gave back.
An order without a price may be there only to deliver another again, over the same quote; so a
quote is used once among the orders that are paid for.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_PAID = "amount_minor > 0"
_PAID_OR_REDO = "amount_minor > 0 OR (amount_minor = 0 AND redo_of IS NOT NULL)"
_OWED = "owed_minor >= 0 AND refunded_minor + owed_minor <= captured_minor"
_RULES = {
    "CONSTRAINT uq_orders_quote_id UNIQUE (quote_id)": (
        f"CONSTRAINT ck_orders_owed_within_the_capture CHECK ({_OWED})"
    ),
    f"CONSTRAINT ck_orders_amount_above_zero CHECK ({_PAID})": (
        f"CONSTRAINT ck_orders_amount_above_zero CHECK ({_PAID_OR_REDO})"
    ),
}
"""The table's rules as they were, and what stands in their place."""

_ADDED = ("redo_of", "redo_id", "dispute_id", "rejected", "refunds", "owed_minor")
_KEEP_REFUNDS = """
INSERT INTO order_refunds (order_id, number, amount_minor, fee_minor, cause, dispute_id,
                           receipt_id, transaction_id, refunded_at)
SELECT orders.id, 1, orders.refunded_minor, orders.fee_minor, 'support', NULL,
       orders.receipt_id, transactions.id, transactions.recorded_at
FROM orders JOIN transactions ON transactions.idempotency_key = orders.id || '\\:refund'
WHERE orders.refunded_minor > 0
"""


def upgrade() -> None:
    """Create the tables, open the orders to redos, and keep the refunds that there are."""
    op.create_table(
        "order_refunds",
        sa.Column("order_id", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("fee_minor", sa.BigInteger, nullable=False),
        sa.Column("cause", sa.String(12), nullable=False),
        sa.Column("dispute_id", sa.String(40), nullable=True),
        sa.Column("receipt_id", sa.String(40), nullable=False),
        sa.Column("transaction_id", sa.String(40), nullable=False),
        sa.Column("refunded_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("order_id", "number", name="pk_order_refunds"),
        sa.UniqueConstraint("transaction_id", name="uq_order_refunds_transaction_id"),
        sa.CheckConstraint("amount_minor > 0", name="ck_order_refunds_amount_above_zero"),
    )
    op.create_table(
        "disputes",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("order_id", sa.String(40), nullable=False),
        sa.Column("session_id", sa.String(40), nullable=False),
        sa.Column("buyer_id", sa.String(64), nullable=False),
        sa.Column("seller_id", sa.String(64), nullable=False),
        sa.Column("opened_by", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("claim_minor", sa.BigInteger, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("answer", sa.String(12), nullable=True),
        sa.Column("answer_detail", sa.Text, nullable=False),
        sa.Column("answer_evidence", sa.Text, nullable=False),
        sa.Column("conceded_minor", sa.BigInteger, nullable=False),
        sa.Column("decided_by", sa.String(12), nullable=True),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("refund_minor", sa.BigInteger, nullable=False),
        sa.Column("refunded_minor", sa.BigInteger, nullable=False),
        sa.Column("owed_minor", sa.BigInteger, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=True),
        sa.Column("answered_at", sa.BigInteger, nullable=True),
        sa.Column("resolved_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_disputes"),
        sa.CheckConstraint(
            "claim_minor >= 0 AND conceded_minor >= 0 AND conceded_minor <= claim_minor "
            "AND refund_minor = refunded_minor + owed_minor AND refunded_minor >= 0 "
            "AND owed_minor >= 0",
            name="ck_disputes_parts_of_the_refund",
        ),
    )
    op.create_index("ix_disputes_order_id", "disputes", ["order_id"])
    op.create_index("ix_disputes_buyer_id_id", "disputes", ["buyer_id", "id"])
    op.create_index("ix_disputes_seller_id_id", "disputes", ["seller_id", "id"])
    op.create_index("ix_disputes_due_at", "disputes", ["due_at"])
    is_open = sa.text("state <> 'resolved'")
    op.create_index(
        "ux_disputes_open", "disputes", ["order_id"],
        unique=True, sqlite_where=is_open, postgresql_where=is_open,
    )  # fmt: skip
    for column in ("redo_of", "redo_id", "dispute_id"):
        op.add_column("orders", sa.Column(column, sa.String(40), nullable=True))
    for column in ("rejected", "refunds", "owed_minor"):
        added = sa.Column(column, sa.BigInteger, nullable=False, server_default="0")
        op.add_column("orders", added)
    _change_orders(is_upgrade=True)
    is_redo = sa.text("redo_of IS NOT NULL")
    is_paid = sa.text("redo_of IS NULL")
    is_owed = sa.text("owed_minor > 0")
    for name, column, where, is_unique in (
        ("ux_orders_quote_id", "quote_id", is_paid, True),
        ("ix_orders_redo_of", "redo_of", is_redo, False),
        ("ix_orders_owed", "id", is_owed, False),
    ):
        op.create_index(
            name, "orders", [column],
            unique=is_unique, sqlite_where=where, postgresql_where=where,
        )  # fmt: skip
    op.execute("UPDATE orders SET refunds = 1 WHERE refunded_minor > 0")
    op.execute(_KEEP_REFUNDS)


def downgrade() -> None:
    """Remove them all. Redos have no money: they go, with their chunks and receipts."""
    for table, column in (
        ("order_chunks", "order_id"), ("receipts", "order_id"), ("order_controls", "order_id"),
    ):  # fmt: skip
        op.execute(
            f"DELETE FROM {table} WHERE {column} IN "
            "(SELECT id FROM orders WHERE redo_of IS NOT NULL)"
        )
    op.execute("DELETE FROM orders WHERE redo_of IS NOT NULL")
    for index in ("ux_orders_quote_id", "ix_orders_redo_of", "ix_orders_owed"):
        op.drop_index(index, "orders")
    _change_orders(is_upgrade=False)
    op.drop_table("disputes")
    op.drop_table("order_refunds")


def _change_orders(*, is_upgrade: bool) -> None:
    """Change the rules of the orders' table that rest on redos and on what is owed."""
    if op.get_bind().dialect.name == "sqlite":
        _make_orders_anew(_RULES if is_upgrade else {new: old for old, new in _RULES.items()})
    elif is_upgrade:
        op.drop_constraint("ck_orders_amount_above_zero", "orders", type_="check")
        op.drop_constraint("uq_orders_quote_id", "orders", type_="unique")
        op.create_check_constraint("ck_orders_amount_above_zero", "orders", _PAID_OR_REDO)
        op.create_check_constraint("ck_orders_owed_within_the_capture", "orders", _OWED)
    else:
        op.drop_constraint("ck_orders_owed_within_the_capture", "orders", type_="check")
        op.drop_constraint("ck_orders_amount_above_zero", "orders", type_="check")
        op.create_unique_constraint("uq_orders_quote_id", "orders", ["quote_id"])
        op.create_check_constraint("ck_orders_amount_above_zero", "orders", _PAID)
    if not is_upgrade:
        for column in _ADDED:
            op.drop_column("orders", column)


def _make_orders_anew(rules: dict[str, str]) -> None:
    """Change what SQLite cannot change of a table that is there: a new one takes rows and name."""
    bind = op.get_bind()
    made = sa.text("SELECT sql FROM sqlite_master WHERE type = :kind AND tbl_name = 'orders'")
    [table] = bind.execute(made, {"kind": "table"}).scalars()
    indexes = [sql for sql in bind.execute(made, {"kind": "index"}).scalars() if sql]
    head, bracket, body = table.partition("(")
    for old, new in rules.items():
        assert old in body, f"the table has no rule {old!r}"
        body = body.replace(old, new)
    columns = ", ".join(f'"{column["name"]}"' for column in sa.inspect(bind).get_columns("orders"))
    bind.exec_driver_sql(head.replace("orders", "orders_anew") + bracket + body)
    bind.exec_driver_sql(f"INSERT INTO orders_anew ({columns}) SELECT {columns} FROM orders")
    bind.exec_driver_sql("DROP TABLE orders")
    bind.exec_driver_sql("ALTER TABLE orders_anew RENAME TO orders")
    for index in indexes:
        bind.exec_driver_sql(index)
