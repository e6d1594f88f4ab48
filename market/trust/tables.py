"""Tables of trust: facts, one row per buyer and seller, one row per seller."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
)

from market.base.tables import Flag, UtcDateTime, metadata

facts = Table(
    "trust_facts",
    metadata,
    Column("subject_id", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("seller_id", String(43), nullable=False),
    Column("service_id", String(40), nullable=False),
    Column("buyer_id", String(43)),
    Column("amount_minor", BigInteger),
    Column("is_on_time", Flag),
    Column("recorded_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("subject_id", "kind"),
    Index(None, "seller_id"),
)
"""``subject_id`` is the order, or the digest of the manifest that changed a price."""

pairs = Table(
    "trust_pairs",
    metadata,
    Column("seller_id", String(43), nullable=False),
    Column("buyer_id", String(43), nullable=False),
    Column("facts", Integer, nullable=False),
    Column("settled", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("cancelled", Integer, nullable=False),
    Column("refunded", Integer, nullable=False),
    Column("reviews_good", Integer, nullable=False),
    Column("reviews_bad", Integer, nullable=False),
    PrimaryKeyConstraint("seller_id", "buyer_id"),
)

standings = Table(
    "trust_standings",
    metadata,
    Column("seller_id", String(43), primary_key=True),
    Column("good_micro", BigInteger, nullable=False),
    Column("bad_micro", BigInteger, nullable=False),
    Column("settled", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("cancelled", Integer, nullable=False),
    Column("refunded", Integer, nullable=False),
    Column("reviews_good", Integer, nullable=False),
    Column("reviews_bad", Integer, nullable=False),
    Column("on_time", Integer, nullable=False),
    Column("distinct_buyers", Integer, nullable=False),
    Column("price_changes", Integer, nullable=False),
    Column("price_raises", Integer, nullable=False),
)
