"""Queries of the sessions room: who takes part, where a session stands, and the lists."""

from typing import Any, Final

import msgspec
from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, exists, or_, select

from market.base import streams
from market.base.caller import Caller, Delegation
from market.base.clock import rfc3339
from market.base.paging import before_of, page_of
from market.base.sql import PerDialect, Sql
from market.base.work import Snapshot, UnitOfWork
from market.protocol.wire import Page, SessionView
from market.sessions.errors import SessionNotFound
from market.sessions.pausing import refuse_paused
from market.sessions.rights import Viewer
from market.sessions.tables import members, sessions

MAX_JOINED: Final = 10_000
"""Orders of one seller in one session that it may see, at most."""

MAX_LISTED: Final = 1_000
"""Orders that a session's view names, at most: the oldest."""

_BY_ID = select(sessions).where(sessions.c.id == bindparam("session_id"))
_FIND: Final = Sql(_BY_ID)
_SHARE: Final = Sql(PerDialect(_BY_ID, _BY_ID.with_for_update(read=True)))
_MEMBERS: Final = Sql(
    select(members.c.agent_id, members.c.order_id)
    .where(members.c.session_id == bindparam("session_id"))
    .order_by(members.c.order_id)
    .limit(MAX_LISTED)
)
_JOINED: Final = Sql(
    select(members.c.order_id)
    .where(
        members.c.session_id == bindparam("session_id"),
        members.c.agent_id == bindparam("agent_id"),
    )
    .limit(MAX_JOINED)
)
_AT_WORK: Final = Sql(
    select(members.c.order_id)
    .where(
        members.c.session_id == bindparam("session_id"),
        members.c.order_id == bindparam("order_id"),
    )
    .limit(1)
)
_LIST: Final = Sql(
    select(sessions.c.id)
    .where(
        sessions.c.id < bindparam("before"),
        or_(
            bindparam("sees_all") == 1,
            sessions.c.buyer_id == bindparam("agent_id"),
            sessions.c.principal_id == bindparam("agent_id"),
            sessions.c.id.in_(
                select(members.c.session_id).where(members.c.agent_id == bindparam("agent_id"))
            ),
        ),
        or_(
            bindparam("state") == "any",
            and_(bindparam("state") == "open", sessions.c.closed_at.is_(None)),
            and_(bindparam("state") == "closed", sessions.c.closed_at.is_not(None)),
        ),
    )
    .order_by(sessions.c.id.desc())
    .limit(bindparam("limit"))
)


def session(snapshot: Snapshot, *, caller: Caller, session_id: str) -> SessionView:
    """Return where a session stands.

    Raises:
        SessionNotFound: there is none that the caller takes part in.
    """
    viewer = viewer_of(snapshot, caller=caller, session_id=session_id)
    view = view_of(snapshot, session_id)
    if viewer.is_owner:
        return view
    # A seller learns of its own orders, not of the buyer's words, pauses or rivals.
    return msgspec.structs.replace(
        view,
        need="",
        labels={},
        principal_id=None,
        paused_by=None,
        source_session_id=None,
        source_offset=None,
        orders=sorted(viewer.order_ids)[:MAX_LISTED],
    )


def sessions_of(
    snapshot: Snapshot, *, caller: Caller, state: str, cursor: str | None, limit: int
) -> Page[SessionView]:
    """Return the caller's sessions, newest first; an overseer's are all.

    ``state``: open, closed or any.
    """
    rows = snapshot.all(
        _LIST,
        before=before_of(cursor, "ses"),
        sees_all=int(caller.is_overseer),
        agent_id=caller.agent_id,
        state=state,
        limit=limit + 1,
    )
    return page_of(
        rows,
        limit=limit,
        view=lambda row: session(snapshot, caller=caller, session_id=row.id),
        key=lambda row: (row.id,),
    )


def viewer_of(snapshot: Snapshot, *, caller: Caller, session_id: str) -> Viewer:
    """Return the caller's part in a session.

    Raises:
        SessionNotFound: there is none, or it has no part in it.
    """
    row = snapshot.one(_FIND, session_id=session_id)
    if row is not None:
        if caller.delegation is not None:
            return _delegates(snapshot, caller.agent_id, caller.delegation, row)
        if caller.is_overseer or caller.agent_id in (row.buyer_id, row.principal_id):
            return Viewer(caller.agent_id, True, frozenset())
        rows = snapshot.all(_JOINED, session_id=session_id, agent_id=caller.agent_id)
        if rows:
            return Viewer(caller.agent_id, False, frozenset(row.order_id for row in rows))
    raise SessionNotFound("There is no session under this id that you take part in.")


