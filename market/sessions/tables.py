"""Tables of the sessions room. The events themselves are entries of the stream with the same id."""

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, String, Table, Text, text

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
    Column("paused_by", String(12), nullable=True),
    Column("pause_offset", BigInteger, nullable=True),
    # A fork begins with the events of its source up to this offset.
    Column("source_session_id", String(40), nullable=True),
    Column("source_offset", BigInteger, nullable=True),
    Index("ix_sessions_buyer_id_id", "buyer_id", "id"),
    Index("ix_sessions_principal_id_id", "principal_id", "id"),
    Index(
        "ix_sessions_buyer_id_open",
        "buyer_id",
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
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

presence = Table(
    "session_presence",
    metadata,
    Column("session_id", String(40), nullable=False),
    Column("agent_id", String(64), nullable=False),
    Column("device", String(40), nullable=False),
    Column("order_id", String(40), nullable=True),
    Column("status", String(12), nullable=False),
    Column("joined_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("session_id", "agent_id", "device"),
    Index("ix_session_presence_seen_at", "seen_at"),
)

checkpoints = Table(
    "session_checkpoints",
    metadata,
    Column("session_id", String(40), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("signed_at", UtcDateTime, nullable=False),
    Column("token", Text, nullable=False),
    PrimaryKeyConstraint("session_id", "offset"),
)

runs = Table(
    "session_runs",
    metadata,
    Column("session_id", String(40), nullable=False),
    Column("run", String(64), nullable=False),
    Column("actor_id", String(64), nullable=True),
    Column("order_id", String(40), nullable=True),
    Column("audience", String(8), nullable=False),
    Column("started_offset", BigInteger, nullable=True),
    Column("paused_offset", BigInteger, nullable=True),
    Column("paused_by", String(12), nullable=True),
    Column("cancelled_offset", BigInteger, nullable=True),
    Column("ended_offset", BigInteger, nullable=True),
    PrimaryKeyConstraint("session_id", "run"),
)
"""One row per run that has started, or was controlled before that: then nobody is its actor."""

run_steps = Table(
    "run_steps",
    metadata,
    Column("session_id", String(40), nullable=False),
    Column("run", String(64), nullable=False),
    Column("step", String(64), nullable=False),
    Column("attempt", BigInteger, nullable=False),
    PrimaryKeyConstraint("session_id", "run", "step"),
)

run_steers = Table(
    "run_steers",
    metadata,
    Column("session_id", String(40), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("run", String(64), nullable=False),
    Column("answer", String(12), nullable=True),
    Column("detail", Text, nullable=False),
    Column("answer_by", UtcDateTime, nullable=True),
    PrimaryKeyConstraint("session_id", "offset"),
    Index("ix_run_steers_answer_by", "answer_by"),
)
