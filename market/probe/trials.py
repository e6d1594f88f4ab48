"""The trials of an audit: what readers do to a live stream, to see what it does then.

Every wait has an end, and no trial decides anything: it records.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from ssl import create_default_context
from typing import Final

import anyio
import httpx
from anyio.abc import TaskGroup
from msgspec import UNSET

from market.probe.desk import Desk, Work
from market.probe.form import CancelPart, Probe
from market.probe.observed import After, Alone, Observed, Stopped, Together
from market.probe.readers import Reader
from market.probe.recording import SLOW_SECONDS, Place, Recording
from market.probe.sequences import is_anew
from market.probe.transport import CONNECT_SECONDS, Broken, Unreachable

_ABSENT_MS: Final = 3_000.0
_GRACE_SECONDS: Final = 0.1


Tell = Callable[[str], None]
"""Hears what is tried next, in a few words."""


class NoStream(Exception):
    """There is nothing to audit: the stream does not open, cannot be read, or says nothing.

    ``is_reached``: somebody answered, so that the probe file may have to say more.
    """

    def __init__(self, detail: str, *, is_reached: bool = True) -> None:
        super().__init__(detail)
        self.is_reached = is_reached


async def watch(probe: Probe, url: str, environ: Mapping[str, str], tell: Tell) -> Observed:
    """Put a stream on trial and return what was seen, within the file's bounds.

    Raises:
        NoStream: the first reader got nothing that can be audited.
    """
    seen = Observed(stated=frozenset(_stated(probe)))
    seen.workers = probe.workers.count if probe.workers else 0
    timeout = httpx.Timeout(None, connect=CONNECT_SECONDS, write=CONNECT_SECONDS)
    alone = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    context = create_default_context()
    async with httpx.AsyncClient(
        trust_env=False, timeout=timeout, limits=alone, verify=context
    ) as http:
        desk = Desk(probe, url, environ=environ, http=http)
        with anyio.move_on_after(probe.limits.total_seconds) as patience:
            try:
                await Trials(desk, seen, tell).run()
            except Unreachable as error:
                raise NoStream(f"nobody answers: {error}", is_reached=False) from error
            except Broken as error:
                raise NoStream(str(error)) from error
        seen.is_out_of_time = patience.cancelled_caught
        seen.took_ms = desk.now_ms()
    seen.transport, seen.way, seen.is_fresh = desk.transport, desk.way, desk.is_fresh
    seen.readers, seen.works = desk.readers, desk.works
    return seen


class Trials:
    """All trials of one audit, one after the other."""

    def __init__(self, desk: Desk, seen: Observed, tell: Tell) -> None:
        self._desk = desk
        self._seen = seen
        self._tell = tell
        self._limits = desk.probe.limits
        self._work: Work | None = None

    async def run(self) -> None:
        """Make each trial once."""
        await self._alone()
        await self._together()
        cancel = self._desk.probe.cancel
        if isinstance(cancel, CancelPart) and self._seen.stopped is None and self._desk.is_fresh:
            await self._cancelled(cancel)

    async def _next_work(self) -> Work:
        """Return a fresh piece of work; the same as before, if none can be started."""
        if self._work is None or self._desk.is_fresh:
            self._work = await self._desk.new_work()
        return self._work

    async def _alone(self) -> None:
        self._tell("the only reader leaves, and one comes back")
        work = await self._next_work()
        async with self._opening() as crowd:
            first = crowd.open(work, "first", is_first=True)
            await self._to_the_middle(first)
            trial = self._seen.alone = Alone(first.recording)
            if first.recording.events and not first.is_over:
                await self._leave_and_come_back(work, crowd, first, trial)
        _need_a_stream(first.recording, self._limits.work_seconds)

    async def _leave_and_come_back(
        self, work: Work, crowd: "Crowd", first: Reader, trial: Alone
    ) -> None:
        first.cut()
        taken_ms = first.recording.ended_ms - first.recording.opened_ms
        trial.absent_ms = min(taken_ms, _ABSENT_MS)
        await anyio.sleep(trial.absent_ms / 1_000)
        later = crowd.open(work, "later")
        events = len(first.recording.events)
        await later.until_quiet(lambda: later.is_live(events + 1))
        trial.later = later.recording

    async def _together(self) -> None:
        self._tell("several read, one is cut, one comes late")
        work = await self._next_work()
        async with self._opening() as crowd:
            uncut = crowd.open(work, "uncut", is_first=True)
            await uncut.until(lambda: uncut.is_live(2), self._limits.quiet_seconds)
            second, torn = crowd.open(work, "second"), crowd.open(work, "torn")
            slow = crowd.open(work, "slow", pause_seconds=SLOW_SECONDS)
            trial = self._seen.together = Together(
                uncut.recording, second.recording, slow.recording, torn.recording
            )
            await self._to_the_middle(torn)
            if not torn.is_over:
                torn.cut()
                trial.resumed = crowd.open(work, "resumed", place=torn.recording.place).recording
            if not uncut.is_over:
                late = crowd.open(work, "late")
                trial.late = late.recording
                await self._to_the_end(work, crowd, uncut, late)
            await crowd.until_over(self._limits.quiet_seconds if uncut.is_over else _GRACE_SECONDS)
            if uncut.recording.is_over and self._seen.stopped is None:
                whole = uncut.recording
                trial.after = await self._after(work, crowd, whole, whole.place)

    async def _to_the_end(self, work: Work, crowd: "Crowd", uncut: Reader, late: Reader) -> None:
        """Read to the end of the work, or cancel it where it is the only one there is."""
        cancel = self._desk.probe.cancel
        if self._desk.is_fresh or not isinstance(cancel, CancelPart):
            await uncut.until_over(self._limits.work_seconds)
            return
        await self._to_the_middle(late)
        if not uncut.is_over:
            await self._cancel(work, crowd, uncut, cancel)

    async def _cancelled(self, cancel: CancelPart) -> None:
        work = await self._next_work()
        async with self._opening() as crowd:
            watching = crowd.open(work, "watching", is_first=True)
            await self._to_the_middle(watching)
            if not watching.is_over:
                await self._cancel(work, crowd, watching, cancel)

    async def _cancel(
        self, work: Work, crowd: "Crowd", watching: Reader, cancel: CancelPart
    ) -> None:
        self._tell("the work is cancelled")
        events, asked_ms = len(watching.recording.events), self._desk.now_ms()
        place = watching.recording.place
        try:
            status = await work.cancel(cancel)
        except (Unreachable, Broken):
            status = 0
        trial = Stopped(watching.recording, asked_ms, status, events)
        self._seen.stopped = trial
        await watching.until_over(self._limits.quiet_seconds)
        if watching.recording.is_over:
            trial.after = await self._after(work, crowd, watching.recording, place)

    async def _after(
        self, work: Work, crowd: "Crowd", whole: Recording, place: Place | None
    ) -> After:
        """Let one reader come from the start, and one back to its place, when all is over."""
        self._tell("readers come after the end")
        await anyio.sleep(_GRACE_SECONDS)
        fresh = crowd.open(work, "after the end")
        back = None
        if place is not None and self._desk.way:
            back = crowd.open(work, "back after the end", place=place)
        for reader in (fresh, back):
            if reader is not None:
                await reader.until_quiet(partial(_is_anew, whole, reader))
        return After(fresh.recording, back.recording if back else None)

    async def _to_the_middle(self, reader: Reader) -> None:
        """Wait until a reader has seen enough to be cut."""
        enough = partial(reader.is_live, self._limits.cut_after)
        await reader.until(enough, self._limits.work_seconds)

    @asynccontextmanager
    async def _opening(self) -> AsyncIterator["Crowd"]:
        """Give a crowd whose readers all leave at the end of the block."""
        async with anyio.create_task_group() as group:
            crowd = Crowd(self._desk, group)
            try:
                yield crowd
            finally:
                crowd.leave()
                for reader in crowd.readers:
                    self._seen.events += len(reader.recording.events)
                    self._seen.bytes_read += reader.recording.bytes_read


class Crowd:
    """The readers of one trial."""

    def __init__(self, desk: Desk, group: TaskGroup) -> None:
        self.readers: list[Reader] = []
        self._desk = desk
        self._group = group

    def open(
        self,
        work: Work,
        name: str,
        *,
        is_first: bool = False,
        place: Place | None = None,
        pause_seconds: float = 0.0,
    ) -> Reader:
        """Let a reader begin: as the first one does, from the start, or where another stopped."""
        request = work.first() if is_first else work.again(place.position if place else None)
        reader = Reader(self._desk, request, name, pause_seconds=pause_seconds)
        self.readers.append(reader)
        self._group.start_soon(reader.run)
        return reader

    async def until_over(self, seconds: float) -> None:
        """Wait until every reading is over, at most so long."""
        with anyio.move_on_after(seconds):
            for reader in self.readers:
                await reader.until_over(seconds)

    def leave(self) -> None:
        """End every reading that is not over."""
        for reader in self.readers:
            reader.stop()


def _stated(probe: Probe) -> list[str]:
    tables = ("start", "resume", "end", "cancel", "workers")
    return [name for name in tables if getattr(probe, name) is not UNSET]


def _need_a_stream(first: Recording, seconds: float) -> None:
    """Go on if the first reader saw a stream.

    Raises:
        NoStream: it saw none.
    """
    if first.ending == "refused":
        raise NoStream(f"the stream is refused with {first.end_label}")
    if first.ending == "absent":
        raise NoStream(f"nobody answers: {first.end_label}", is_reached=False)
    if first.ending == "broken":
        raise NoStream(f"no stream can be read there: {first.end_label}")
    if not first.events and first.ending in ("said", "closed"):
        raise NoStream("the stream ends before its first event")
    if not first.events:
        raise NoStream(f"no event came in {seconds:g} s")


def _is_anew(whole: Recording, reader: Reader) -> bool:
    return reader.is_live(1) and is_anew(whole, reader.recording)
