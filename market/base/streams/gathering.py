"""Following many streams at once: one reader, a place in each stream, one bounded buffer for all.

A place costs some hundred bytes and no task. Streams that have something new wait in one queue and
are served in turn, a page each, so that a busy one keeps no other from being heard.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final, NamedTuple

from sqlalchemy import select

from market.base.hub import MAX_BUFFER, Hub, in_a_row
from market.base.sql import Sql, among
from market.base.store import Store
from market.base.streams.reading import POLL_SECONDS, Read, bell_seconds, read
from market.base.streams.tables import streams
from market.base.work import Entry, Snapshot

PAGE: Final = 100
"""Entries of one stream that are read before another's turn comes."""

PAGE_BYTES: Final = 64 * 1024
"""Bytes after which a turn ends, with at least one entry."""

_stands = select(streams.c.id, streams.c.next_offset, streams.c.is_closed)
_STANDS: Final = Sql(among(_stands, streams.c.id, "stream_ids"))


class Place:
    """How far a reader has come in one stream. ``is_followed``: it has not left it."""

    __slots__ = (
        "_entries", "_gathering", "_held", "_is_queued", "_must_look", "after", "is_followed",
        "loop", "stream_id",
    )  # fmt: skip

    def __init__(self, gathering: "Gathering", stream_id: str, after: int) -> None:
        self.loop = gathering.loop
        self.stream_id = stream_id
        self.after = after
        self.is_followed = True
        self._gathering = gathering
        self._entries: list[Entry] = []
        self._held = 0
        self._must_look = True
        self._is_queued = False

    def hear(self, entries: list[Entry]) -> None:
        """Take new entries in, or remember to read them from the log if they would be too many."""
        size = sum(len(entry.data) for entry in entries)
        if not entries or not self._gathering.has_room(size):
            self.forget()
            self._must_look = True
        else:
            self._entries += entries
            self._held += size
            self._gathering.held_bytes += size
        self.queue()

    def wake(self) -> None:
        """Let the reader look around: the market drains."""
        self._gathering.wake()

    def hint(self, last: int | None) -> None:
        """Look at the log, if it goes up to an offset that was not read yet; None: it may."""
        if last is None or last > self.after:
            self.look()

    def look(self) -> None:
        """Let the reader read this stream's log when its turn comes."""
        self._must_look = True
        self.queue()

    def queue(self) -> None:
        """Wait for a turn."""
        if not self._is_queued:
            self._is_queued = True
            self._gathering.enqueue(self)

    def dequeue(self) -> None:
        """The turn has come."""
        self._is_queued = False

    def forget(self) -> None:
        """Let go of the entries at hand."""
        self._gathering.held_bytes -= self._held
        self._entries, self._held = [], 0

    async def take(self, store: Store) -> Read | None:
        """Return what follows ``after``, from memory or else the log, and move there."""
        heard = self._heard()
        if heard:
            found = Read(heard, heard[-1].offset + 1, is_end=False)
        elif self._must_look:
            self._must_look = False
            found = await store.read(
                read, stream_id=self.stream_id, after=self.after, limit=PAGE, max_bytes=PAGE_BYTES
            )
        else:
            return None
        if not self.is_followed:
            return None
        if found.entries:
            self.after = found.entries[-1].offset
            if self._must_look or self.after + 1 < found.next_offset:
                self.look()
        return found if found.entries or found.is_end else None

    def _heard(self) -> list[Entry]:
        """Return the entries at hand that follow without a gap."""
        taken, is_broken = in_a_row(self._entries, self.after)
        self._must_look |= is_broken
        self.forget()
        return taken


class Turn(NamedTuple):
    """What came next in one of the streams."""

    place: Place
    found: Read


class Gathering:
    """The streams that one reader follows, with its place in each. One event loop uses it."""

    def __init__(self, hub: Hub) -> None:
        self.loop = asyncio.get_running_loop()
        self.held_bytes = 0
        self._hub = hub
        self._bell = asyncio.Event()
        self._places: dict[str, Place] = {}
        self._ready: deque[Place] = deque()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, stream_id: object) -> bool:
        return stream_id in self._places

    def add(self, stream_id: str, *, after: int) -> Place:
        """Follow a stream behind ``after``; one that is followed already goes on from there."""
        self.remove(stream_id)
        place = self._places[stream_id] = Place(self, stream_id, after)
        self._hub.join(stream_id, place)
        place.queue()
        return place

    def remove(self, stream_id: str) -> bool:
        """Follow a stream no more; say whether it was followed."""
        place = self._places.pop(stream_id, None)
        if place is None:
            return False
        place.is_followed = False
        place.forget()
        self._hub.leave(stream_id, place)
        return True

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may wait in memory."""
        return self.held_bytes + size <= MAX_BUFFER

    def enqueue(self, place: Place) -> None:
        """Give this place a turn, behind those that wait for theirs."""
        self._ready.append(place)
        self._bell.set()

    def wake(self) -> None:
        """Let the reader look around."""
        self._bell.set()

    async def turns(self, store: Store) -> AsyncGenerator[Turn | None, None]:
        """Yield what follows in each stream, by turns; None after each quiet second.

        A stream that has ended is followed no more. It ends when the market drains; it goes on
        without a stream to follow, since one may be added. Nothing is read ahead of the consumer.

        Raises:
            StreamNotFound: a stream that was added does not exist.
        """
        is_alone = bell_seconds(store) == math.inf
        try:
            while not store.hub.is_draining:
                place = self._next()
                if place is not None:
                    found = await place.take(store)
                    if found is not None:
                        yield Turn(place, found)
                        if found.is_end and place.is_followed:
                            self.remove(place.stream_id)
                elif not await self._is_rung():
                    if not is_alone:
                        # Another worker may have written without ringing here.
                        await self._look_around(store)
                    yield None
        finally:
            # Synchronous, so that a cancelled reader leaves nothing behind.
            for stream_id in list(self._places):
                self.remove(stream_id)

    def _next(self) -> Place | None:
        while self._ready:
            place = self._ready.popleft()
            place.dequeue()
            if place.is_followed:
                return place
        self._bell.clear()
        return None

    async def _is_rung(self) -> bool:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                return await self._bell.wait()
        except TimeoutError:
            return False

    async def _look_around(self, store: Store) -> None:
        """Ask once for all streams which of them have gone on."""
        for stream_id, next_offset, is_closed in await store.read(
            _stand, stream_ids=sorted(self._places)
        ):
            place = self._places.get(stream_id)
            if place is not None and (is_closed or next_offset > place.after + 1):
                place.look()


def _stand(snapshot: Snapshot, *, stream_ids: list[str]) -> list[tuple[str, int, bool]]:
    rows = snapshot.all(_STANDS, stream_ids=stream_ids)
    return [(row.id, row.next_offset, bool(row.is_closed)) for row in rows]
