"""Tables of the log engine."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
)

from market.base.tables import Flag, UtcDateTime, metadata

streams = Table(
    "streams",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("head", String(64), nullable=False),
    Column("is_closed", Flag, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # A fork: its entries below ``forked_at`` are the source's.
    Column("source_id", String(80), nullable=True),
    Column("forked_at", BigInteger, nullable=True),
    # Only then may its entries be deleted.
    Column("is_gone", Flag, nullable=False, server_default="0"),
    # Of its own entries, not of those that it shares with its source.
    Column("bytes", BigInteger, nullable=False, server_default="0"),
)

entries = Table(
    "stream_entries",
    metadata,
    Column(
        "position",
        BigInteger().with_variant(Integer(), "sqlite"),
        Identity(),
        primary_key=True,
    ),
    Column("stream_id", String(80), ForeignKey("streams.id"), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("uq_stream_entries_stream_id_offset", "stream_id", "offset", unique=True),
)

producers = Table(
    "stream_producers",
    metadata,
    Column("stream_id", String(80), nullable=False),
    Column("producer_id", String(256), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    PrimaryKeyConstraint("stream_id", "producer_id"),
)
