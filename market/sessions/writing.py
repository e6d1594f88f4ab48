"""Events into the log: encoded, chained, checked for who may write what."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from market.base import streams
from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.streams import Producer
from market.base.work import UnitOfWork
from market.protocol.canonical import NotCanonical, canonical, canonical_plain, sha256_text
from market.protocol.events import KINDS, Audience, Kind, Stage
from market.protocol.secrets import may_hold_secret, without_secrets
from market.protocol.wire import Appended, Decision, WriteEvent, WriteEvents
from market.sessions.checkpoints import CHECKPOINT_EVERY, Mark, sign
from market.sessions.errors import (
    BadEvent,
    KindReserved,
    NotDelegated,
    SessionClosed,
    SessionFull,
    SessionNotFound,
)
from market.sessions.rights import Viewer, need_to_write
from market.sessions.runs import note_run
from market.sessions.views import viewer_of

MAX_EVENT_BYTES: Final = 64 * 1024
"""The longest event, as stored."""

MAX_EVENTS: Final = 1_000_000
"""Events in one session after which participants may write no more; the market still may."""

MAX_EVENTS_OF_SELLERS: Final = 900_000
"""Events after which sellers' sides may not, so that they cannot keep the buyer's out."""


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
    if kind.startswith(("session.", "order.", "control.", "approval.", "presence."))
    or kind == "delivery.completed"
)
"""Kinds whose bodies the market makes of checked text and integers: canonical as they are."""


def append(uow: UnitOfWork, *, session_id: str, events: Sequence[NewEvent]) -> Appended:
    """Append events that the market vouches for, in the unit of work that makes them true.

    Raises:
        SessionNotFound: there is no such session.
        SessionClosed: its log is complete.
    """
    claimed = claim(uow, session_id)
    return put_events(uow, session_id, claimed, events)


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
        NotDelegated, and what ``runs.note_run`` raises: a sub-agent, or a run, may not write this.
        SessionClosed, SessionFull: nothing more fits.
    """
    need_to_write(caller)
    viewer = viewer_of(uow, caller=caller, session_id=session_id)
    if producer is not None:
        # Two who name a producer alike are two: neither shuts the other out, or is taken for it.
        producer = producer._replace(id=f"{caller.agent_id}:{producer.id}")
    try:
        claimed = claim(uow, session_id)
    except SessionClosed:
        # What was appended before the close, its answer lost, has its answer all the same.
        if (repeated := _repeated(uow, session_id, events, producer)) is not None:
            return repeated
        raise
    if (repeated := _repeated(uow, session_id, events, producer)) is not None:
        return repeated
    check_room(viewer, claimed.next_offset + len(events.events))
    check = _Check(uow, caller, viewer, session_id)
    new = [
        check.event(item, claimed.next_offset + place) for place, item in enumerate(events.events)
    ]
    appended = put_events(uow, session_id, claimed, new)
    if producer is not None:
        streams.keep_producer(
            uow, stream_id=session_id, producer=producer, next_offset=appended.next_offset
        )
    return appended


def _repeated(
    uow: UnitOfWork, session_id: str, events: WriteEvents, producer: Producer | None
) -> Appended | None:
    """Return the answer to what a producer sends again; None if it is new."""
    if producer is None:
        return None
    next_offset = streams.check_producer(uow, stream_id=session_id, producer=producer)
    if next_offset is None:
        return None
    first = next_offset - len(events.events)
    return Appended(first_offset=first, next_offset=next_offset, repeated=True)


def claim(uow: UnitOfWork, session_id: str) -> streams.Stream:
    """Return where a session's log stands and keep others from it until this work ends."""
    try:
        return streams.claim(uow, stream_id=session_id)
    except streams.StreamNotFound as refusal:
        raise SessionNotFound("There is no session under this id.") from refusal
    except streams.StreamClosed as refusal:
        raise SessionClosed("Its log is complete; open a new session.") from refusal


def check_room(viewer: Viewer, next_offset: int) -> None:
    """Let pass what a participant writes, if the log is not too long with it.

    Raises:
        SessionFull: it would be.
    """
    is_buyers = viewer.is_owner or viewer.is_buyers
    most = MAX_EVENTS if is_buyers else MAX_EVENTS_OF_SELLERS
    if next_offset > most:
        raise SessionFull(f"This side writes up to event {most} of a session.", max_events=most)


def put_events(
    uow: UnitOfWork, session_id: str, claimed: streams.Stream, events: Sequence[NewEvent]
) -> Appended:
    recorded_at = rfc3339(uow.now)
    offset, prev_hash = claimed.next_offset, claimed.head
    data, due = [], []
    for event in events:
        kind = KINDS[event.kind]
        encode = canonical_plain if event.kind in _PLAIN else _canonical
        members = {
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
        text = encode(members)
        if kind.writer != "market" and may_hold_secret(text):
            text = encode({**members, "body": without_secrets(event.body)})
        _check_length(text)
        prev_hash = sha256_text(text)
        data.append(text[:-1] + b',"hash":"' + prev_hash.encode() + b'"}')
        offset += 1
        if offset % CHECKPOINT_EVERY == 0:
            due.append(Mark(session_id, offset - 1, prev_hash))
    streams.put(uow, stream_id=session_id, claimed=claimed, data=data, head=prev_hash)
    for mark in due:
        sign(uow, mark)
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


class _Check(NamedTuple):
    """Turns what one participant writes into events, if it may write them."""

    uow: UnitOfWork
    caller: Caller
    viewer: Viewer
    session_id: str

    def event(self, item: WriteEvent, offset: int) -> NewEvent:
        """Return the event that will stand at ``offset``."""
        known = KINDS.get(item.kind)
        if known is None:
            raise BadEvent(f"There is no kind of event {item.kind!r}.", kinds=sorted(KINDS))
        if known.writer == "market":
            raise KindReserved(f"Only the market writes {item.kind}.", kind=item.kind)
        self._refuse_uncovered(known, item)
        if item.kind == "decision.made":
            return _decision(self.caller, item.body)
        is_buyers = self.viewer.is_owner or self.viewer.is_buyers
        audience: Audience = known.audience if is_buyers else "order"
        body, order_id = item.body, item.order_id
        if item.kind.startswith("run."):
            body, order_id = note_run(
                self.uow,
                caller=self.caller,
                viewer=self.viewer,
                session_id=self.session_id,
                event=item,
                audience=audience,
                offset=offset,
            )
        return NewEvent(item.kind, self.caller.agent_id, body, order_id, audience=audience)

    def _refuse_uncovered(self, known: Kind, item: WriteEvent) -> None:
        grant = self.caller.delegation
        is_foreign = not self.viewer.is_owner and item.order_id not in self.viewer.order_ids
        if grant is not None:
            if known.writer != "participant":
                raise KindReserved("A sub-agent writes run.* and note.written.", kind=item.kind)
            if is_foreign or (grant.run is not None and not item.kind.startswith("run.")):
                raise NotDelegated(
                    "The delegation is for one order or one run alone.",
                    order_id=grant.order_id,
                    run=grant.run,
                )
        elif is_foreign or (known.writer == "owner" and not self.viewer.is_owner):
            raise KindReserved(
                "A seller writes only run.* and note.written, for an order of its own (order_id).",
                kind=item.kind,
            )


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