def _delegates(snapshot: Snapshot, agent_id: str, grant: Delegation, row: Any) -> Viewer:
    """Return a sub-agent's part in a session: its delegator's, or one order of it."""
    if grant.session_id == row.id:
        asked = frozenset() if grant.order_id is None else frozenset({grant.order_id})
        if grant.delegator_id in (row.buyer_id, row.principal_id):
            return Viewer(agent_id, not asked, asked, is_buyers=True)
        rows = snapshot.all(_JOINED, session_id=row.id, agent_id=grant.delegator_id)
        theirs = asked & {joined.order_id for joined in rows}
        if theirs:
            return Viewer(agent_id, False, theirs)
    raise SessionNotFound("There is no session under this id that you take part in.")


def owned(snapshot: Snapshot, *, caller: Caller, session_id: str) -> None:
    """Let pass an owner of a session: its buyer, its principal, an overseer.

    Raises:
        SessionNotFound: there is none that the caller owns.
    """
    if not viewer_of(snapshot, caller=caller, session_id=session_id).is_owner:
        raise SessionNotFound("There is no session under this id that you take part in.")


def joined(
    session_id: ColumnElement[str], agent_id: BindParameter[Any], order_id: ColumnElement[str]
) -> ColumnElement[bool]:
    """Return the condition that an agent has joined an order, for statements of rooms above."""
    return exists().where(
        members.c.session_id == session_id,
        members.c.agent_id == agent_id,
        members.c.order_id == order_id,
    )


def still_open(session_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that a session is open, for statements of rooms above."""
    return exists().where(sessions.c.id == session_id, sessions.c.closed_at.is_(None))


def buyers_open_session(uow: UnitOfWork, *, buyer_id: str, session_id: str) -> None:
    """Let pass a buyer that spends in its own session; nobody pauses it until this work ends.

    Raises:
        SessionNotFound: it has none under this id. (A closed one is refused at the append.)
        SessionPaused: nothing is spent in it now.
    """
    row = uow.one(_SHARE, session_id=session_id)
    if row is None or row.buyer_id != buyer_id:
        raise SessionNotFound("There is no session under this id that you take part in.")
    refuse_paused(row)


def is_known(snapshot: Snapshot, *, session_id: str) -> bool:
    """Whether there is such a session, whoever takes part in it. For those who own the store."""
    return snapshot.one(_FIND, session_id=session_id) is not None


def is_at_work(snapshot: Snapshot, *, session_id: str, order_id: str) -> bool:
    """Whether a seller has joined the session for this order."""
    return snapshot.one(_AT_WORK, session_id=session_id, order_id=order_id) is not None


def is_open(snapshot: Snapshot, *, session_id: str) -> bool:
    """Whether events can still be appended."""
    found = streams.stream(snapshot, stream_id=session_id)
    return found is not None and not found.is_closed


def head(snapshot: Snapshot, *, session_id: str) -> tuple[int, str]:
    """Return the next offset of a session and the hash of its last event."""
    found = streams.stream(snapshot, stream_id=session_id)
    if found is None:
        raise SessionNotFound("There is no session under this id that you take part in.")
    return found.next_offset, found.head


def view_of(snapshot: Snapshot, session_id: str) -> SessionView:
    """Return a session as its owners see it."""
    row = snapshot.one(_FIND, session_id=session_id)
    next_offset, last_hash = head(snapshot, session_id=session_id)
    joined = snapshot.all(_MEMBERS, session_id=session_id)
    return SessionView(
        id=row.id,
        buyer_id=row.buyer_id,
        principal_id=row.principal_id,
        need=row.need,
        labels=row.labels,
        state="closed" if row.closed_at else "open",
        next_offset=next_offset,
        head_hash=last_hash,
        opened_at=rfc3339(row.opened_at),
        closed_at=rfc3339(row.closed_at) if row.closed_at else None,
        paused_by=row.paused_by,
        source_session_id=row.source_session_id,
        source_offset=row.source_offset,
        orders=list(dict.fromkeys(m.order_id for m in joined)),
    )
