"""Reading live: server-sent events that begin in the past and go on as the stream does.

A stream that nothing happens to costs nothing but its place: it waits for the writer's bell. A
reader that is slower than its stream waits in its own socket; what it misses it reads from the log.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from litestar.types import Receive, Send

from market.base.errors import MarketError
from market.base.hub import Ear
from market.faces.http import limits
from market.faces.http.answers import Header
from market.faces.http.desk import Desk
from market.faces.http.doors import Visitor
from market.faces.http.streaming import impatient
from market.faces.streams.frames import control_frame, cursor_at, data_frame, push_frames
from market.faces.streams.headers import Wanted
from market.faces.streams.logs import Log, read_page
from market.faces.streams.reading import touch
from market.rawstreams import is_text

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
    encoding = ((b"stream-sse-data-encoding", b"base64"),)
    extra = () if is_text(log.stream.content_type) else encoding
    soon = impatient(send)
    await soon(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [*_EVENTS, *extra, *headers],
        }
    )
    reader = _Reader(desk, log, wanted, visitor)
    with desk.store.hub.listen(log.stream.id) as ear:
        leaving = asyncio.create_task(_until_gone(receive))
        leaving.add_done_callback(lambda _: reader.leave(ear))
        try:
            async for frame in reader.frames(ear):
                await soon({"type": "http.response.body", "body": frame, "more_body": True})
        finally:
            leaving.cancel()
    await soon({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Reader:
    """One reader's way through one stream."""

    def __init__(self, desk: Desk, log: Log, wanted: Wanted, visitor: Visitor | None) -> None:
        self._desk = desk
        self._log = log
        self._visitor = visitor
        self._known_cursor = wanted.cursor
        self._after = log.stream.next_offset - 1 if wanted.after is None else wanted.after
        self._has_left = False

    def leave(self, ear: Ear) -> None:
        """Note that nobody reads any more."""
        self._has_left = True
        ear.wake()

    async def frames(self, ear: Ear) -> AsyncGenerator[bytes, None]:
        """Yield what to send, up to the end."""
        store = self._desk.store
        is_first = True
        while not self._has_left and not store.hub.is_draining and await self._may_stay():
            heard = ear.take(self._after)
            if heard:
                self._after = heard[-1].offset
                content_type = self._log.stream.content_type
                yield push_frames(heard, content_type, self._log.view, self._cursor())
            elif ear.must_look():
                frame, is_end = await self._look(ear, always=is_first)
                is_first = False
                if frame:
                    yield frame
                if is_end:
                    return
                await asyncio.sleep(0)
            elif not await ear.wait(self._patience()):
                await touch(store, self._log)
                ear.look()
                yield control_frame(
                    self._after + 1, self._cursor(), is_up_to_date=True, is_closed=False
                )

    async def _look(self, ear: Ear, *, always: bool) -> tuple[bytes, bool]:
        """Return what the log holds next, as frames, and whether that was the end."""
        try:
            page = await self._desk.store.read(
                read_page,
                log=self._log,
                after=min(self._after, 2**62),
                limit=PAGE_ENTRIES,
                max_bytes=PAGE,
            )
        except MarketError:
            return b"", True  # deleted or expired: the next request is told so
        data = b""
        if page.entries:
            ear.look()
            self._after = page.entries[-1].offset
            data = data_frame(page.entries, self._log.stream.content_type, self._log.view)
        elif self._after + 1 > page.next_offset:
            self._after = page.next_offset - 1
        is_tail = self._after + 1 >= page.next_offset
        is_end = page.is_closed and is_tail
        if not (data or is_end or always):
            return b"", False
        control = control_frame(
            self._after + 1, self._cursor(), is_up_to_date=is_tail, is_closed=is_end
        )
        return data + control, is_end

    def _patience(self) -> float:
        ttl = self._log.stream.ttl_seconds
        longest = limits.HEARTBEAT_SECONDS if ttl is None else ttl / 2
        if self._visitor is not None:
            longest = min(longest, self._desk.doors.patience(self._visitor))
        return min(max(longest, 0.1), limits.HEARTBEAT_SECONDS)

    async def _may_stay(self) -> bool:
        if self._visitor is None:
            return True
        return await self._desk.doors.reason_to_leave(self._visitor) is None

    def _cursor(self) -> int:
        return cursor_at(self._desk.clock.now(), self._known_cursor)
