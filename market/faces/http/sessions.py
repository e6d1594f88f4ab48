"""Sessions over HTTP: open, read by page, by long poll or live, write, close."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Annotated, Literal

import msgspec
from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter
from litestar.response.base import ASGIResponse
from msgspec import Meta

from market import orders, sessions
from market.base.caller import Caller
from market.base.once import Once
from market.base.paging import Cursor, Limit
from market.base.store import Store
from market.base.streams import BadProducer, Producer
from market.faces.http.answers import Answer
from market.faces.http.binding import get, post
from market.faces.http.call import Call
from market.faces.http.desk import Desk
from market.faces.http.doors import Visitor
from market.faces.http.limits import INPUT_BODY, After, Wait
from market.faces.http.streaming import EVENTS, Batch, open_stream, snapshot_frame
from market.protocol.folded import SnapshotView
from market.protocol.ids import SessionId
from market.protocol.wire import (
    AnswerControl,
    Appended,
    Close,
    Control,
    ControlView,
    ForkSession,
    OpenSession,
    Page,
    SessionView,
    View,
    WriteEvents,
)

ProducerId = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[\w.:-]+\Z")]
Offset = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Start = Annotated[
    Literal["snapshot"] | None,
    QueryParameter(
        name="from", description="begin with what the log comes to, where the reader has none of it"
    ),
]
LastEventId = Annotated[After | None, HeaderParameter(name="Last-Event-ID")]


class EventsView(View, frozen=True, kw_only=True):
    """A part of a log. Read on with ``after = next_offset - 1``. Nothing follows if ``closed``."""

    items: Annotated[
        list[msgspec.Raw], Meta(description="events, and stubs of those that are withheld")
    ]
    next_offset: int
    closed: bool


class SessionController(Controller):
    path = "/v1/sessions"
    tags = ("sessions",)

    @post(refuses=(403,), location="/v1/sessions/{id}", scopes=("order",))
    async def open_session(
        self,
        request: JSONBody[OpenSession],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> SessionView:
        """Begin a buying journey: a durable log of its own."""
        caller.need("order")
        await desk.quotas.take("open_sessions", caller.agent_id, once=once)
        return await desk.store.write_once(
            once,
            sessions.open_session,
            buyer_id=caller.agent_id,
            principal_id=caller.principal_id,
            request=request,
        )

    @get(scopes=("read",))
    async def list_sessions(
        self,
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        state: FromQuery[Literal["open", "closed", "any"]] = "any",
        limit: FromQuery[Limit] = 50,
        cursor: FromQuery[Cursor | None] = None,
    ) -> Page[SessionView]:
        """List the caller's sessions, newest first; an overseer's are all."""
        caller.need("read")
        return await store.scan(
            sessions.sessions_of, caller=caller, state=state, cursor=cursor, limit=limit
        )

    @get("/{session_id:str}", refuses=(404,), delegates=True, scopes=("read", "session.read"))
    async def read_session(
        self,
        session_id: FromPath[SessionId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> SessionView:
        """Say where a session stands. A seller sees its own part."""
        sessions.need_to_read(caller)
        return await store.read(sessions.session, caller=caller, session_id=session_id)

    @post(
        "/{session_id:str}/events",
        max_body=INPUT_BODY,
        refuses=(403, 404, 409),
        delegates=True,
        scopes=("order", "oversee", "session.write"),
    )
    async def write_events(
        self,
        session_id: FromPath[SessionId],
        events: JSONBody[WriteEvents],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        producer_id: Annotated[ProducerId | None, HeaderParameter(name="Producer-Id")] = None,
        producer_epoch: Annotated[Offset | None, HeaderParameter(name="Producer-Epoch")] = None,
        producer_seq: Annotated[Offset | None, HeaderParameter(name="Producer-Seq")] = None,
    ) -> Appended:
        """Append events as a participant. With producer headers a repeat appends nothing again."""
        return await store.write(
            sessions.write,
            caller=caller,
            session_id=session_id,
            events=events,
            producer=_producer(producer_id, producer_epoch, producer_seq),
        )

    @get(
        "/{session_id:str}/events", refuses=(404,), delegates=True, scopes=("read", "session.read")
    )
    async def read_events(
        self,
        session_id: FromPath[SessionId],
        caller: NamedDependency[Caller],
        call: NamedDependency[Call],
        store: NamedDependency[Store],
        after: FromQuery[After] = -1,
        limit: FromQuery[Limit] = 100,
        wait_seconds: FromQuery[Wait] = 0,
    ) -> EventsView:
        """Read what follows an offset; with ``wait_seconds``, wait for it."""
        sessions.need_to_read(caller)
        found = await store.read(
            sessions.events, caller=caller, session_id=session_id, after=after, limit=limit
        )
        if wait_seconds and not found.events and not found.is_end:
            following = sessions.follow(
                store,
                caller=caller,
                session_id=session_id,
                after=after,
                patience_seconds=wait_seconds,
            )
            async with aclosing(following):
                await anext(following, None)
            await call.desk.doors.recheck(call.visitor)
            found = await store.read(
                sessions.events, caller=caller, session_id=session_id, after=after, limit=limit
            )
        return EventsView(
            items=[msgspec.Raw(event.json) for event in found.events],
            next_offset=found.events[-1].offset + 1 if found.events else after + 1,
            closed=found.is_end,
        )

    @get(
        "/{session_id:str}/snapshot",
        refuses=(404,),
        answer=SnapshotView,
        delegates=True,
        scopes=("read", "session.read"),
    )
    async def read_snapshot(
        self,
        session_id: FromPath[SessionId],
        caller: NamedDependency[Caller],
        call: NamedDependency[Call],
        desk: NamedDependency[Desk],
    ) -> ASGIResponse:
        """Return what a session's log comes to: orders with their output, runs, who is there.

        Read or follow what comes after it with ``after = next_offset - 1``.
        """
        sessions.need_to_read(caller)
        found = await sessions.snapshot(
            desk.store, desk.folds, caller=caller, session_id=session_id
        )
        return Answer(found.json, request_id=call.request_id)

    @get(
        "/{session_id:str}/stream",
        refuses=(404, 429),
        answer=str,
        media=(EVENTS,),
        delegates=True,
        scopes=("read", "session.read"),
    )
    async def stream_session(
        self,
        session_id: FromPath[SessionId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        call: NamedDependency[Call],
        after: FromQuery[After] = -1,
        start: Start = None,
        last_event_id: LastEventId = None,
    ) -> ASGIResponse:
        """Follow a session live: first the past, then what comes, as server-sent events.

        ``id`` is the offset; the header ``Last-Event-ID`` wins over ``after``. A reader that has
        nothing yet may ask ``from=snapshot``: the past is then one frame, an event ``snapshot``
        with the body of ``read_snapshot`` and the ``id`` of the last offset in it. The last frame
        is an event ``closed`` (the log is complete), or ``drain``, ``expired`` or ``revoked``: go
        on with a new connection, or a new token, from ``next_offset - 1``.
        """
        sessions.need_to_read(caller)
        await store.read(sessions.viewer_of, caller=caller, session_id=session_id)
        seen = after if last_event_id is None else last_event_id
        first = b""
        if start == "snapshot" and seen < 0:
            found = await sessions.snapshot(
                store, call.desk.folds, caller=caller, session_id=session_id
            )
            seen, first = found.offset, snapshot_frame(found.json, found.offset)
        batches = follow_session(call.desk, call.visitor, session_id=session_id, after=seen)
        return open_stream(call, batches, after=seen, first=first)

    @post(
        "/{session_id:str}/fork",
        refuses=(403, 404),
        location="/v1/sessions/{id}",
        scopes=("order", "oversee"),
    )
    async def fork_session(
        self,
        session_id: FromPath[SessionId],
        request: JSONBody[ForkSession],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> SessionView:
        """Open a session with the history of this one up to an offset, to replay what follows.

        Its log has the same events there, with the same hashes, and then ``session.forked``. It
        is the same buyer's. Orders of that history stay where they are: nothing moves for them.
        """
        await desk.quotas.take("open_sessions", caller.agent_id, once=once)
        return await desk.store.write_once(
            once, sessions.fork, caller=caller, session_id=session_id, request=request
        )

    @post(
        "/{session_id:str}/controls",
        refuses=(403, 404, 409),
        delegates=True,
        scopes=("order", "oversee", "session.control"),
        frees=True,
    )
    async def control_session(
        self,
        session_id: FromPath[SessionId],
        request: JSONBody[Control],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> list[ControlView]:
        """Cancel, pause, resume, steer, approve or deny: one order, all that are open, or a run."""
        return await store.write_once(
            once, orders.control, caller=caller, session_id=session_id, request=request
        )

    @post(
        "/{session_id:str}/controls/{offset:str}/answer",
        status=200,
        refuses=(403, 404),
        delegates=True,
        scopes=("order", "oversee", "session.write"),
        frees=True,
    )
    async def answer_control(
        self,
        session_id: FromPath[SessionId],
        offset: FromPath[Offset],
        request: JSONBody[AnswerControl],
        once: NamedDependency[Once | None],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> ControlView:
        """Answer a steer as the one that it was meant for: a seller, or the actor of a run.

        With an Idempotency-Key a repeat gets the first answer; without, a steer is open no more.
        """
        return await store.write_once(
            once,
            orders.answer_control,
            caller=caller,
            session_id=session_id,
            offset=offset,
            request=request,
        )

    @post(
        "/{session_id:str}/close",
        status=200,
        refuses=(404, 409),
        scopes=("order", "oversee"),
        frees=True,
    )
    async def close_session(
        self,
        session_id: FromPath[SessionId],
        request: JSONBody[Close],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> SessionView:
        """Complete a session's log for good; a repeat changes nothing."""
        return await store.write(
            orders.close_session, caller=caller, session_id=session_id, reason=request.reason
        )


async def follow_session(
    desk: Desk, visitor: Visitor, *, session_id: str, after: int
) -> AsyncGenerator[Batch[sessions.Shown], None]:
    """Yield a session's log as ``visitor`` sees it, for any live transport."""
    following = sessions.follow(
        desk.store,
        caller=visitor.caller,
        session_id=session_id,
        after=after,
        patience_seconds=partial(desk.doors.patience, visitor),
    )
    async with aclosing(following) as readings:
        async for reading in readings:
            yield Batch(reading.events, reading.next_offset, reading.is_end)


def _producer(producer_id: str | None, epoch: int | None, seq: int | None) -> Producer | None:
    if producer_id is None and epoch is None and seq is None:
        return None
    if producer_id is None or epoch is None or seq is None:
        raise BadProducer("Send Producer-Id, Producer-Epoch and Producer-Seq together, or none.")
    return Producer(producer_id, epoch, seq)
