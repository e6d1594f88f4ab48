"""Agents, their keys, and the tokens that were used up."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from market.base.tables import JsonText, UtcDateTime, metadata


def _few(name: str, column: str, rows: str) -> Index:
    """Return an index of those few rows that are so."""
    return Index(name, column, sqlite_where=text(rows), postgresql_where=text(rows))


agents = Table(
    "agents",
    metadata,
    Column("id", String(43), primary_key=True),
    Column("handle", String(96), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("principal_id", String(43), ForeignKey("agents.id")),
    Column("registration", Text, nullable=False),
    Column("registered_at", UtcDateTime, nullable=False),
    Column("suspended_at", UtcDateTime),
    Column("suspended_by", String(43), ForeignKey("agents.id")),
    Column("suspension_reason", Text),
    Column("shut_at", UtcDateTime),
    UniqueConstraint("handle"),
    CheckConstraint("kind IN ('buyer', 'seller', 'principal', 'overseer')", name="kind"),
    _few("ix_agents_suspended_at", "suspended_at", "suspended_at IS NOT NULL"),
    _few("ix_agents_unfinished", "id", "suspended_at IS NOT NULL AND shut_at IS NULL"),
)
"""One row per agent. ``registration`` is the proof by which it entered, kept for ever. ``shut_at``:
since when nothing of a suspended agent runs any more.
"""

agent_keys = Table(
    "agent_keys",
    metadata,
    Column("kid", String(43), primary_key=True),
    Column("agent_id", String(43), ForeignKey("agents.id"), nullable=False, index=True),
    Column("jwk", JsonText, nullable=False),
    Column("statement", Text, nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("revocation", Text),
    _few("ix_agent_keys_revoked_at", "revoked_at", "revoked_at IS NOT NULL"),
)
"""One row per key, whoever has it: a key belongs to one agent. The statements that brought it in
and put it out are kept for ever.
"""

delegations = Table(
    "delegations",
    metadata,
    Column("delegator_id", String(43), nullable=False),
    Column("jti", String(64), nullable=False),
    Column("key_id", String(43)),
    Column("delegate_id", String(43)),
    Column("session_id", String(40)),
    Column("order_id", String(40)),
    Column("run", String(64)),
    Column("digest", String(43)),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("revoked_at", UtcDateTime),
    PrimaryKeyConstraint("delegator_id", "jti"),
    _few("ix_delegations_revoked_at", "revoked_at", "revoked_at IS NOT NULL"),
)
"""One row per delegation that was used, or revoked before its first use (then only its name is
known), kept until it could not be used anyway; the signed text stands in the session's log.
"""

used_tokens = Table(
    "used_tokens",
    metadata,
    Column("agent_id", String(43), nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("jti", String(200), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    PrimaryKeyConstraint("agent_id", "purpose", "jti"),
)
"""One row per token that may be used once, kept until it could not be used anyway."""
