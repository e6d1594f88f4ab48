"""Verbs of the sessions room: open, append, write, close; and the queries beside them."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, exists, or_, select, update

from market.base import streams
from market.base.caller import Caller
from market.base.clock import rfc3339, seconds_of
from market.base.paging import decode_cursor, page_of
from market.base.sql import Sql, insert, insert_ignore
from market.base.streams import Producer
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.protocol.canonical import NotCanonical, canonical, canonical_plain, sha256_text
from market.protocol.commitments import CHECKPOINT, CheckpointClaims
from market.protocol.events import GENESIS, KINDS, Audience, Stage
from market.protocol.wire import Appended, Decision, OpenSession, Page, SessionView, WriteEvents
from market.sessions.errors import (
    BadEvent,
    KindReserved,
    SessionClosed,
    SessionFull,
    SessionNotFound,
)
from market.sessions.rights import Viewer, need_to_act
from market.sessions.tables import members, sessions

MAX_EVENT_BYTES: Final = 64 * 1024
"""The longest event, as stored."""

MAX_JOINED: Final = 10_000
"""Orders of one seller in one session that it may see, at most."""

MAX_EVENTS: Final = 1_000_000
"""Events in one session after which participants may write no more; the market still may."""

LAST_ID: Final = "ses_z"
"""Greater than every session id: where a list that begins with the newest starts."""


class NewEvent(NamedTuple):
    """What is to be appended. Stage and audience are the kind's own unless given."""

    kind: str
    actor_id: str
    body: dict[str, Any]
    order_id: str | None = None
    stage: Stage | None = None
    audience: Audience | None = None


_PLAIN: Final = frozenset(
    kind
    for kind in KINDS
    if kind.startswith(("session.", "order.", "control.", "approval."))
    or kind == "delivery.completed"
)
"""Kinds whose bodies the market makes of checked text and integers: canonical as they are."""

