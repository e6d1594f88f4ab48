"""The hub: readers of this process that wait for new entries of a stream.

After a commit the writer hands over what was appended, once per batch and loop. A reader keeps at
most ``MAX_BUFFER`` bytes; one that is slower loses the handed entries, not the log: it reads what
it missed from the database. A bell that never rings (another worker wrote) costs a poll.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from market.base.work import Entry

MAX_BUFFER: Final = 256 * 1024
"""Bytes that wait in memory for one reader, at most."""


class Ear:
    """One reader's place in the hub. Only its own event loop touches it."""

    __slots__ = ("_bell", "_entries", "_held", "_must_look", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._bell = asyncio.Event()
        self._entries: deque[Entry] = deque()
        self._held = 0
        self._must_look = True

    def hear(self, entries: list[Entry]) -> None:
        """Take new entries in, or forget them all when they would be too many bytes.

        No entries mean that something else happened to the stream: it was closed.
        """
        size = sum(len(entry.data) for entry in entries)
        if self._held + size > MAX_BUFFER:
            self._entries.clear()
            self._held = 0
            self._must_look = True
        else:
            self._entries.extend(entries)
            self._held += size
            self._must_look |= not entries
        self._bell.set()

    def take(self, after: int) -> list[Entry]:
        """Return the entries that follow offset ``after`` without a gap, if they are at hand."""
        self._bell.clear()
        taken = []
        for entry in self._entries:
            if entry.offset == after + 1:
                taken.append(entry)
                after += 1
            elif entry.offset > after:
                # Another worker wrote in between, or memory did not hold it: it is in the log.
                self._must_look = True
                break
        self._entries.clear()
        self._held = 0
        return taken

    def must_look(self) -> bool:
        """Whether the reader has to read the log itself; asking once answers it."""
        told, self._must_look = self._must_look, False
        return told

    def look(self) -> None:
        """Let the reader read the log at its next turn."""
        self._must_look = True

    async def wait(self, seconds: float) -> bool:
        """Wait until something is said; False when nothing was within ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                return await self._bell.wait()
        except TimeoutError:
            return False

    def wake(self) -> None:
        """Let the reader look around: the stream was closed, or the market drains."""
        self._bell.set()


class Hub:
    """All waiting readers of this process, by stream."""

    def __init__(self) -> None:
        self._ears: dict[str, set[Ear]] = {}
        self._loops: dict[asyncio.AbstractEventLoop, int] = {}
        self.is_draining = False

    @contextmanager
    def listen(self, stream_id: str) -> Iterator[Ear]:
        """Wait for ``stream_id`` within the block."""
        ear = Ear()
        self._ears.setdefault(stream_id, set()).add(ear)
        self._loops[ear.loop] = self._loops.get(ear.loop, 0) + 1
        try:
            yield ear
        finally:
            # Synchronous, so that a cancelled reader leaves nothing behind.
            ears = self._ears[stream_id]
            ears.discard(ear)
            if not ears:
                del self._ears[stream_id]
            self._loops[ear.loop] -= 1
            if not self._loops[ear.loop]:
                del self._loops[ear.loop]

    def loops(self) -> list[asyncio.AbstractEventLoop]:
        """Return the loops that have readers waiting."""
        return list(self._loops)

    def ring(
        self, loop: asyncio.AbstractEventLoop, appended: list[tuple[str, list[Entry]]]
    ) -> None:
        """Hand entries to the readers of ``loop``; called within it."""
        for stream_id, entries in appended:
            for ear in self._ears.get(stream_id, ()):
                if ear.loop is loop:
                    ear.hear(entries)

    def drain(self) -> None:
        """Ask every stream to end itself with a resumable last frame; called within the loop."""
        self.is_draining = True
        for ears in self._ears.values():
            for ear in ears:
                ear.wake()

    @property
    def readers(self) -> int:
        """How many readers wait."""
        return sum(len(ears) for ears in self._ears.values())
