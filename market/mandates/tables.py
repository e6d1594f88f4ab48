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
    Column("spent_minor", BigInteger, nullable=False),
    Column("period", BigInteger, nullable=False),
    Column("period_spent_minor", BigInteger, nullable=False),
    Column("orders", BigInteger, nullable=False),
    UniqueConstraint("principal_id", "jti"),
    CheckConstraint("spent_minor >= 0 AND spent_minor <= budget_minor", name="budget"),
    CheckConstraint(
        "period_spent_minor >= 0 AND period_spent_minor <= period_budget_minor",
        name="period_budget",
    ),
    CheckConstraint("orders >= 0 AND orders <= max_orders", name="max_orders"),
)
"""One row per mandate. ``mandate`` is the principal's signed text; ``limits`` are in it too, and
those that are counted against stand in columns (null: no limit, and its CHECK passes). ``period``
is the number of the window, from 0 at ``created_at``, that ``period_spent_minor`` belongs to.
"""
