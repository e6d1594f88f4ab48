"""Tables of the orders room."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy import literal_column as literal

from market.base.tables import Flag, JsonText, UtcDateTime, metadata

orders = Table(
    "orders",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("session_id", String(40), nullable=False),
    Column("quote_id", String(40), nullable=False),
    Column("quote_digest", String(64), nullable=False),
    Column("input_digest", String(64), nullable=False),
    Column("service_id", String(40), nullable=False),
    Column("slug", String(64), nullable=False),
    Column("manifest_digest", String(64), nullable=False),
    Column("buyer_id", String(64), nullable=False),
    Column("principal_id", String(64), nullable=True),
    Column("seller_id", String(64), nullable=False),
    Column("mandate_id", String(40), nullable=True),
    Column("escrow_id", String(40), nullable=False),
    Column("state", String(20), nullable=False),
    Column("is_paused", Flag, nullable=False),
    Column("paused_at", UtcDateTime, nullable=True),
    Column("paused_by", String(12), nullable=True),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("price_per", String(8), nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("units_delivered", BigInteger, nullable=False),
    Column("max_chunks", BigInteger, nullable=False),
    Column("chunks_delivered", BigInteger, nullable=False),
    Column("delivery_digest", String(64), nullable=False),
    Column("captured_minor", BigInteger, nullable=False),
    Column("fee_minor", BigInteger, nullable=False),
    Column("returned_minor", BigInteger, nullable=False),
    Column("refunded_minor", BigInteger, nullable=False),
    Column("refund_policy", String(20), nullable=False),
    Column("refund_window_seconds", BigInteger, nullable=False),
    Column("deliver_seconds", BigInteger, nullable=False),
    Column("first_offset", BigInteger, nullable=False),
    Column("commitment", Text, nullable=False),
    Column("delivery_commitment", Text, nullable=True),
    Column("placed_at", UtcDateTime, nullable=False),
    Column("deliver_by", UtcDateTime, nullable=False),
    Column("accept_by", UtcDateTime, nullable=True),
    Column("due_at", UtcDateTime, nullable=True),
    Column("lease_until", UtcDateTime, nullable=True),
    Column("fails_at", UtcDateTime, nullable=True),
    Column("ended_at", UtcDateTime, nullable=True),
    Column("receipt_id", String(40), nullable=True),
    Column("gate", String(12), nullable=True),
    Column("redo_of", String(40), nullable=True),
    Column("redo_id", String(40), nullable=True),
    Column("dispute_id", String(40), nullable=True),
    Column("rejected", BigInteger, nullable=False, server_default="0"),
    Column("refunds", BigInteger, nullable=False, server_default="0"),
    Column("owed_minor", BigInteger, nullable=False, server_default="0"),
    Column("terms", Text, nullable=True),
    Column("referral_basis_points", Integer, nullable=False),
    Column("referrer_id", String(64), nullable=True),
    Column("recommendation_id", String(40), nullable=True),
    Column("referral_minor", BigInteger, nullable=False),
    Column("captures", Integer, nullable=False),
    CheckConstraint(
        "amount_minor > 0 OR (amount_minor = 0 AND redo_of IS NOT NULL)", name="amount_above_zero"
    ),
    CheckConstraint(
        "owed_minor >= 0 AND refunded_minor + owed_minor <= captured_minor",
        name="owed_within_the_capture",
    ),
    CheckConstraint(
        "captured_minor >= 0 AND fee_minor >= 0 AND fee_minor <= captured_minor "
        "AND returned_minor >= 0 AND captured_minor + returned_minor <= amount_minor "
        "AND refunded_minor >= 0 AND refunded_minor <= captured_minor",
        name="parts_within_the_hold",
    ),
    CheckConstraint("units_delivered <= units", name="units_within_the_quote"),
    Index("ix_orders_buyer_id_id", "buyer_id", "id"),
    Index("ix_orders_seller_id_id", "seller_id", "id"),
    Index("ix_orders_session_id", "session_id"),
    Index("ix_orders_service_id_buyer_id", "service_id", "buyer_id"),
    Index("ix_orders_due_at", "due_at"),
)
"""``redo_of``: the order that this one delivers again, at no price. ``redo_id`` and ``dispute_id``:
its redo, its dispute that is open now. ``rejected``: refused parts of the delivery.
"""

Index(
    "ux_orders_quote_id", orders.c.quote_id, unique=True,
    sqlite_where=orders.c.redo_of.is_(None), postgresql_where=orders.c.redo_of.is_(None),
)  # fmt: skip
Index(
    "ix_orders_awaiting_approval", orders.c.principal_id, orders.c.id,
    sqlite_where=orders.c.state == literal("'awaiting_approval'"),
    postgresql_where=orders.c.state == literal("'awaiting_approval'"),
)  # fmt: skip
Index(
    "ix_orders_redo_of", orders.c.redo_of,
    sqlite_where=orders.c.redo_of.is_not(None), postgresql_where=orders.c.redo_of.is_not(None),
)  # fmt: skip
Index(
    "ix_orders_owed", orders.c.id,
    sqlite_where=orders.c.owed_minor > literal("0"),
    postgresql_where=orders.c.owed_minor > literal("0"),
)  # fmt: skip

refunds = Table(
    "order_refunds",
    metadata,
    Column("order_id", String(40), nullable=False),
    Column("number", Integer, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("fee_minor", BigInteger, nullable=False),
    Column("cause", String(12), nullable=False),
    Column("dispute_id", String(40), nullable=True),
    Column("receipt_id", String(40), nullable=False),
    Column("transaction_id", String(40), nullable=False),
    Column("refunded_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("order_id", "number"),
    UniqueConstraint("transaction_id"),
    CheckConstraint("amount_minor > 0", name="amount_above_zero"),
)
"""One row per part of a payment that went back, numbered from 1. ``fee_minor`` of it came from the
house.
"""

disputes = Table(
    "disputes",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("order_id", String(40), nullable=False, index=True),
    Column("session_id", String(40), nullable=False),
    Column("buyer_id", String(64), nullable=False),
    Column("seller_id", String(64), nullable=False),
    Column("opened_by", String(64), nullable=False),
    Column("reason", String(20), nullable=False),
    Column("detail", Text, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("claim_minor", BigInteger, nullable=False),
    Column("evidence", JsonText, nullable=False),
    Column("state", String(12), nullable=False),
    Column("answer", String(12), nullable=True),
    Column("answer_detail", Text, nullable=False),
    Column("answer_evidence", JsonText, nullable=False),
    Column("conceded_minor", BigInteger, nullable=False),
    Column("decided_by", String(12), nullable=True),
    Column("decision", Text, nullable=False),
    Column("refund_minor", BigInteger, nullable=False),
    Column("refunded_minor", BigInteger, nullable=False),
    Column("owed_minor", BigInteger, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=True),
    Column("answered_at", UtcDateTime, nullable=True),
    Column("resolved_at", UtcDateTime, nullable=True),
    CheckConstraint(
        "claim_minor >= 0 AND conceded_minor >= 0 AND conceded_minor <= claim_minor "
        "AND refund_minor = refunded_minor + owed_minor AND refunded_minor >= 0 "
        "AND owed_minor >= 0",
        name="parts_of_the_refund",
    ),
    Index("ix_disputes_buyer_id_id", "buyer_id", "id"),
    Index("ix_disputes_seller_id_id", "seller_id", "id"),
    Index("ix_disputes_due_at", "due_at"),
)

Index(
    "ux_disputes_open", disputes.c.order_id, unique=True,
    sqlite_where=disputes.c.state != literal("'resolved'"),
    postgresql_where=disputes.c.state != literal("'resolved'"),
)  # fmt: skip

chunks = Table(
    "order_chunks",
    metadata,
    Column("order_id", String(40), nullable=False),
    Column("chunk", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("units_delivered", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("delivered_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("order_id", "chunk"),
)

receipts = Table(
    "receipts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("order_id", String(40), nullable=False, index=True),
    Column("outcome", String(20), nullable=False),
    Column("issued_at", UtcDateTime, nullable=False),
    Column("receipt", Text, nullable=False),
)

referrals = Table(
    "order_referrals",
    metadata,
    Column("buyer_id", String(64), nullable=False),
    Column("service_id", String(40), nullable=False),
    Column("referrer_id", String(64), nullable=False),
    Column("recommendation_id", String(40), nullable=False),
    Column("told_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("buyer_id", "service_id"),
)
"""Who told a buyer of a service, as the recommendations room says."""

controls = Table(
    "order_controls",
    metadata,
    Column("session_id", String(40), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("order_id", String(40), nullable=False),
    Column("action", String(12), nullable=False),
    Column("requested_by", String(64), nullable=False),
    Column("answer", String(12), nullable=True),
    Column("detail", Text, nullable=False),
    Column("answer_by", UtcDateTime, nullable=True),
    PrimaryKeyConstraint("session_id", "offset"),
    Index("ix_order_controls_answer_by", "answer_by"),
)
