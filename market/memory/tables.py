"""Notes that agents keep."""

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, String, Table, Text

from market.base.tables import JsonText, UtcDateTime, metadata

notes = Table(
    "notes",
    metadata,
    Column("agent_id", String(43), nullable=False),
    Column("namespace", String(64), nullable=False),
    Column("key", String(200), nullable=False),
    Column("value", JsonText, nullable=False),
    Column("searchable", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("session_id", String(32)),
    Column("offset", BigInteger),
    Column("written_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, index=True),
    PrimaryKeyConstraint("agent_id", "namespace", "key"),
)
"""One row per note. ``searchable`` is its key and all text in its value, case folded, so that both
databases find alike. ``session_id`` and ``offset`` say where it was learnt.
"""
