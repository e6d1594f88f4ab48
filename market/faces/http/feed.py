"""Feeds: many sessions over one connection, since browsers allow few to one host.

Every frame names its session, for stubs do not, and a fork's shared events name its source.
Over SSE the sessions stand in the query; over a WebSocket they come and go by frames:
``{"follow": {"session_id", "after"}}`` and ``{"unfollow": {"session_id"}}``, answered by
``{"following": ...}`` and ``{"unfollowed": ...}``, and ``{"control": {"session_id", ...}}``.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from litestar import Controller, websocket
from litestar.di import NamedDependency
from litestar.params import FromQuery, HeaderParameter
from litestar.response.base import ASGIResponse
from msgspec import Meta

from market import orders, sessions
from market.base.caller import Caller
from market.base.store import Store
from market.faces.http.answers import encode
from market.faces.http.binding import get
from market.faces.http.call import Call, read_query
from market.faces.http.cursors import Cursors, Start, read_starts
from market.faces.http.desk import Desk
from market.faces.http.doors import Visitor
from market.faces.http.limits import After
from market.faces.http.lines import Line, Socket, decode_frame, serve_line
from market.faces.http.problems import InvalidParameter, Malformed
from market.faces.http.streaming import ALIVE, EVENTS, OPENED, Batch, EventStream, Step, steps
from market.protocol.ids import SessionId
from market.protocol.wire import Control, ControlView
from market.sessions import Feed, FeedTurn

Places = Annotated[
    list[str],
    Meta(
        min_length=1,
        max_length=sessions.MAX_FOLLOWED,
        description="`SES` or `SES:AFTER`, once for each session; AFTER is the last offset seen",
    ),
]
LastCursor = Annotated[str | None, HeaderParameter(name="Last-Event-ID")]


class Frame(NamedTuple):
    """One frame of a feed, of the session in which ``turn`` happened.

    ``offset`` counts frames; ``cursor`` is where the reader stands once it has this one.
    """

    offset: int
    kind: bytes
    json: bytes
    cursor: bytes
    turn: FeedTurn


class _Follow(msgspec.Struct, forbid_unknown_fields=True):
    session_id: SessionId
    after: After = -1


class _Unfollow(msgspec.Struct, forbid_unknown_fields=True):
    session_id: SessionId


class _Controlled(Control, frozen=True, kw_only=True):
    session_id: SessionId


class _Frame(msgspec.Struct, forbid_unknown_fields=True):
    """What a client may send: one of these."""

    follow: _Follow | None = None
    unfollow: _Unfollow | None = None
    control: _Controlled | None = None


_FRAME: Final = msgspec.json.Decoder(_Frame)


class FeedController(Controller):
    path = "/v1/feed"
    tags = ("sessions",)

    @get(
        "/",
        refuses=(404, 429),
        answer=str,
        media=(EVENTS,),
        delegates=True,
        scopes=("read", "session.read"),
    )
    async def stream_feed(
        self,
        session: FromQuery[Places],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        call: NamedDependency[Call],
        last_event_id: LastCursor = None,
    ) -> ASGIResponse:
        """Follow up to 100 sessions at once, as server-sent events.

        The data of an event is ``{"session_id", "event"}``; its ``id`` is a cursor over all the
        sessions, which as ``Last-Event-ID`` resumes the same request exactly. A session that ends
        gives one event ``closed`` with ``{"session_id", "next_offset"}``. The last frame is an
        event ``end`` (all are closed), or ``drain``, ``expired`` or ``revoked``: come back.
        """
        sessions.need_to_read(caller)
        cursors = Cursors(read_starts(session))
        feed = Feed(store, caller)
        await feed.follow(dict(cursors.resume(last_event_id or "")))
        desk = call.desk
        sequence = steps(_frames(feed, cursors), doors=desk.doors, visitor=call.visitor, after=-1)
        return EventStream(_event_frames(sequence), gate=desk.gate, call=call)

    @websocket("/socket")
    async def open_feed_socket(self, socket: Socket) -> None:
        """Follow sessions that come and go, and control them, over one connection."""

        async def open_line(desk: Desk, visitor: Visitor) -> Line:
            feed = Feed(desk.store, visitor.caller)
            await feed.follow(dict(_asked_at_first(socket.scope["query_string"])))
            return _FeedLine(socket, desk, visitor, feed)

        await serve_line(socket, open_line)


class _FeedLine(Line):
    """Many sessions' logs, and controls of them."""

    def __init__(self, socket: Socket, desk: Desk, visitor: Visitor, feed: Feed) -> None:
        super().__init__(socket, desk, visitor)
        self._feed = feed

    async def send_log(self) -> None:
        """Send what comes in the sessions that are followed now, until the market ends it."""
        frames = _frames(self._feed, None)
        sequence = steps(frames, doors=self.desk.doors, visitor=self.visitor, after=-1)
        async with aclosing(sequence):
            async for step in sequence:
                for frame in step.items:
                    # Not after the answer to an unfollow, which may come in between.
                    if frame.turn.is_wanted:
                        await self.send(frame.json)
                if step.ending is not None:
                    self.end(step.ending)

    async def act(self, frame: bytes, visitor: Visitor) -> dict[str, Any]:
        """Follow, unfollow, or intervene in a session."""
        asked: _Frame = decode_frame(_FRAME, frame)
        match asked:
            case _Frame(follow=_Follow() as follow, unfollow=None, control=None):
                await self._feed.follow({follow.session_id: follow.after})
                return {"following": follow}
            case _Frame(follow=None, unfollow=_Unfollow() as unfollow, control=None):
                self._feed.unfollow(unfollow.session_id)
                return {"unfollowed": unfollow}
            case _Frame(follow=None, unfollow=None, control=_Controlled() as control):
                return {
                    "session_id": control.session_id,
                    "control": await self._control(control, visitor),
                }
        raise Malformed("A frame has one of 'follow', 'unfollow' and 'control'.")

    async def _control(self, control: _Controlled, visitor: Visitor) -> list[ControlView]:
        return await self.desk.store.write(
            orders.control,
            caller=visitor.caller,
            session_id=control.session_id,
            request=control,
        )


