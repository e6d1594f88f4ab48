"""Forks: a session that begins with another's history, to replay a journey with another policy.

The events up to the fork are the source's own, byte by byte: same bytes, same hashes, nothing is
copied. ``session.forked`` chains to the last of them and names the source. What was ordered in
that history stays the source's: no money moves for it here, nothing of it can be controlled.
"""

from typing import Final

from sqlalchemy import bindparam, select

from market.base import streams
from market.base.caller import Caller
from market.base.sql import Sql, insert
from market.base.work import UnitOfWork
from market.protocol.wire import ForkSession, SessionView
from market.sessions.errors import BadForkPoint
from market.sessions.rights import head_of, need_to_act
from market.sessions.tables import sessions
from market.sessions.views import owned, view_of
from market.sessions.writing import NewEvent, put_events

MAX_GENERATIONS: Final = 16
"""Forks of forks of forks: a reader of the last one reads up to so many streams."""

_ADD: Final = Sql(insert(sessions, omit=("closed_at", "paused_by", "pause_offset")))
_SOURCE: Final = Sql(
    select(
        sessions.c.buyer_id,
        sessions.c.principal_id,
        sessions.c.need,
        sessions.c.labels,
        sessions.c.source_session_id,
    ).where(sessions.c.id == bindparam("session_id"))
)


def fork(uow: UnitOfWork, *, caller: Caller, session_id: str, request: ForkSession) -> SessionView:
    """Open a session whose log begins with another's events, up to ``request.after``.

    It belongs to the buyer of the source and its principal, whichever owner forks it.

    Raises:
        SessionNotFound: the caller owns no such source.
        BadForkPoint: the source has no such offset, or closes there, or is itself too far a fork.
    """
    need_to_act(caller)
    owned(uow, caller=caller, session_id=session_id)
    source = uow.one(_SOURCE, session_id=session_id)
    _check_generation(uow, source.source_session_id)
    last_hash = _hash_at(uow, session_id, request.after)
    fork_id = uow.new_id("ses")
    need = source.need if request.need is None else request.need
    labels = source.labels if request.labels is None else request.labels
    uow.run(
        _ADD,
        id=fork_id,
        buyer_id=source.buyer_id,
        principal_id=source.principal_id,
        need=need,
        labels=labels,
        opened_at=uow.now,
        source_session_id=session_id,
        source_offset=request.after,
    )
    next_offset = request.after + 1
    streams.fork(
        uow, stream_id=fork_id, source_id=session_id, next_offset=next_offset, head=last_hash
    )
    forked = {
        "source_session_id": session_id,
        "source_offset": request.after,
        "source_hash": last_hash,
        "need": need,
        "labels": labels,
    }
    begun = streams.Stream(next_offset=next_offset, head=last_hash, is_closed=False)
    put_events(uow, fork_id, begun, [NewEvent("session.forked", caller.agent_id, forked)])
    return view_of(uow, fork_id)


def _check_generation(uow: UnitOfWork, source_id: str | None) -> None:
    generation = 1
    while source_id is not None:
        generation += 1
        if generation > MAX_GENERATIONS:
            raise BadForkPoint(
                f"It is a fork of a fork, {MAX_GENERATIONS} times over: fork one of its sources.",
                max_generations=MAX_GENERATIONS,
            )
        source_id = uow.one(_SOURCE, session_id=source_id).source_session_id


def _hash_at(uow: UnitOfWork, session_id: str, offset: int) -> str:
    """Return the hash of the last event that a fork shares."""
    found = streams.read(uow, stream_id=session_id, after=offset - 1, limit=1)
    last_offset = found.next_offset - 1
    if not found.entries:
        raise BadForkPoint(
            f"The session has events up to offset {last_offset} now.", last_offset=last_offset
        )
    head = head_of(found.entries[0])
    if head.kind == "session.closed":
        raise BadForkPoint(
            "The session closes with this event: fork it before.", last_offset=offset - 1
        )
    return head.hash
