"""Tables of the catalog: services, the versions of their manifests, quotes, counter-offers.

The full-text index ``services_fts`` is kept by triggers of the database over the three ``*_words``
columns of ``services`` (FTS5 on SQLite, a tsvector on PostgreSQL); it is no table of ours to write.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from market.base.tables import JsonText, UtcDateTime, metadata

services = Table(
    "services",
    metadata,
    Column("number", BigInteger().with_variant(Integer(), "sqlite"), Identity(), primary_key=True),
    Column("id", String(40), nullable=False),
    Column("slug", String(48), nullable=False),
    Column("seller_id", String(43), nullable=False),
    Column("seller_handle", String(48), nullable=False),
    Column("seller_principal_id", String(43)),
    Column("state", String(16), nullable=False),
    Column("version", String(32), nullable=False),
    Column("manifest_digest", String(43), nullable=False),
    Column("summary", Text, nullable=False),
    Column("tags", JsonText, nullable=False),
    Column("price_per", String(8), nullable=False),
    Column("unit", Text),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("p95_ms", Integer, nullable=False),
    Column("refund", String(32), nullable=False),
    Column("named_words", Text, nullable=False),
    Column("summary_words", Text, nullable=False),
    Column("prose_words", Text, nullable=False),
    Column("published_at", UtcDateTime, nullable=False),
    Column("price_until", UtcDateTime),
    UniqueConstraint("id"),
    UniqueConstraint("slug"),
    CheckConstraint("state IN ('listed', 'withdrawn', 'suspended')", name="state_known"),
    CheckConstraint("amount_minor > 0", name="amount_above_zero"),
    Index(None, "seller_id"),
)
"""One row per service: what its current version offers. ``number`` is the place in the index."""

manifests = Table(
    "manifests",
    metadata,
    Column("digest", String(43), primary_key=True),
    Column("service_id", String(40), nullable=False),
    Column("version", String(32), nullable=False),
    Column("manifest", JsonText, nullable=False),
    Column("jws", Text, nullable=False),
    Column("published_at", UtcDateTime, nullable=False),
    Index(None, "service_id"),
)
"""One row per published version, for ever: append-only by trigger."""

quotes = Table(
    "quotes",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("service_id", String(40), nullable=False),
    Column("slug", String(48), nullable=False),
    Column("seller_id", String(43), nullable=False),
    Column("buyer_id", String(43), nullable=False),
    Column("manifest_digest", String(43), nullable=False),
    Column("input", JsonText, nullable=False),
    Column("input_digest", String(43), nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("price_per", String(8), nullable=False),
    Column("deliver_seconds", Integer, nullable=False),
    Column("max_chunks", Integer, nullable=False),
    Column("tags", JsonText, nullable=False),
    Column("refund", String(32), nullable=False),
    Column("refund_window_seconds", Integer, nullable=False),
    Column("digest", String(43), nullable=False),
    Column("quote", Text, nullable=False),
    Column("quoted_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("redeemed_at", UtcDateTime),
    Column("terms", Text),
    Column("referral_basis_points", Integer, nullable=False),
    Column("origin_id", String(40)),
    Column("root_id", String(40)),
    CheckConstraint("amount_minor > 0", name="amount_above_zero"),
    CheckConstraint("units > 0", name="units_above_zero"),
    Index(
        "ix_quotes_buyer_id_unused",
        "buyer_id",
        sqlite_where=text("redeemed_at IS NULL"),
        postgresql_where=text("redeemed_at IS NULL"),
    ),
    Index(
        "ix_quotes_expires_at_unused",
        "expires_at",
        sqlite_where=text("redeemed_at IS NULL"),
        postgresql_where=text("redeemed_at IS NULL"),
    ),
)
"""One row per quote, with all that an order takes over from it.

``origin_id`` is the quote that this one was bargained from, ``root_id`` the first of them all.
"""

counters = Table(
    "counter_offers",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("quote_id", String(40), nullable=False),
    Column("quote_digest", String(43), nullable=False),
    Column("root_id", String(40), nullable=False),
    Column("round", Integer, nullable=False),
    Column("session_id", String(40)),
    Column("service_id", String(40), nullable=False),
    Column("slug", String(48), nullable=False),
    Column("seller_id", String(43), nullable=False),
    Column("buyer_id", String(43), nullable=False),
    Column("units", BigInteger, nullable=False),
    Column("quoted_minor", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("note", Text, nullable=False),
    Column("state", String(12), nullable=False),
    Column("detail", Text, nullable=False),
    Column("offer", Text),
    Column("answer_quote_id", String(40)),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    UniqueConstraint("root_id", "round"),
    CheckConstraint(
        "state IN ('open', 'answered', 'declined', 'refused', 'expired')", name="state_known"
    ),
    CheckConstraint("amount_minor > 0", name="amount_above_zero"),
    Index("ix_counter_offers_buyer_id_id", "buyer_id", "id"),
    Index("ix_counter_offers_seller_id_id", "seller_id", "id"),
    Index(
        "ix_counter_offers_expires_at_open",
        "expires_at",
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
)
"""One row per counter-offer: a price that a buyer names, and what became of it."""

order_limits = Table(
    "order_limits",
    metadata,
    Column("currency", String(3), primary_key=True),
    Column("typical_minor", BigInteger, nullable=False),
    Column("start_cap_minor", BigInteger, nullable=False),
    Column("bond_minor", BigInteger, nullable=False),
    Column("orders", BigInteger, nullable=False),
    Column("computed_at", UtcDateTime, nullable=False),
)
"""One row per currency that has a typical order: what it costs, and what follows from it.
``orders`` is how many it is the median of."""

frozen_sellers = Table(
    "frozen_sellers",
    metadata,
    Column("seller_id", String(43), primary_key=True),
    Column("frozen_at", UtcDateTime, nullable=False),
    Column("cleared_at", UtcDateTime),
    Column("cleared_by", String(43)),
    Column("reason", Text),
    Column("open_orders", Integer, nullable=False),
    Column("good_orders", Integer, nullable=False),
)
"""One row per seller that was ever frozen; it is while ``cleared_at`` is null. ``open_orders`` and
``good_orders`` count those that were placed meanwhile."""
