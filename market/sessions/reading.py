"""Reading a session: the past page by page, then live, over one generator for every transport."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import NamedTuple

from market.base import streams
from market.base.caller import Caller
from market.base.store import Store
from market.base.work import Entry, Snapshot
from market.sessions.rights import Viewer, gives_more, shown
from market.sessions.views import viewer_of


class Shown(NamedTuple):
    """One offset of the log, as this reader gets it."""

    offset: int
    json: bytes


class Page(list[Shown]):
    """Events in a row, as one reader gets them, or all owners alike.

    ``frames`` is where a face keeps what it sends for them, so that many readers cost one.
    """

    __slots__ = ("frames",)

    def __init__(self, events: Iterable[Shown]) -> None:
        super().__init__(events)
        self.frames: bytes | None = None


class Reading(NamedTuple):
    """What came after an offset. ``is_end``: the session is closed and everything was read."""

    events: Page
    next_offset: int
    is_end: bool


def events(
    snapshot: Snapshot, *, caller: Caller, session_id: str, after: int, limit: int
) -> Reading:
    """Return up to ``limit`` events after offset ``after`` (-1: from the start).

    Raises:
        SessionNotFound: there is none that the caller takes part in.
    """
    viewer = viewer_of(snapshot, caller=caller, session_id=session_id)
    found = streams.read(snapshot, stream_id=session_id, after=after, limit=limit)
    return _for(viewer, found)


async def follow(
    store: Store,
    *,
    caller: Caller,
    session_id: str,
    after: int,
    patience_seconds: streams.Patience = 1.0,
) -> AsyncGenerator[Reading, None]:
    """Yield what follows ``after``, first the past, then live; empty after each quiet moment.

    A seller that is given an order meanwhile sees what follows of it. One that waited for its
    approval was placed before that: the log, read again, has it all.

    Raises:
        SessionNotFound: there is none that the caller takes part in.
    """
    viewer = await store.read(viewer_of, caller=caller, session_id=session_id)
    following = streams.follow(
        store, stream_id=session_id, after=after, patience_seconds=patience_seconds
    )
    async with aclosing(following):
        async for found in following:
            if gives_more(viewer, found.entries):
                viewer = await store.read(viewer_of, caller=caller, session_id=session_id)
            yield _for(viewer, found)


def _for(viewer: Viewer, found: streams.Read) -> Reading:
    return Reading(_page(viewer, found.entries), found.next_offset, found.is_end)


def _page(viewer: Viewer, entries: list[Entry]) -> Page:
    if not (viewer.is_owner and entries):
        return Page(Shown(entry.offset, shown(entry, viewer)) for entry in entries)
    known: Page | None = entries[-1].views.get("page")
    if known is None or known[0].offset != entries[0].offset:
        known = Page(Shown(entry.offset, entry.data) for entry in entries)
        entries[-1].views["page"] = known
    return known
