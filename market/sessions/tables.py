"""Tables of the sessions room. The events themselves are entries of the stream with the same id."""

from sqlalchemy import Column, Index, PrimaryKeyConstraint, String, Table, Text

from market.base.tables import JsonText, UtcDateTime, metadata

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("buyer_id", String(64), nullable=False),
    Column("principal_id", String(64), nullable=True),
    Column("need", Text, nullable=False),
    Column("labels", JsonText, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("closed_at", UtcDateTime, nullable=True),
    Index("ix_sessions_buyer_id_id", "buyer_id", "id"),
    Index("ix_sessions_principal_id_id", "principal_id", "id"),
)

members = Table(
    "session_members",
    metadata,
    Column("session_id", String(40), nullable=False),
    Column("agent_id", String(64), nullable=False),
    Column("order_id", String(40), nullable=False),
    PrimaryKeyConstraint("session_id", "agent_id", "order_id"),
    Index("ix_session_members_agent_id_session_id", "agent_id", "session_id"),
)