def _asked_at_first(query: bytes) -> list[Start]:
    found = read_query(query, ("session",))
    if found.keys() - {"session"}:
        raise InvalidParameter("The query has 'session', once for each session, and nothing else.")
    return read_starts(found.get("session", []))


async def _frames(feed: Feed, cursors: Cursors | None) -> AsyncGenerator[Batch[Frame], None]:
    """Yield what comes; with ``cursors``, until every session is closed."""
    sent = 0
    if cursors is not None and not len(feed):
        yield Batch([], sent, is_end=True)
        return
    async with aclosing(feed.turns()) as turns:
        async for turn in turns:
            frames = [] if turn is None else list(_frames_of(turn, cursors, sent))
            sent += len(frames)
            left = len(feed) - (turn is not None and turn.is_end)
            yield Batch(frames, sent, is_end=cursors is not None and not left)


def _frames_of(turn: FeedTurn, cursors: Cursors | None, sent: int) -> Iterator[Frame]:
    name = turn.session_id.encode()
    for event in turn.events:
        cursor = b"" if cursors is None else cursors.moved(turn.session_id, event.offset)
        json = b'{"session_id":"%b","event":%b}' % (name, event.json)
        yield Frame(sent, b"", json, cursor, turn)
        sent += 1
    if turn.is_end:
        end = {"session_id": turn.session_id, "next_offset": turn.next_offset}
        if cursors is None:
            yield Frame(sent, b"closed", encode({**end, "closed": True}), b"", turn)
        else:
            cursor = cursors.closed(turn.session_id, turn.next_offset)
            yield Frame(sent, b"closed", encode(end), cursor, turn)


async def _event_frames(
    sequence: AsyncGenerator[Step[Frame], None],
) -> AsyncGenerator[bytes, None]:
    """Yield steps as server-sent events."""
    async with aclosing(sequence):
        yield OPENED
        async for step in sequence:
            if step.items:
                yield b"".join(map(_event, step.items))
            elif step.ending is None:
                yield ALIVE
            else:
                ending = "end" if step.ending == "closed" else step.ending
                yield b"event: %b\ndata: {}\n\n" % ending.encode()


def _event(frame: Frame) -> bytes:
    kind = b"event: %b\n" % frame.kind if frame.kind else b""
    return b"%bid: %b\ndata: %b\n\n" % (kind, frame.cursor, frame.json)
