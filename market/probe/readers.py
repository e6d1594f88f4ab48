"""Readers of a stream: each a connection of its own, which records, waits, and can be cut."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from math import inf

import anyio

from market.probe.desk import Desk
from market.probe.frames import Frame
from market.probe.interpreting import Interpreter
from market.probe.recording import LIVE_MS, Ending, Place, Recording, Seen
from market.probe.transport import Broken, NotTaken, Request, SaidOver, Unreachable, frames


class Reader:
    """One connection to the stream, and what came over it."""

    def __init__(
        self, desk: Desk, request: Request, name: str, *, pause_seconds: float = 0.0
    ) -> None:
        self.recording = Recording(name)
        self._desk = desk
        self._request = request
        self._limits = desk.probe.limits
        self._interpreter = Interpreter(desk.probe)
        self._pause_seconds = pause_seconds
        self._scope = anyio.CancelScope()
        self._changed = anyio.Event()
        self._held: list[Seen] = []
        desk.readers += 1

    async def run(self) -> None:
        """Read until the stream ends, is cut, or the bounds are reached."""
        self.recording.opened_ms = self._desk.now_ms()
        try:
            with self._scope:
                await self._read()
        except SaidOver as error:
            self._end("said", f"status {error.status}")
        except NotTaken as error:
            self.recording.status = error.status
            self._end("refused", f"status {error.status}")
        except Unreachable as error:
            self._end("absent", str(error))
        except Broken as error:
            self._end("broken", str(error))
        self._end("closed")

    def cut(self) -> None:
        """Cut the connection, as a bad network or a closed tab does."""
        self._leave("cut")

    def stop(self) -> None:
        """Leave, because enough was seen."""
        self._leave("waiting")

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come to this reader."""
        return self.recording.ending is not None

    def is_live(self, events: int) -> bool:
        """Return whether it has so many events, and the last of them is not of the past."""
        seen = self.recording.events
        is_enough = bool(seen) and len(seen) >= events
        return is_enough and seen[-1].at_ms >= self.recording.opened_ms + LIVE_MS

    async def until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait until ``holds`` or the reading is over, at most so long."""
        with anyio.move_on_after(seconds):
            while not holds() and not self.is_over:
                await self._changed.wait()

    async def until_over(self, seconds: float) -> None:
        """Wait until nothing more will come, at most so long."""
        await self.until(lambda: self.is_over, seconds)

    async def until_quiet(self, holds: Callable[[], bool]) -> None:
        """Wait until ``holds``, the reading is over, or nothing came for a while."""
        with anyio.move_on_after(self._limits.work_seconds):
            while not holds() and not self.is_over:
                count = len(self.recording.events)
                changed = partial(self._is_changed, holds, count)
                await self.until(changed, self._limits.quiet_seconds)
                if not changed():
                    return

    def _is_changed(self, holds: Callable[[], bool], count: int) -> bool:
        return holds() or len(self.recording.events) > count

    def _leave(self, how: Ending) -> None:
        self._end(how)
        self._scope.cancel()

    async def _read(self) -> None:
        source = frames(
            self._desk.http,
            self._request,
            stream=self._desk.probe.stream,
            limits=self._limits,
            answered=self._answered,
        )
        async with aclosing(source) as coming:
            while (frame := await self._next(coming)) is not None:
                self._take(frame)
                if self._is_finished():
                    return
                if self._pause_seconds and self.recording.events:
                    await anyio.sleep(self._pause_seconds)
                    self._pause_seconds = 0.0
        if self.recording.end_label:
            self._end("said", self.recording.end_label)

    async def _next(self, coming: AsyncGenerator[Frame, None]) -> Frame | None:
        """Return the next frame; None at the end, or when a likely end is followed by nothing."""
        seconds = self._limits.quiet_seconds if self.recording.end_label else inf
        with anyio.move_on_after(seconds):
            return await anext(coming, None)
        return None

    def _answered(self, status: int, transport: str) -> None:
        self.recording.status = status
        self._desk.transport = self._desk.transport or transport

    def _take(self, frame: Frame) -> None:
        seen = self.recording
        if frame.data is None:
            seen.signs_of_life += 1
            if frame.id:
                self._stand_at(frame.id)
            return
        seen.bytes_read += len(frame.data)
        for one in self._interpreter.read(frame):
            event = Seen(one.key, self._desk.now_ms(), one.id, one.author, one.says_stop)
            if one.end:
                # Who saw the end need not come back: the place before it is one to resume from.
                self._release()
                seen.end_label, seen.says_stop = one.end, one.says_stop
                self._held.append(event)
            elif one.is_event:
                self._release()
                seen.events.append(event)
            if one.position and not one.end:
                self._stand_at(one.position)
        self._notify()

    def _stand_at(self, position: str) -> None:
        self.recording.place = Place(position, len(self.recording.events))
        self._desk.has_positions = True

    def _release(self) -> None:
        """Take what looked like the end for an event: something came after it."""
        self.recording.events += self._held
        self._held.clear()
        self.recording.end_label, self.recording.says_stop = "", False

    def _is_finished(self) -> bool:
        seen = self.recording
        if seen.end_label and self._interpreter.is_sure_of_the_end:
            self._end("said", seen.end_label)
        elif len(seen.events) >= self._limits.events:
            self._end("full", f"{len(seen.events):,} events")
        elif seen.bytes_read >= self._limits.reader_bytes:
            self._end("full", f"{seen.bytes_read:,} bytes")
        return self.is_over

    def _end(self, how: Ending, label: str = "") -> None:
        if self.is_over:
            return
        self.recording.ending = how
        self.recording.end_label = label or self.recording.end_label
        self.recording.ended_ms = self._desk.now_ms()
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
