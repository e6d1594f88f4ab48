"""Tables of trust: facts, pairs, standings; the batches with what they fixed; the anchors' acts."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    select,
)

from market.base.tables import Flag, JsonText, UtcDateTime, metadata
from market.trust.scoring import Standing

_number = BigInteger().with_variant(Integer(), "sqlite")

facts = Table(
    "trust_facts",
    metadata,
    Column("number", _number, Identity(), primary_key=True),
    Column("subject_id", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("seller_id", String(43), nullable=False),
    Column("service_id", String(40), nullable=False),
    Column("buyer_id", String(43)),
    Column("amount_minor", BigInteger),
    Column("currency", String(3)),
    Column("is_on_time", Flag),
    Column("is_own", Flag, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    UniqueConstraint("subject_id", "kind", "version"),
    Index("ix_trust_facts_seller_id_number", "seller_id", "number"),
)
"""One row per fact, never changed. ``subject_id`` is the order, or the digest of the manifest that
changed a price; of the reviews of an order, and of its refunds, the one with the highest version
counts.
"""

pairs = Table(
    "trust_pairs",
    metadata,
    Column("seller_id", String(43), nullable=False),
    Column("buyer_id", String(43), nullable=False),
    Column("facts", Integer, nullable=False),
    Column("good_micro", BigInteger, nullable=False),
    Column("bad_micro", BigInteger, nullable=False),
    PrimaryKeyConstraint("seller_id", "buyer_id"),
)
"""One row per buyer and seller: the evidence of its orders, aged to the day of the batch."""

standings = Table(
    "trust_standings",
    metadata,
    Column("seller_id", String(43), primary_key=True),
    *[Column(name, BigInteger, nullable=False) for name in Standing._fields],
)
"""One row per seller: its ``Standing``."""

sellers = Table(
    "trust_sellers",
    metadata,
    Column("seller_id", String(43), primary_key=True),
    Column("vouched_micro", BigInteger, nullable=False),
    Column("anchor_voices", Integer, nullable=False),
    Column("vouched_voices", Integer, nullable=False),
    Column("crowd_voices", Integer, nullable=False),
    Column("anchor_weight", BigInteger, nullable=False),
    Column("vouched_weight", BigInteger, nullable=False),
    Column("crowd_weight", BigInteger, nullable=False),
    Column("calibration_micro", BigInteger, nullable=False),
    Column("is_ringed", Flag, nullable=False),
)
"""One row per seller: what the current batch found out about it beside its standing."""

buyers = Table(
    "trust_buyers",
    metadata,
    Column("buyer_id", String(43), primary_key=True),
    Column("vouched_micro", BigInteger, nullable=False),
    Column("crowd_micro", BigInteger, nullable=False),
    Column("calibration_micro", BigInteger, nullable=False),
    Column("spend_micro", BigInteger, nullable=False),
    Column("is_anchor", Flag, nullable=False),
)
"""One row per buyer: what its word weighs, as the current batch has it."""

batches = Table(
    "trust_batches",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("parameters", Integer, nullable=False),
    Column("reference_at", UtcDateTime, nullable=False),
    Column("reference_day", Integer, nullable=False),
    Column("last_fact", BigInteger, nullable=False),
    Column("facts", BigInteger, nullable=False),
    Column("last_act", BigInteger, nullable=False),
    Column("anchors", JsonText, nullable=False),
)
"""One row per batch; the one with the highest number is current."""

current_batch = select(batches).order_by(batches.c.number.desc()).limit(1)
"""The current batch, for statements of this room; no row before the first."""

parameters = Table(
    "trust_parameters",
    metadata,
    Column("version", Integer, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("typical_minor", BigInteger, nullable=False),
    Column("rule", String(32), nullable=False),
    Column("set_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("version", "currency"),
)
"""One row per version and currency: what a typical order costs."""

anchors = Table(
    "trust_anchors",
    metadata,
    Column("number", _number, Identity(), primary_key=True),
    Column("buyer_id", String(43), nullable=False, index=True),
    Column("act", String(16), nullable=False),
    Column("overseer_id", String(43), nullable=False),
    Column("reason", Text, nullable=False),
    Column("acted_at", UtcDateTime, nullable=False),
    CheckConstraint("act IN ('proposed', 'confirmed', 'revoked')", name="act_known"),
)
"""One row per act, never changed; the latest of a buyer tells whether it is an anchor."""

rings = Table(
    "trust_rings",
    metadata,
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("ring", JsonText, nullable=False),
)
"""One row per group that the current batch found, the most suspicious first."""
