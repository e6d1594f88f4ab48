"""Feeds: one reader follows many sessions, each from its own offset, with its rights in each."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final, NamedTuple

from market.base.caller import Caller
from market.base.store import Store
from market.base.streams import Gathering, Place
from market.base.work import Entry, Snapshot
from market.sessions.errors import FeedFull
from market.sessions.reading import Shown
from market.sessions.rights import Viewer, gives_more, shown
from market.sessions.views import viewer_of

MAX_FOLLOWED: Final = 100
"""Sessions that one feed follows at the same time."""


class FeedTurn(NamedTuple):
    """What came next in one of the sessions. ``is_end``: it is closed and was read to its end."""

    session_id: str
    events: list[Shown]
    next_offset: int
    is_end: bool
    place: Place

    @property
    def is_wanted(self) -> bool:
        """Whether the reader has not left the session, or moved in it, since."""
        return self.place.is_followed


class Feed:
    """The sessions that ``caller`` follows, live orders of a seller's included."""

    def __init__(self, store: Store, caller: Caller) -> None:
        self._store = store
        self._caller = caller
        self._gathering = Gathering(store.hub)
        self._viewers: dict[str, Viewer] = {}

    def __len__(self) -> int:
        """Return how many sessions are followed; one that ends counts until its turn is over."""
        return len(self._gathering)

    @property
    def held_bytes(self) -> int:
        """Bytes of events that wait in memory for the reader."""
        return self._gathering.held_bytes

    async def follow(self, starts: Mapping[str, int]) -> None:
        """Follow sessions, each behind its offset (-1: from the start), all or none.

        One that is followed already goes on from there.

        Raises:
            SessionNotFound: there is one that the caller takes no part in.
            FeedFull: they would be more than ``MAX_FOLLOWED``.
        """
        viewers = await self._store.read(_viewers, caller=self._caller, session_ids=list(starts))
        new = [session_id for session_id in starts if session_id not in self._gathering]
        if len(self._gathering) + len(new) > MAX_FOLLOWED:
            raise FeedFull(
                f"A feed follows at most {MAX_FOLLOWED} sessions.", max_sessions=MAX_FOLLOWED
            )
        self._viewers |= viewers
        for session_id, after in starts.items():
            self._gathering.add(session_id, after=after)

    def unfollow(self, session_id: str) -> bool:
        """Follow a session no more; say whether it was followed."""
        self._viewers.pop(session_id, None)
        return self._gathering.remove(session_id)

    async def turns(self) -> AsyncGenerator[FeedTurn | None, None]:
        """Yield what comes next, in fair turns; None after each quiet second.

        A session that has ended is followed no more. It ends when the market drains.
        """
        async with aclosing(self._gathering.turns(self._store)) as turns:
            async for turn in turns:
                if turn is None:
                    yield None
                    continue
                place, found = turn
                viewer = await self._viewer_at(place, found.entries)
                events = [Shown(entry.offset, shown(entry, viewer)) for entry in found.entries]
                yield FeedTurn(place.stream_id, events, found.next_offset, found.is_end, place)
                if found.is_end and place.is_followed:
                    del self._viewers[place.stream_id]

    async def _viewer_at(self, place: Place, entries: list[Entry]) -> Viewer:
        """Return the caller's part in a session, with an order that these events may give it."""
        viewer = self._viewers[place.stream_id]
        if gives_more(viewer, entries):
            viewer = await self._store.read(
                viewer_of, caller=self._caller, session_id=place.stream_id
            )
            if place.is_followed:
                self._viewers[place.stream_id] = viewer
        return viewer


def _viewers(snapshot: Snapshot, *, caller: Caller, session_ids: list[str]) -> dict[str, Viewer]:
    return {
        session_id: viewer_of(snapshot, caller=caller, session_id=session_id)
        for session_id in session_ids
    }
