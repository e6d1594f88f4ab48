"""A buyer's own line to the market: a loopback proxy that can really be cut."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

HOST: Final = "127.0.0.1"
_PIECE: Final = 64 * 1024


class Cable:
    """Forwards bytes to the market's port, until it is cut; new connections are taken again."""

    def __init__(self, market_url: str) -> None:
        self._market_port = urlsplit(market_url).port
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._dead_until = 0.0

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator[str]:
        """Yield the address under which the market is reached by this cable."""
        server = await asyncio.start_server(self._carry, HOST, 0)
        try:
            yield f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            self.cut()
            await asyncio.gather(*self._tasks)

    def cut(self, dead_seconds: float = 0.0) -> int:
        """Break every connection at once, and take none for a time; return how many broke."""
        self._dead_until = asyncio.get_running_loop().time() + dead_seconds
        broken = len(self._ends) // 2
        for end in self._ends:
            end.transport.abort()
        return broken

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is carried by a task"
        self._tasks.add(task)
        try:
            if asyncio.get_running_loop().time() >= self._dead_until:
                await self._connect(reader, writer)
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_market, to_market = await asyncio.open_connection(HOST, self._market_port)
        except OSError:
            return
        ends = {writer, to_market}
        self._ends |= ends
        try:
            await asyncio.gather(_pump(reader, to_market), _pump(from_market, writer))
        finally:
            self._ends -= ends
            to_market.transport.abort()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Move bytes until either end is gone, and then take the other end along."""
    with contextlib.suppress(ConnectionError):
        while piece := await source.read(_PIECE):
            target.write(piece)
            await target.drain()
        # All that was said is delivered before the line goes.
        target.close()
        await target.wait_closed()
