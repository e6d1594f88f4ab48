"""Reading: the past page by page, then live, without gap or repeat."""

import math
from collections.abc import AsyncGenerator, Callable
from typing import Final, NamedTuple

from sqlalchemy import LargeBinary, bindparam, cast, select

from market.base.hub import Ear
from market.base.sql import Sql
from market.base.store import Store
from market.base.streams.errors import StreamNotFound
from market.base.streams.log import Stream, stream
from market.base.streams.tables import entries
from market.base.work import Entry, Snapshot

MAX_PAGE: Final = 500
"""Entries that one read returns at most."""

MAX_PAGE_BYTES: Final = 256 * 1024
"""Bytes after which a read stops, with at least one entry."""

LIVE_PAGE_BYTES: Final = 64 * 1024
"""The same for a reader that follows: a server holds its last page, for each of many."""

FIRST_STEP: Final = 32
"""Entries that a read fetches first; then twice as many, so that long ones are not read in vain."""

POLL_SECONDS: Final = 1.0
"""How long a waiting reader trusts the bell before it looks for itself."""

_PAGE: Final = Sql(
    # SQLite lets anyone who edits a file put text where bytes belong; readers get bytes.
    select(entries.c.offset, cast(entries.c.data, LargeBinary).label("data"))
    .where(
        entries.c.stream_id == bindparam("stream_id"),
        entries.c.offset > bindparam("after"),
        entries.c.offset < bindparam("end"),
    )
    .order_by(entries.c.offset)
    .limit(bindparam("limit"))
)


Patience = float | Callable[[], float]
"""How many seconds a reader waits before it wants a sign; asked anew each time if callable."""


class Read(NamedTuple):
    """Entries after an offset, and where the stream stands. ``is_end``: closed, and all read."""

    entries: list[Entry]
    next_offset: int
    is_end: bool
    is_closed: bool = False


def read(
    snapshot: Snapshot,
    *,
    stream_id: str,
    after: int,
    limit: int = MAX_PAGE,
    max_bytes: int = MAX_PAGE_BYTES,
) -> Read:
    """Return up to ``limit`` entries after offset ``after`` (-1: from the start).

    Raises:
        StreamNotFound: there is no such stream.
    """
    now = stream(snapshot, stream_id=stream_id)
    if now is None:
        raise StreamNotFound("There is no stream under this id.")
    found: list[Entry] = []
    last, size = after, 0
    while last + 1 < now.next_offset and len(found) < limit and size < max_bytes:
        place, end = _place(snapshot, stream_id, now, last)
        page = _page(snapshot, place, last, end, limit - len(found), max_bytes - size)
        if not page:
            break  # Entries were taken out of the store: what is left can still be read.
        last = page[-1].offset
        size += sum(len(entry.data) for entry in page)
        found += page
        if last + 1 < end:
            break  # It is full. Otherwise what follows is in another stream of the chain.
    is_end = now.is_closed and last + 1 >= now.next_offset
    return Read(found, now.next_offset, is_end, now.is_closed)


def _place(snapshot: Snapshot, stream_id: str, now: Stream, after: int) -> tuple[str, int]:
    """Return which stream of a chain of forks holds what follows ``after``, and up to where."""
    end = now.next_offset
    while now.source_id is not None and after + 1 < (now.forked_at or 0):
        stream_id, end = now.source_id, min(end, now.forked_at or 0)
        source = stream(snapshot, stream_id=stream_id)
        assert source is not None, "a source is removed after its forks"
        now = source
    return stream_id, end


async def follow(
    store: Store, *, stream_id: str, after: int, patience_seconds: Patience = POLL_SECONDS
) -> AsyncGenerator[Read, None]:
    """Yield what follows ``after``: first the past, then live, without gap or repeat.

    An empty ``Read`` comes every ``patience_seconds`` in which nothing happened, and when somebody
    wakes the readers, so that the caller may send a sign of life or give up. The last one has
    ``is_end``; it also ends when the market drains. Nothing is read ahead of the consumer.

    Raises:
        StreamNotFound: there is no such stream.
    """
    longest = bell_seconds(store)
    with store.hub.listen(stream_id) as ear:
        until: float | None = None
        while not store.hub.is_draining:
            found = await _at_hand(store, ear, stream_id, after)
            if found is not None:
                until = None
                if found.entries:
                    after = found.entries[-1].offset
                yield found
                if found.is_end:
                    return
                continue
            now = ear.loop.time()
            until = now + _seconds(patience_seconds) if until is None else until
            if ear.was_called() or now >= until:
                until = None
                if store.settings.dialect != "sqlite":
                    ear.look()  # closed without an entry, by another worker: no bell tells of it
                yield Read([], after + 1, is_end=False)
            elif not await ear.wait(min(until - now, longest)) and longest < math.inf:
                ear.look()


def bell_seconds(store: Store) -> float:
    """Return for how long the bell can be trusted: another worker may write without ringing it."""
    is_told = store.settings.dialect == "sqlite" or store.hub.has_lookout
    return math.inf if is_told else POLL_SECONDS


def _seconds(patience: Patience) -> float:
    return patience() if callable(patience) else patience


async def _at_hand(store: Store, ear: Ear, stream_id: str, after: int) -> Read | None:
    """Return what follows ``after``, from memory or else the log; None when it is time to wait."""
    heard = ear.take(after)
    if heard:
        return Read(heard, heard[-1].offset + 1, is_end=False)
    if ear.must_look():
        found = await _from_log(store, stream_id, after)
        if found.entries:
            ear.look()
        if found.entries or found.is_end:
            return found
    return None


async def _from_log(store: Store, stream_id: str, after: int) -> Read:
    """Return the next page in this reader's turn; one that many ask for is read once."""
    shelf = store.hub.shelf
    async with store.hub.turn():
        page = shelf.find(stream_id, after)
        if page is not None:
            return Read(page, page[-1].offset + 1, is_end=False)
        found = await store.read(read, stream_id=stream_id, after=after, max_bytes=LIVE_PAGE_BYTES)
        if found.entries and found.entries[-1].offset + 1 < found.next_offset:
            shelf.keep(stream_id, after, found.entries)
        return found


def _page(
    snapshot: Snapshot, stream_id: str, after: int, end: int, limit: int, max_bytes: int
) -> list[Entry]:
    """Return entries of a stream between ``after`` and ``end``: one at least, if there are any."""
    found: list[Entry] = []
    size, step = 0, FIRST_STEP
    while len(found) < limit:
        step = min(step, limit - len(found))
        rows = snapshot.all(_PAGE, stream_id=stream_id, after=after, end=end, limit=step)
        for row in rows:
            size += len(row.data)
            if found and size > max_bytes:
                return found
            found.append(Entry(row.offset, bytes(row.data), {}))
        if len(rows) < step:
            break
        after, step = rows[-1].offset, step * 2
    return found
