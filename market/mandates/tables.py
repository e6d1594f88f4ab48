"""Mandates with the counters of what was spent under them."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from market.base.tables import JsonText, UtcDateTime, metadata

mandates = Table(
    "mandates",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("principal_id", String(43), nullable=False),
    Column("buyer_id", String(43), nullable=False, index=True),
    Column("jti", String(64), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("limits", JsonText, nullable=False),
    Column("mandate", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("revoked_by", String(43)),
    Column("revocation_reason", Text),
    Column("budget_minor", BigInteger),
    Column("period_budget_minor", BigInteger),
    Column("period_seconds", BigInteger),
    Column("max_orders", BigInteger),
    Column("period_max_orders", BigInteger),
    Column("spent_minor", BigInteger, nullable=False),
    Column("period", BigInteger, nullable=False),
    Column("period_spent_minor", BigInteger, nullable=False),
    Column("orders", BigInteger, nullable=False),
    Column("period_orders", BigInteger, nullable=False, server_default="0"),
    Column("principal_jwk", JsonText),
    Column("agent_kid", String(43)),
    Column("open_checkout", Text),
    UniqueConstraint("principal_id", "jti"),
    CheckConstraint("spent_minor >= 0 AND spent_minor <= budget_minor", name="budget"),
    CheckConstraint(
        "period_spent_minor >= 0 AND period_spent_minor <= period_budget_minor",
        name="period_budget",
    ),
    CheckConstraint("orders >= 0 AND orders <= max_orders", name="max_orders"),
    CheckConstraint(
        "period_orders >= 0 AND period_orders <= period_max_orders", name="period_max_orders"
    ),
)
"""One row per mandate. ``mandate`` is the principal's signed text; ``limits`` are in it too, and
those that are counted against stand in columns (null: no limit, and its CHECK passes). ``period``
is the number of the window, from 0 at ``created_at``, that ``period_spent_minor`` and
``period_orders`` belong to.

A mandate in the wire form of AP2 has ``agent_kid``, the buyer's key that may close it, and
``principal_jwk``, the key that signed it and the ``open_checkout`` mandate that may stand beside
it.
"""

closed = Table(
    "ap2_closed_mandates",
    metadata,
    Column("order_id", String(40), primary_key=True),
    Column("mandate_id", String(32), nullable=False, index=True),
    Column("quote_id", String(40), nullable=False, unique=True),
    Column("payment", Text, nullable=False),
    Column("payment_reference", String(43), nullable=False),
    Column("checkout", Text, nullable=False),
    Column("checkout_reference", String(43), nullable=False),
)
"""One row per order under an AP2 mandate: the chains that closed it, as they were sent, and the
hashes by which receipts refer to them. ``checkout`` is the bare checkout where the principal gave
no open checkout mandate. A quote is closed over once, so no closed mandate serves two orders.
"""
