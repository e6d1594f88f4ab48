"""Reading live: server-sent events that begin in the past and go on as the stream does.

A stream that nothing happens to costs nothing but its place: it waits for the writer's bell. A
reader that is slower than its stream waits in its own socket; what it misses it reads from the log.
"""

import asyncio
from typing import Final

import structlog
from litestar.types import Receive, Send

from market.base import streams
from market.base.errors import MarketError
from market.base.hub import Ear
from market.faces.http import limits
from market.faces.http.answers import Header
from market.faces.http.desk import Desk
from market.faces.http.doors import Visitor
from market.faces.streams.frames import control_frame, cursor_at, data_frame, push_frames
from market.faces.streams.headers import Wanted
from market.faces.streams.logs import Log, read_in_turn
from market.faces.streams.reading import touch
from market.rawstreams import is_text

log: Final = structlog.get_logger("market.http")

PAGE: Final = 256 * 1024
PAGE_ENTRIES: Final = 2_000
_EVENTS: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-store"),
)


async def send_events(
    desk: Desk,
    log: Log,
    wanted: Wanted,
    visitor: Visitor | None,
    headers: tuple[Header, ...],
    receive: Receive,
    send: Send,
) -> None:
    """Answer with a stream's events until it ends, its reader leaves, or the market drains."""
    soon = desk.gate.patrol.watch(send)
    with desk.store.hub.listen(log.stream.id) as ear:
        reader = _Reader(desk, log, wanted, visitor, ear)
        leaving = asyncio.create_task(_until_gone(receive))
        leaving.add_done_callback(reader.leave)
        try:
            await soon(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [*_EVENTS, *_encoding(log), *headers],
                }
            )
            while (frame := await _next_frame(reader)) is not None:
                await soon({"type": "http.response.body", "body": frame, "more_body": True})
            await soon({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            leaving.cancel()


def _encoding(log: Log) -> tuple[Header, ...]:
    if is_text(log.stream.content_type):
        return ()
    return ((b"stream-sse-data-encoding", b"base64"),)


async def _next_frame(reader: "_Reader") -> bytes | None:
    """Return what to send next; None at the end, also where the market cannot go on."""
    try:
        return await reader.next_frame()
    except MarketError as refusal:
        log.info("stream.ended", code=refusal.code)
    except Exception:
        # The edge: what follows the first byte can no longer become a problem document.
        log.exception("stream.failed")
    return None


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Reader:
    """One reader's way through one stream."""

    __slots__ = (
        "_after",
        "_desk",
        "_ear",
        "_has_left",
        "_is_first",
        "_is_over",
        "_known_cursor",
        "_log",
        "_sign_at",
        "_trusts",
        "_visitor",
    )

    def __init__(
        self, desk: Desk, log: Log, wanted: Wanted, visitor: Visitor | None, ear: Ear
    ) -> None:
        self._desk = desk
        self._log = log
        self._visitor = visitor
        self._ear = ear
        self._known_cursor = wanted.cursor
        self._after = log.stream.next_offset - 1 if wanted.after is None else wanted.after
        self._is_first = True
        self._is_over = False
        self._has_left = False
        self._sign_at: float | None = None
        self._trusts = streams.bell_seconds(desk.store)

    def leave(self, _: object) -> None:
        """Note that nobody reads any more."""
        self._has_left = True
        self._ear.wake()

    async def next_frame(self) -> bytes | None:
        """Return what to send next, when there is something; None at the end."""
        ear, store = self._ear, self._desk.store
        while not (self._is_over or self._has_left or store.hub.is_draining):
            if self._visitor is not None and await self._must_go(self._visitor):
                break
            heard = ear.take(self._after)
            if heard:
                self._after = heard[-1].offset
                self._sign_at = None
                content_type = self._log.stream.content_type
                return push_frames(heard, content_type, self._log.view, self._cursor())
            if ear.must_look():
                if frame := await self._look():
                    await self._is_due()
                    return frame
            elif not await ear.wait(self._pause()):
                ear.look()
                # That says where the stream stands: a sign of life.
                self._is_first = await self._is_due()
        return None

    async def _is_due(self) -> bool:
        """Whether a sign of life is due; then the stream is used, as its reader is still here."""
        if self._left() > 0:
            return False
        self._sign_at = None
        await touch(self._desk.store, self._log)
        return True

    async def _look(self) -> bytes:
        """Return what the log holds next, as frames; nothing when there is nothing to say."""
        try:
            page = await read_in_turn(
                self._desk.store, self._log, after=self._after, limit=PAGE_ENTRIES, max_bytes=PAGE
            )
        except MarketError:
            self._is_over = True  # deleted or expired: the next request is told so
            return b""
        data = b""
        if page.entries:
            self._ear.look()
            self._after = page.entries[-1].offset
            data = data_frame(page.entries, self._log.stream.content_type, self._log.view)
        self._after = min(self._after, page.next_offset - 1)
        is_tail = self._after + 1 >= page.next_offset
        self._is_over = page.is_closed and is_tail
        if not (data or self._is_over or self._is_first):
            return b""
        self._is_first = False
        control = control_frame(
            self._after + 1, self._cursor(), is_up_to_date=is_tail, is_closed=self._is_over
        )
        return data + control

    def _pause(self) -> float:
        """Return for how long to wait for the bell: until a sign of life is due, or less."""
        return min(max(self._left(), 0.0), self._trusts)

    def _left(self) -> float:
        now = self._ear.loop.time()
        if self._sign_at is None:
            self._sign_at = now + self._patience()
        return self._sign_at - now

    def _patience(self) -> float:
        ttl = self._log.stream.ttl_seconds
        longest = limits.HEARTBEAT_SECONDS if ttl is None else ttl / 2
        if self._visitor is not None:
            longest = min(longest, self._desk.doors.patience(self._visitor))
        return min(max(longest, 0.1), limits.HEARTBEAT_SECONDS)

    async def _must_go(self, visitor: Visitor) -> bool:
        return await self._desk.doors.reason_to_leave(visitor) is not None

    def _cursor(self) -> int:
        return cursor_at(self._desk.clock.now(), self._known_cursor)
