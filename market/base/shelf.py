"""The shelf: pages of logs that were read a moment ago, for the next reader of the same.

Many readers that come back at once, or late, ask for the same pages. Entries never change, so a
page that was full stays as it is for as long as its stream is there.
"""

from collections import OrderedDict
from typing import Final

from market.base.work import Entry

MAX_SHELF: Final = 8 * 1024 * 1024
"""Bytes that are kept, at most; what was not asked for longest goes first."""

Key = tuple[str, int]


class Shelf:
    """Full pages by stream and the offset that they follow. One process shares it."""

    def __init__(self) -> None:
        self._pages: OrderedDict[Key, tuple[list[Entry], int]] = OrderedDict()
        self._held = 0

    def find(self, stream_id: str, after: int) -> list[Entry] | None:
        """Return the page that follows an offset, if it is here."""
        kept = self._pages.get((stream_id, after))
        if kept is None:
            return None
        self._pages.move_to_end((stream_id, after))
        return kept[0]

    def keep(self, stream_id: str, after: int, page: list[Entry]) -> None:
        """Keep a page behind which more follows: it will be read the same way again."""
        size = sum(len(entry.data) for entry in page)
        if size > MAX_SHELF // 4 or (stream_id, after) in self._pages:
            return
        self._pages[stream_id, after] = (page, size)
        self._held += size
        while self._held > MAX_SHELF:
            _, (_, gone) = self._pages.popitem(last=False)
            self._held -= gone
