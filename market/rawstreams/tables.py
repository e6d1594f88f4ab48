"""Tables of the raw streams room. The entries are those of the base stream with the same id."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from market.base.tables import Flag, UtcDateTime, metadata

raw_streams = Table(
    "raw_streams",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("path", String(512), nullable=False),
    Column("owner_id", String(64), nullable=False),
    Column("access", String(8), nullable=False),
    Column("content_type", String(255), nullable=False),
    Column("ttl_seconds", BigInteger, nullable=True),
    Column("expires_at", UtcDateTime, nullable=True),
    Column("lapses_at", UtcDateTime, nullable=True),
    Column("source_id", String(40), nullable=True),
    Column("forked_at", BigInteger, nullable=True),
    Column("forked_within", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),
    Column("last_seq", Text, nullable=True),
    Column("closed_by", Text, nullable=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("is_watched", Flag, nullable=False, server_default="0"),
    Index(
        "uq_raw_streams_path",
        "path",
        unique=True,
        sqlite_where=text("state <> 'gone'"),
        postgresql_where=text("state <> 'gone'"),
    ),
    Index("ix_raw_streams_source_id", "source_id"),
    Index("ix_raw_streams_lapses_at", "lapses_at"),
    Index("ix_raw_streams_owner_id", "owner_id"),
    Index(
        "ix_raw_streams_gone",
        "id",
        sqlite_where=text("state = 'gone'"),
        postgresql_where=text("state = 'gone'"),
    ),
)

subscriptions = Table(
    "stream_subscriptions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner_id", String(64), nullable=False),
    Column("name", String(256), nullable=False),
    Column("kind", String(9), nullable=False),
    Column("pattern", String(512), nullable=True),
    Column("url", Text, nullable=True),
    Column("wake_path", String(512), nullable=True),
    Column("lease_ms", Integer, nullable=False),
    Column("description", Text, nullable=True),
    Column("form", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("wake_id", String(40), nullable=True),
    Column("holder", String(256), nullable=True),
    Column("lease_ends_at", UtcDateTime, nullable=True),
    Column("try_at", UtcDateTime, nullable=True),
    Column("tries", Integer, nullable=False),
    Column("is_slow", Flag, nullable=False),
    UniqueConstraint("owner_id", "name"),
    Index("ix_stream_subscriptions_lease_ends_at", "lease_ends_at"),
    Index("ix_stream_subscriptions_try_at", "try_at"),
)

links = Table(
    "subscription_links",
    metadata,
    Column("subscription_id", String(40), primary_key=True),
    Column("path", String(512), primary_key=True),
    Column("stream_id", String(40), nullable=True),
    Column("is_explicit", Flag, nullable=False),
    Column("is_matched", Flag, nullable=False),
    Column("acked", BigInteger, nullable=False),
    Column("woken", BigInteger, nullable=False),
    Index("ix_subscription_links_stream_id", "stream_id"),
    Index("ix_subscription_links_path", "path"),
)

stirred = Table(
    "stirred",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("stirred_at", UtcDateTime, nullable=False),
)
