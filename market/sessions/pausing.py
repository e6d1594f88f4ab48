"""Pausing a whole session: nothing is spent in it until one of the same rank, or higher, lifts it.

Ranks, from the lowest: seller, buyer, principal, overseer. They hold for the pause of one order
too, which the room above keeps.
"""

from typing import Any, Final

from sqlalchemy import bindparam, select, update

from market.base.sql import PerDialect, Sql
from market.base.work import Snapshot, UnitOfWork
from market.protocol.commitments import AgentKind
from market.sessions.errors import SessionPaused
from market.sessions.tables import sessions

_RANKS: Final[tuple[AgentKind, ...]] = ("seller", "buyer", "principal", "overseer")
_pause_of = select(sessions.c.paused_by, sessions.c.pause_offset).where(
    sessions.c.id == bindparam("session_id")
)
_FIND: Final = Sql(_pause_of)
_LOCK: Final = Sql(PerDialect(_pause_of, _pause_of.with_for_update()))
_SET: Final = Sql(
    update(sessions)
    .where(sessions.c.id == bindparam("session_id"))
    .values(paused_by=bindparam("by"), pause_offset=bindparam("since"))
)


def may_lift(kind: AgentKind, paused_by: AgentKind) -> bool:
    """Whether an agent of this kind may end what one of kind ``paused_by`` has paused."""
    return _RANKS.index(kind) >= _RANKS.index(paused_by)


def lock_pause(uow: UnitOfWork, *, session_id: str) -> AgentKind | None:
    """Return the kind of agent that has paused a session, if any, and let nobody spend meanwhile.

    Call it before anything is appended: whoever spends takes the locks in this order.
    """
    kind: AgentKind | None = uow.one(_LOCK, session_id=session_id).paused_by
    return kind


def pause(uow: UnitOfWork, *, session_id: str, kind: AgentKind, offset: int) -> None:
    """Let nothing be spent after ``offset``. What one of higher rank has paused stays theirs."""
    row = uow.one(_FIND, session_id=session_id)
    if row.paused_by is None:
        uow.run(_SET, session_id=session_id, by=kind, since=offset)
    elif not may_lift(row.paused_by, kind):
        uow.run(_SET, session_id=session_id, by=kind, since=row.pause_offset)


def resume(uow: UnitOfWork, *, session_id: str) -> None:
    """Let money be spent again; a repeat changes nothing."""
    uow.run(_SET, session_id=session_id, by=None, since=None)


def check_running(snapshot: Snapshot, *, session_id: str) -> None:
    """Let pass who spends in a session, with its log held so that no pause can come between.

    Raises:
        SessionPaused: by whom, and since which offset.
    """
    refuse_paused(snapshot.one(_FIND, session_id=session_id))


def refuse_paused(row: Any) -> None:
    """Raise ``SessionPaused`` for the row of a session that is."""
    if row.paused_by is not None:
        raise SessionPaused(
            f"The {row.paused_by} paused it at offset {row.pause_offset}.",
            paused_by=row.paused_by,
            pause_offset=row.pause_offset,
        )
