"""Standing: who was shut out lately, and whose suspension is not carried through yet."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, select, update

from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.identity.tables import agent_keys, agents, delegations

MAX_LATELY: Final = 10_000
MAX_UNFINISHED: Final = 100
"""Suspended agents that one look finds."""

_since = bindparam("since", type_=UtcDateTime())
_LATELY: Final = tuple(
    Sql(
        select(who.label("agent_id"), when.label("at"))
        .where(when >= _since)
        .order_by(when.desc())
        .limit(MAX_LATELY)
    )
    for who, when in (
        (agents.c.id, agents.c.suspended_at),
        (agent_keys.c.agent_id, agent_keys.c.revoked_at),
        (delegations.c.delegator_id, delegations.c.revoked_at),
    )
)
_UNFINISHED: Final = Sql(
    select(
        agents.c.id.label("agent_id"),
        agents.c.suspended_by,
        agents.c.suspended_at,
        agents.c.suspension_reason,
    )
    .where(agents.c.suspended_at.is_not(None), agents.c.shut_at.is_(None))
    .order_by(agents.c.id)
    .limit(MAX_UNFINISHED)
)
_FINISH: Final = Sql(
    update(agents)
    .where(agents.c.id == bindparam("agent_id"), agents.c.suspended_at.is_not(None))
    .values(shut_at=bindparam("at", type_=UtcDateTime()))
)


class ShutOut(NamedTuple):
    """An agent with tokens that no longer let it, or a sub-agent, in; and since when."""

    agent_id: str
    at: datetime


class Suspension(NamedTuple):
    """An agent that is suspended, by whom, when and why."""

    agent_id: str
    overseer_id: str
    at: datetime
    reason: str


def lately_shut_out(snapshot: Snapshot, *, since: datetime) -> frozenset[ShutOut]:
    """Return who was suspended, or revoked a key or a delegation, from a moment on."""
    found: list[Any] = []
    for sql in _LATELY:
        found += snapshot.all(sql, since=since)
    return frozenset(ShutOut(row.agent_id, row.at) for row in found)


def unfinished_suspensions(snapshot: Snapshot) -> list[Suspension]:
    """Return suspensions after which something may still run."""
    return [Suspension(*row) for row in map(_in_order, snapshot.all(_UNFINISHED))]


def note_shut(uow: UnitOfWork, *, agent_id: str) -> None:
    """Note that nothing of a suspended agent runs any more."""
    uow.run(_FINISH, agent_id=agent_id, at=uow.now)


def _in_order(row: Any) -> tuple[str, str, datetime, str]:
    return row.agent_id, row.suspended_by, row.suspended_at, row.suspension_reason
