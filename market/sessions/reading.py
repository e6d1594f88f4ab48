"""Reading a session: the past page by page, then live, over one generator for every transport."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

from market.base import streams
from market.base.caller import Caller
from market.base.store import Store
from market.base.work import Snapshot
from market.sessions.rights import Viewer, shown
from market.sessions.views import viewer_of


class Shown(NamedTuple):
    """One offset of the log, as this reader gets it."""

    offset: int
    json: bytes


class Reading(NamedTuple):
    """What came after an offset. ``is_end``: the session is closed and everything was read."""

    events: list[Shown]
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

    A seller sees the orders that it had when it began to follow.

    Raises:
        SessionNotFound: there is none that the caller takes part in.
    """
    viewer = await store.read(viewer_of, caller=caller, session_id=session_id)
    following = streams.follow(
        store, stream_id=session_id, after=after, patience_seconds=patience_seconds
    )
    async with aclosing(following):
        async for found in following:
            yield _for(viewer, found)


def _for(viewer: Viewer, found: streams.Read) -> Reading:
    return Reading(
        [Shown(entry.offset, shown(entry, viewer)) for entry in found.entries],
        found.next_offset,
        found.is_end,
    )
