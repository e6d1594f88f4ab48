"""A TCP proxy that cuts connections after so many bytes from the server: a bad network."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class CuttingProxy:
    """Forwards to one server. Each connection is cut after the next number of ``cuts``, without a
    word; when there are none left, connections live.
    """

    def __init__(self, upstream: str, cuts: Iterator[int]) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname is not None
        assert parts.port is not None
        self._place = (parts.hostname, parts.port)
        self._cuts = cuts
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.cut_so_far = 0

    async def open(self) -> asyncio.Server:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    async def close(self) -> None:
        """Cut what is still open."""
        for end in list(self._ends):
            end.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(*self._place)
        ends = {writer, up_writer}
        self._ends |= ends
        await asyncio.gather(
            self._pump(reader, up_writer, None, ends),
            self._pump(up_reader, writer, next(self._cuts, None), ends),
        )
        self._ends -= ends

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        allowed: int | None,
        ends: set[asyncio.StreamWriter],
    ) -> None:
        """Copy bytes until either side ends, or no more are allowed; then end both."""
        with suppress(ConnectionError):
            while data := await reader.read(4_096):
                is_cut = allowed is not None and len(data) >= allowed
                writer.write(data[:allowed] if is_cut else data)
                await writer.drain()
                if is_cut:
                    self.cut_so_far += 1
                    break
                allowed = allowed - len(data) if allowed is not None else None
        for end in ends:
            # What was written still goes out; then the other side sees the end of the stream.
            end.close()


@asynccontextmanager
async def cutting(upstream: str, cuts: Iterator[int]) -> AsyncIterator[CuttingProxy]:
    """Run a proxy before ``upstream`` within the block."""
    proxy = CuttingProxy(upstream, cuts)
    server = await proxy.open()
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
