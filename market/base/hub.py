"""The hub: readers of this process that wait for new entries of a stream.

After a commit the writer hands over what was appended, once per batch and loop. A reader keeps at
most ``MAX_BUFFER`` bytes; one that is slower loses the handed entries, not the log: it reads what
it missed from the database. A bell that never rings (another worker wrote) costs a poll.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Protocol

from market.base.shelf import Shelf
from market.base.work import Entry

PAGES_AT_ONCE: Final = 1
"""Pages that readers of one loop take from a log at the same time."""

MAX_BUFFER: Final = 256 * 1024
"""Bytes that wait in memory for one reader, at most."""


class Listener(Protocol):
    """Who waits for a stream. Only its own event loop touches it."""

    loop: asyncio.AbstractEventLoop

    def hear(self, entries: list[Entry]) -> None:
        """Take new entries in; none mean that something else happened to the stream."""

    def wake(self) -> None:
        """Let the reader look around."""

    def hint(self, last: int | None) -> None:
        """Look at the log, if it goes up to an offset that was not read yet; None: it may."""


def in_a_row(entries: Iterable[Entry], after: int) -> tuple[list[Entry], bool]:
    """Return the entries that follow offset ``after`` without a gap, and whether there is a gap.

    Behind one is what another worker wrote in between, or memory did not hold: it is in the log.
    """
    taken: list[Entry] = []
    for entry in entries:
        if entry.offset == after + 1:
            taken.append(entry)
            after += 1
        elif entry.offset > after:
            return taken, True
    return taken, False


class Ear:
    """One reader's place in the hub. Only its own event loop touches it."""

    __slots__ = (
        "_alarm", "_entries", "_held", "_is_called", "_is_rung", "_must_look", "_reached", "_until",
        "_waiter", "loop",
    )  # fmt: skip

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[bool] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._is_rung = False
        self._is_called = False
        self._entries: deque[Entry] = deque()
        self._held = 0
        self._must_look = True
        self._reached = -1

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
        self._ring()

    def take(self, after: int) -> list[Entry]:
        """Return the entries that follow offset ``after`` without a gap, if they are at hand."""
        self._is_rung = False
        taken, is_broken = in_a_row(self._entries, after)
        self._must_look |= is_broken
        self._entries.clear()
        self._held = 0
        self._reached = taken[-1].offset if taken else after
        return taken

    def hint(self, last: int | None) -> None:
        """Look at the log, if it goes up to an offset that was not read yet; None: it may."""
        if last is None or last > self._reached:
            self._must_look = True
            self._ring()

    def must_look(self) -> bool:
        """Whether the reader has to read the log itself; asking once answers it."""
        told, self._must_look = self._must_look, False
        return told

    def look(self) -> None:
        """Let the reader read the log at its next turn."""
        self._must_look = True

    async def wait(self, seconds: float) -> bool:
        """Wait until something is said; False when nothing was within ``seconds``."""
        if self._is_rung:
            return True
        self._waiter = self.loop.create_future()
        self._until = self.loop.time() + seconds
        # An alarm that is set stays set: one for each entry and reader would cost more than both.
        if self._alarm is None or self._alarm.when() > self._until:
            self._set_alarm()
        try:
            return await self._waiter
        finally:
            self._waiter = None

    def close(self) -> None:
        """Set no alarm off any more: the reader has left."""
        if self._alarm is not None:
            self._alarm.cancel()

    def wake(self) -> None:
        """Let the reader look around: it may have to leave, or the market drains."""
        self._is_called = True
        self._ring()

    def was_called(self) -> bool:
        """Whether somebody woke the reader for its own sake; asking once answers it."""
        called, self._is_called = self._is_called, False
        return called

    def _set_alarm(self) -> None:
        self.close()
        self._alarm = self.loop.call_at(self._until, self._go_off)

    def _go_off(self) -> None:
        self._alarm = None
        if self._waiter is None:
            return
        if self.loop.time() < self._until:
            self._set_alarm()  # the reader has heard something since, and waits anew
        else:
            _settle(self._waiter, False)

    def _ring(self) -> None:
        self._is_rung = True
        if self._waiter is not None:
            _settle(self._waiter, True)


def _settle(waiter: "asyncio.Future[bool]", answer: bool) -> None:
    if not waiter.done():
        waiter.set_result(answer)


class Hub:
    """All waiting readers of this process, by stream."""

    def __init__(self) -> None:
        # Those of one stream in the order in which they came: they are told in that.
        self._ears: dict[str, dict[Listener, None]] = {}
        self._loops: dict[asyncio.AbstractEventLoop, int] = {}
        self._turns: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}
        self.shelf = Shelf()
        self.is_draining = False
        self.has_lookout = False

    @contextmanager
    def listen(self, stream_id: str) -> Iterator[Ear]:
        """Wait for ``stream_id`` within the block."""
        ear = Ear()
        self.join(stream_id, ear)
        try:
            yield ear
        finally:
            # Synchronous, so that a cancelled reader leaves nothing behind.
            self.leave(stream_id, ear)
            ear.close()

    def join(self, stream_id: str, listener: Listener) -> None:
        """Let a listener hear of ``stream_id`` until it leaves."""
        self._ears.setdefault(stream_id, {})[listener] = None
        self._loops[listener.loop] = self._loops.get(listener.loop, 0) + 1

    def leave(self, stream_id: str, listener: Listener) -> None:
        """Let a listener that has joined hear no more."""
        ears = self._ears[stream_id]
        ears.pop(listener, None)
        if not ears:
            del self._ears[stream_id]
        self._loops[listener.loop] -= 1
        if not self._loops[listener.loop]:
            del self._loops[listener.loop]
            self._turns.pop(listener.loop, None)

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None, None]:
        """Let a reader take a page from a log within the block.

        One after another, with a look at everything else in between: so five hundred that come
        back at once make each other wait, and nobody else.
        """
        loop = asyncio.get_running_loop()
        async with self._turns.setdefault(loop, asyncio.Semaphore(PAGES_AT_ONCE)):
            await asyncio.sleep(0)  # a read that needs no waiting would let nobody else in
            yield

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

    def hint(self, last: dict[str, int], *, are_all: bool) -> None:
        """Tell readers up to which offsets the log goes; called within the loop.

        Unless ``are_all``, other streams may have gone on too.
        """
        loop = asyncio.get_running_loop()
        for stream_id, ears in self._ears.items():
            if not are_all or stream_id in last:
                for ear in ears:
                    if ear.loop is loop:
                        ear.hint(last.get(stream_id) if are_all else None)

    def drain(self) -> None:
        """Ask every stream to end itself with a resumable last frame; called within the loop."""
        self.is_draining = True
        self.wake_everyone()

    def wake_everyone(self) -> None:
        """Let every reader ask whether it may still be here; called within the loop."""
        for ears in self._ears.values():
            for ear in ears:
                ear.wake()

    @property
    def readers(self) -> int:
        """How many readers wait."""
        return sum(len(ears) for ears in self._ears.values())