_OPEN: Final = Sql(insert(sessions))
_JOIN: Final = Sql(insert_ignore(members))
_FIND: Final = Sql(select(sessions).where(sessions.c.id == bindparam("session_id")))
_CLOSE: Final = Sql(
    update(sessions)
    .where(sessions.c.id == bindparam("session_id"), sessions.c.closed_at.is_(None))
    .values(closed_at=bindparam("now", type_=UtcDateTime()))
)
_MEMBERS: Final = Sql(
    select(members.c.agent_id, members.c.order_id)
    .where(members.c.session_id == bindparam("session_id"))
    .order_by(members.c.order_id)
    .limit(1_000)
)
_JOINED: Final = Sql(
    select(members.c.order_id)
    .where(
        members.c.session_id == bindparam("session_id"),
        members.c.agent_id == bindparam("agent_id"),
    )
    .limit(MAX_JOINED)
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


def open_session(
    uow: UnitOfWork, *, buyer_id: str, principal_id: str | None, request: OpenSession
) -> SessionView:
    """Begin a buying journey: a log with ``session.opened`` as its first event."""
    session_id, _ = begin(
        uow, buyer_id=buyer_id, principal_id=principal_id, request=request, events=[]
    )
    return _view(uow, session_id)


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
    appended = _put(uow, session_id, empty, [first, *events])
    return session_id, msgspec.structs.replace(appended, first_offset=1)


def append(uow: UnitOfWork, *, session_id: str, events: Sequence[NewEvent]) -> Appended:
    """Append events that the market vouches for, in the unit of work that makes them true.

    Raises:
        SessionNotFound: there is no such session.
        SessionClosed: its log is complete.
    """
    claimed = _claim(uow, session_id)
    return _put(uow, session_id, claimed, events)


def write(
    uow: UnitOfWork,
    *,
    caller: Caller,
    session_id: str,
    events: WriteEvents,
    producer: Producer | None = None,
) -> Appended:
    """Append what a participant writes itself; a producer's repeat appends nothing again.

    Raises:
        KindReserved: the kind is the market's, or another participant's, to write.
        BadEvent: a body is not of its form, or too long.
        SessionClosed, SessionFull: nothing more fits.
    """
    need_to_act(caller)
    viewer = viewer_of(uow, caller=caller, session_id=session_id)
    claimed = _claim(uow, session_id)
    if producer is not None:
        next_offset = streams.check_producer(uow, stream_id=session_id, producer=producer)
        if next_offset is not None:
            first = next_offset - len(events.events)
            return Appended(first_offset=first, next_offset=next_offset, repeated=True)
    if claimed.next_offset + len(events.events) > MAX_EVENTS:
        raise SessionFull(f"A session holds at most {MAX_EVENTS} events.", max_events=MAX_EVENTS)
    new = [_checked(viewer, caller, item.kind, item.body, item.order_id) for item in events.events]
    appended = _put(uow, session_id, claimed, new)
    if producer is not None:
        streams.keep_producer(
            uow, stream_id=session_id, producer=producer, next_offset=appended.next_offset
        )
    return appended


def join(uow: UnitOfWork, *, session_id: str, agent_id: str, order_id: str) -> None:
    """Let an agent see and act on one order of a session; a repeat changes nothing."""
    uow.run(_JOIN, session_id=session_id, agent_id=agent_id, order_id=order_id)


def joined(
    session_id: ColumnElement[str], agent_id: BindParameter[Any], order_id: ColumnElement[str]
) -> ColumnElement[bool]:
    """Return the condition that an agent has joined an order, for statements of rooms above."""
    return exists().where(
        members.c.session_id == session_id,
        members.c.agent_id == agent_id,
        members.c.order_id == order_id,
    )


def close(uow: UnitOfWork, *, caller: Caller, session_id: str, reason: str) -> SessionView:
    """Complete a session's log for good; a repeat changes nothing.

    Raises:
        SessionNotFound: there is none that the caller owns.
    """
    owned(uow, caller=caller, session_id=session_id)
    if uow.run(_CLOSE, session_id=session_id, now=uow.now):
        append(
            uow,
            session_id=session_id,
            events=[NewEvent("session.closed", caller.agent_id, {"reason": reason})],
        )
        streams.close(uow, stream_id=session_id)
    return _view(uow, session_id)


def session(snapshot: Snapshot, *, caller: Caller, session_id: str) -> SessionView:
    """Return where a session stands.

    Raises:
        SessionNotFound: there is none that the caller takes part in.
    """
    viewer = viewer_of(snapshot, caller=caller, session_id=session_id)
    view = _view(snapshot, session_id)
    if viewer.is_owner:
        return view
    # A seller learns of its own orders, not of the buyer's words or rivals.
    orders = [order_id for order_id in view.orders if order_id in viewer.order_ids]
    return msgspec.structs.replace(view, need="", labels={}, principal_id=None, orders=orders)


def sessions_of(
    snapshot: Snapshot, *, caller: Caller, state: str, cursor: str | None, limit: int
) -> Page[SessionView]:
    """Return the caller's sessions, newest first; an overseer's are all.

    ``state``: open, closed or any.
    """
    key = decode_cursor(cursor, (str,))
    rows = snapshot.all(
        _LIST,
        before=key[0] if key else LAST_ID,
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
        if caller.is_overseer or caller.agent_id in (row.buyer_id, row.principal_id):
            return Viewer(caller.agent_id, True, frozenset())
        rows = snapshot.all(_JOINED, session_id=session_id, agent_id=caller.agent_id)
        if rows:
            return Viewer(caller.agent_id, False, frozenset(row.order_id for row in rows))
    raise SessionNotFound("There is no session under this id that you take part in.")


def owned(snapshot: Snapshot, *, caller: Caller, session_id: str) -> None:
    """Let pass an owner of a session: its buyer, its principal, an overseer.

    Raises:
        SessionNotFound: there is none that the caller owns.
    """
    if not viewer_of(snapshot, caller=caller, session_id=session_id).is_owner:
        raise SessionNotFound("There is no session under this id that you take part in.")


def buyers_open_session(uow: UnitOfWork, *, buyer_id: str, session_id: str) -> None:
    """Let pass a buyer that continues its own session.

    Raises:
        SessionNotFound: it has none under this id. (A closed one is refused at the append.)
    """
    row = uow.one(_FIND, session_id=session_id)
    if row is None or row.buyer_id != buyer_id:
        raise SessionNotFound("There is no session under this id that you take part in.")


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


def checkpoint(snapshot: Snapshot, *, caller: Caller, session_id: str) -> str:
    """Return the market's signature over the last offset and hash of a session.

    Two readers who compare checkpoints learn whether they were shown the same history.
    """
    viewer_of(snapshot, caller=caller, session_id=session_id)
    next_offset, last_hash = head(snapshot, session_id=session_id)
    claims = CheckpointClaims(
        iss=snapshot.settings.issuer,
        aud=snapshot.settings.issuer,
        iat=seconds_of(snapshot.now),
        session_id=session_id,
        offset=next_offset - 1,
        hash=last_hash,
    )
    return snapshot.signer.sign(claims, typ=CHECKPOINT)


def _claim(uow: UnitOfWork, session_id: str) -> streams.Stream:
    try:
        return streams.claim(uow, stream_id=session_id)
    except streams.StreamNotFound as refusal:
        raise SessionNotFound("There is no session under this id.") from refusal
    except streams.StreamClosed as refusal:
        raise SessionClosed("Its log is complete; open a new session.") from refusal


def _put(
    uow: UnitOfWork, session_id: str, claimed: streams.Stream, events: Sequence[NewEvent]
) -> Appended:
    recorded_at = rfc3339(uow.now)
    offset, prev_hash = claimed.next_offset, claimed.head
    data = []
    for event in events:
        kind = KINDS[event.kind]
        encode = canonical_plain if event.kind in _PLAIN else _canonical
        text = encode(
            {
                "actor_id": event.actor_id,
                "audience": event.audience or kind.audience,
                "body": event.body,
                "id": f"{session_id}:{offset}",
                "kind": event.kind,
                "offset": offset,
                "order_id": event.order_id,
                "prev_hash": prev_hash,
                "recorded_at": recorded_at,
                "session_id": session_id,
                "stage": event.stage or kind.stage,
            }
        )
        _check_length(text)
        prev_hash = sha256_text(text)
        data.append(text[:-1] + b',"hash":"' + prev_hash.encode() + b'"}')
        offset += 1
    streams.put(uow, stream_id=session_id, claimed=claimed, data=data, head=prev_hash)
    return Appended(first_offset=claimed.next_offset, next_offset=offset, repeated=False)


def _canonical(event: dict[str, Any]) -> bytes:
    try:
        return canonical(event)
    except NotCanonical as error:
        raise BadEvent(f"The event has no canonical JSON form: {error}.") from error


def _check_length(text: bytes) -> None:
    if len(text) > MAX_EVENT_BYTES:
        raise BadEvent(
            f"An event takes at most {MAX_EVENT_BYTES} bytes, this one {len(text)}.",
            max_bytes=MAX_EVENT_BYTES,
        )


def _checked(
    viewer: Viewer, caller: Caller, kind: str, body: dict[str, Any], order_id: str | None
) -> NewEvent:
    known = KINDS.get(kind)
    if known is None:
        raise BadEvent(f"There is no kind of event {kind!r}.", kinds=sorted(KINDS))
    if known.writer == "market":
        raise KindReserved(f"Only the market writes {kind}.", kind=kind)
    if not viewer.is_owner:
        if known.writer == "owner" or order_id not in viewer.order_ids:
            raise KindReserved(
                "A seller writes only run.* and note.written, for an order of its own (order_id).",
                kind=kind,
            )
        return NewEvent(kind, caller.agent_id, body, order_id, audience="order")
    if kind == "decision.made":
        return _decision(caller, body)
    return NewEvent(kind, caller.agent_id, body, order_id)


def _decision(caller: Caller, body: dict[str, Any]) -> NewEvent:
    if caller.kind != "buyer":
        raise KindReserved("Only the buyer of a session decides.", kind="decision.made")
    try:
        decision = msgspec.convert(body, Decision, strict=True)
    except msgspec.ValidationError as error:
        raise BadEvent(f"The decision is not of its form: {error}.") from error
    if (decision.outcome == "leave") != (decision.reason is not None):
        raise BadEvent("A decision to leave has a reason; one to advance has none.", field="reason")
    tree: dict[str, Any] = msgspec.to_builtins(decision)
    return NewEvent("decision.made", caller.agent_id, tree, decision.order_id, decision.stage)


def _view(snapshot: Snapshot, session_id: str) -> SessionView:
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
        orders=list(dict.fromkeys(m.order_id for m in joined)),
    )
