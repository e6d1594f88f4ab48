"""Verbs of the sessions room: open, join, close."""

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import bindparam, update

from market.base import streams
from market.base.caller import Caller
from market.base.sql import Sql, insert, insert_ignore
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.protocol.events import GENESIS
from market.protocol.wire import Appended, OpenSession, SessionView
from market.sessions.checkpoints import sign_head
from market.sessions.run_control import answer_rest
from market.sessions.tables import members, sessions
from market.sessions.views import owned, view_of
from market.sessions.writing import NewEvent, append, claim, put_events

_OPEN: Final = Sql(insert(sessions, omit=("source_session_id", "source_offset")))
_JOIN: Final = Sql(insert_ignore(members))
_CLOSE: Final = Sql(
    update(sessions)
    .where(sessions.c.id == bindparam("session_id"), sessions.c.closed_at.is_(None))
    .values(closed_at=bindparam("now", type_=UtcDateTime()))
)


def open_session(
    uow: UnitOfWork, *, buyer_id: str, principal_id: str | None, request: OpenSession
) -> SessionView:
    """Begin a buying journey: a log with ``session.opened`` as its first event."""
    session_id, _ = begin(
        uow, buyer_id=buyer_id, principal_id=principal_id, request=request, events=[]
    )
    return view_of(uow, session_id)


def begin(
    uow: UnitOfWork,
    *,
    buyer_id: str,
    principal_id: str | None,
    request: OpenSession,
    events: Sequence[NewEvent],
) -> tuple[str, Appended]:
    """Open a session whose log goes on with ``events`` at once; return its id and their place."""
    session_id = uow.new_id("ses")
    uow.run(
        _OPEN,
        id=session_id,
        buyer_id=buyer_id,
        principal_id=principal_id,
        need=request.need,
        labels=request.labels,
        opened_at=uow.now,
        closed_at=None,
        paused_by=None,
        pause_offset=None,
    )
    streams.create(uow, stream_id=session_id, head=GENESIS)
    opened = {
        "buyer_id": buyer_id,
        "principal_id": principal_id,
        "need": request.need,
        "labels": request.labels,
    }
    first = NewEvent("session.opened", buyer_id, opened)
    empty = streams.Stream(next_offset=0, head=GENESIS, is_closed=False)
    appended = put_events(uow, session_id, empty, [first, *events])
    return session_id, msgspec.structs.replace(appended, first_offset=1)


def join(uow: UnitOfWork, *, session_id: str, agent_id: str, order_id: str) -> None:
    """Let an agent see and act on one order of a session; a repeat changes nothing."""
    uow.run(_JOIN, session_id=session_id, agent_id=agent_id, order_id=order_id)


def close(uow: UnitOfWork, *, caller: Caller, session_id: str, reason: str) -> SessionView:
    """Complete a session's log for good; a repeat changes nothing.

    Raises:
        SessionNotFound: there is none that the caller owns.
    """
    owned(uow, caller=caller, session_id=session_id)
    if uow.run(_CLOSE, session_id=session_id, now=uow.now):
        claim(uow, session_id)
        answer_rest(uow, session_id=session_id)
        append(
            uow,
            session_id=session_id,
            events=[NewEvent("session.closed", caller.agent_id, {"reason": reason})],
        )
        sign_head(uow, session_id=session_id)
        streams.close(uow, stream_id=session_id)
    return view_of(uow, session_id)
