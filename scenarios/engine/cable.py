"""An agent's own line to the market: a loopback proxy that can really be cut."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final, NamedTuple

from scenarios.engine.worlds import World

_PIECE: Final = 64 * 1024
_WRITES: Final = b"POST "


class Break(NamedTuple):
    """A break to come: after so many bytes from the market, then nobody is there for a time."""

    left_bytes: int
    dead_seconds: float
    broke: Callable[[], None]


class Passed(NamedTuple):
    """What passes of a piece, and whether the connection breaks behind it."""

    piece: bytes
    is_last: bool = False


class Cable:
    """Forwards bytes to the market's port, until it is cut; new connections are taken again.

    ``was_cut`` is called whenever all its connections break at once.
    """

    def __init__(self, world: World, was_cut: Callable[[], None] = lambda: None) -> None:
        self._was_cut = was_cut
        self._world = world
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._dead_until = 0.0
        self._cuts: deque[Break] = deque()
        self._losses: deque[Break] = deque()
        self.delay_seconds = 0.0
        """How much later everything arrives than it was sent, on either way."""

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        """Yield the address under which the market is reached by this cable."""
        server, url = await self._world.listen(self._carry)
        try:
            yield url
        finally:
            server.close()
            self._break(set(self._ends))
            await asyncio.gather(*self._tasks)

    def cut(self, dead_seconds: float = 0.0) -> int:
        """Break every connection at once, and take none for a time; return how many broke."""
        self._die(dead_seconds)
        broken = len(self._ends) // 2
        self._was_cut()
        self._break(set(self._ends))
        return broken

    def cut_after(self, count: int, dead_seconds: float, broke: Callable[[], None]) -> None:
        """Cut it when ``count`` more bytes have come from the market, and those alone arrive.

        Several cuts happen one after the other.
        """
        self._cuts.append(Break(count, dead_seconds, broke))

    def lose_answer(self, dead_seconds: float, broke: Callable[[], None]) -> None:
        """Let the next writing request through, and break its connection at the answer."""
        self._losses.append(Break(0, dead_seconds, broke))

    def _die(self, dead_seconds: float) -> None:
        self._dead_until = asyncio.get_running_loop().time() + dead_seconds

    def _break(self, ends: set[asyncio.StreamWriter]) -> None:
        for end in ends:
            end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is carried by a task"
        self._tasks.add(task)
        try:
            if asyncio.get_running_loop().time() >= self._dead_until:
                await self._connect(reader, writer)
        except asyncio.CancelledError:
            # The run is being aborted. Nobody awaits this task, and asyncio would print a trace.
            return
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_market, to_market = await self._world.connect()
        except OSError:
            return
        call = _Call(self, {writer, to_market})
        self._ends |= call.ends
        try:
            await asyncio.gather(
                self._pump(reader, to_market, call.asks),
                self._pump(from_market, writer, call.answers),
            )
        finally:
            self._ends -= call.ends
            to_market.transport.abort()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        filtered: Callable[[bytes], Passed],
    ) -> None:
        """Move bytes until either end is gone, or the line breaks; then take the other along."""
        with contextlib.suppress(ConnectionError):
            while piece := await source.read(_PIECE):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                passed = filtered(piece)
                target.write(passed.piece)
                await target.drain()
                if passed.is_last:
                    break
            # All that was said is delivered before the line goes.
            target.close()
            await target.wait_closed()

    def passes(self, piece: bytes) -> Passed:
        """Return what passes of a piece from the market: all, or what comes before a cut."""
        if not self._cuts:
            return Passed(piece)
        due = self._cuts.popleft()
        if len(piece) < due.left_bytes:
            self._cuts.appendleft(due._replace(left_bytes=due.left_bytes - len(piece)))
            return Passed(piece)
        self._die(due.dead_seconds)
        self._was_cut()
        due.broke()
        return Passed(piece[: due.left_bytes], is_last=True)

    def loses(self) -> bool:
        """Whether the answer to a writing request that begins to arrive now is lost."""
        if not self._losses:
            return False
        due = self._losses.popleft()
        self._die(due.dead_seconds)
        due.broke()
        return True

    def break_others(self, ends: set[asyncio.StreamWriter]) -> None:
        """Break every connection but the one of ``ends``, whose last bytes are on their way."""
        self._break(self._ends - ends)


class _Call:
    """One connection of a cable: what it asks and is answered, as far as breaks are about it."""

    def __init__(self, cable: Cable, ends: set[asyncio.StreamWriter]) -> None:
        self.ends = ends
        self._cable = cable
        self._writes = False

    def asks(self, piece: bytes) -> Passed:
        """Take note of whether the agent writes; all that it sends passes."""
        # A client sends the head of a request in one piece, and one request at a time.
        self._writes = piece.startswith(_WRITES) or self._writes
        return Passed(piece)

    def answers(self, piece: bytes) -> Passed:
        """Return what passes of an answer."""
        writes, self._writes = self._writes, False
        if writes and self._cable.loses():
            return Passed(b"", is_last=True)
        passed = self._cable.passes(piece)
        if passed.is_last:
            self._cable.break_others(self.ends)
        return passed
