"""Tables of the catalog: services, the versions of their manifests, and quotes.

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
    CheckConstraint("amount_minor > 0", name="amount_above_zero"),
    CheckConstraint("units > 0", name="units_above_zero"),
    Index(
        "ix_quotes_expires_at_unused",
        "expires_at",
        sqlite_where=text("redeemed_at IS NULL"),
        postgresql_where=text("redeemed_at IS NULL"),
    ),
)
"""One row per quote, with all that an order takes over from it."""
