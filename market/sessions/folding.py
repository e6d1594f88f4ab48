"""Snapshots: what a session's log comes to for one viewer, for those who join late.

A fold is kept as the JSON that is sent, and carried on from where it stood when somebody asks
again. Kept are those that were asked for lately, ``KEPT_BYTES`` in all; what was dropped is
folded anew, page by page, with the database let go between pages.
"""

import asyncio
from collections import OrderedDict
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

import msgspec

from market.base import streams
from market.base.caller import Caller
from market.base.store import Store
from market.base.work import Entry, Snapshot
from market.protocol.events import Event, Withheld
from market.protocol.folded import Folded
from market.protocol.folding import fold
from market.protocol.wire import SessionView
from market.sessions.rights import Viewer, head_of, may_see
from market.sessions.views import session, viewer_of

KEPT_BYTES: Final = 32 * 1024 * 1024
"""Folds that one process keeps, as JSON, at most."""

_Key = tuple[str, Viewer | None]
_EVENT: Final = msgspec.json.Decoder(Event)
_FOLDED: Final = msgspec.json.Decoder(Folded)
_encode: Final = msgspec.json.Encoder().encode


class Standing(NamedTuple):
    """A snapshot as JSON; the tail follows its last ``offset``."""

    json: bytes
    offset: int


class _Kept(NamedTuple):
    json: bytes
    next_offset: int


_NOTHING: Final = _Kept(_encode(Folded()), 0)


class Folds:
    """The folds of one process. One event loop uses it."""

    def __init__(self, max_bytes: int = KEPT_BYTES) -> None:
        self.held_bytes = 0
        self.entries_folded = 0
        self._max_bytes = max_bytes
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._turns: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()

    def turn(self, key: _Key) -> asyncio.Lock:
        """Return the lock under which one at a time carries this fold on."""
        lock = self._turns.get(key)
        if lock is None:
            lock = self._turns[key] = asyncio.Lock()
        return lock

    def recall(self, key: _Key) -> _Kept:
        """Return how far this fold has come; at first, nowhere."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key, _NOTHING)

    def keep(self, key: _Key, kept: _Kept) -> None:
        """Keep this fold, and let those go that were not asked for the longest."""
        known = self._kept.pop(key, None)
        self.held_bytes += len(kept.json) - (len(known.json) if known else 0)
        self._kept[key] = kept
        while self.held_bytes > self._max_bytes:
            _, gone = self._kept.popitem(last=False)
            self.held_bytes -= len(gone.json)


class _Page(NamedTuple):
    """A fold after one more page, or as it was; with the session, if that was the last."""

    folded: Folded | None
    view: SessionView | None


async def snapshot(store: Store, folds: Folds, *, caller: Caller, session_id: str) -> Standing:
    """Return what the session's log comes to now, as ``caller`` may see it.

    Raises:
        SessionNotFound: there is none that the caller takes part in.
    """
    viewer = await store.read(viewer_of, caller=caller, session_id=session_id)
    key = (session_id, None if viewer.is_owner else viewer._replace(agent_id=""))
    async with folds.turn(key):
        kept = folds.recall(key)
        page = _Page(None, None)
        while page.view is None:
            page = await store.scan(
                _go_on, caller=caller, viewer=viewer, session_id=session_id, kept=kept, page=page
            )
        if page.folded is not None:
            folds.entries_folded += page.folded.next_offset - kept.next_offset
            kept = _Kept(_encode(page.folded), page.folded.next_offset)
            folds.keep(key, kept)
    return Standing(b'{"session":%b,%b' % (_encode(page.view), kept.json[1:]), kept.next_offset - 1)


def _go_on(
    snapshot: Snapshot,
    *,
    caller: Caller,
    viewer: Viewer,
    session_id: str,
    kept: _Kept,
    page: _Page,
) -> _Page:
    folded = page.folded
    next_offset = kept.next_offset if folded is None else folded.next_offset
    found = streams.read(snapshot, stream_id=session_id, after=next_offset - 1)
    if found.entries:
        folded = _FOLDED.decode(kept.json) if folded is None else folded
        for entry in found.entries:
            fold(folded, _seen(entry, viewer))
        next_offset = folded.next_offset
    is_all = next_offset >= found.next_offset
    view = session(snapshot, caller=caller, session_id=session_id) if is_all else None
    return _Page(folded, view)


def _seen(entry: Entry, viewer: Viewer) -> Event | Withheld:
    if viewer.is_owner or may_see(head := head_of(entry), viewer):
        return _EVENT.decode(entry.data)
    return Withheld(offset=head.offset, withheld=True, hash=head.hash)
