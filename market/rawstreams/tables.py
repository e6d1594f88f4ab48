"""Tables of the raw streams room. The entries are those of the base stream with the same id."""

from sqlalchemy import BigInteger, Column, Index, String, Table, Text, text

from market.base.tables import UtcDateTime, metadata

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
    Index(
        "uq_raw_streams_path",
        "path",
        unique=True,
        sqlite_where=text("state <> 'gone'"),
        postgresql_where=text("state <> 'gone'"),
    ),
    Index("ix_raw_streams_source_id", "source_id"),
    Index("ix_raw_streams_lapses_at", "lapses_at"),
    Index(
        "ix_raw_streams_gone",
        "id",
        sqlite_where=text("state = 'gone'"),
        postgresql_where=text("state = 'gone'"),
    ),
)
