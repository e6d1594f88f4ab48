"""HTTP/1.1 as bytes on a connection: requests, and messages that are passed on as they came."""

import asyncio
import re
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, NamedTuple, TypeVar

PIECE = 65_536

Result = TypeVar("Result")


class HungUp(ConnectionError):
    """One side has gone, or was made to go."""


class Source:
    """The reading side of a connection, message by message."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._ahead = b""

    async def head(self) -> bytes:
        """Return the next head of a message, with the empty line.

        Raises:
            HungUp: there is none.
        """
        try:
            rest = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise HungUp from error
        ahead, self._ahead = self._ahead, b""
        return ahead + rest

    async def body(self, head: bytes) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of the message behind ``head``, with their framing."""
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length is not None:
            async for piece in self._exactly(int(length[1])):
                yield piece
        elif re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
            async for piece in self._chunks():
                yield piece

    async def until_gone(self) -> None:
        """Return when the other side hangs up."""
        piece = await self._reader.read(1)
        if piece:
            self._ahead += piece
            await asyncio.Event().wait()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield whatever comes."""
        if self._ahead:
            yield self._ahead
        while piece := await self._reader.read(PIECE):
            yield piece

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        size = 1
        while size:
            line = await self._reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            yield line
            async for piece in self._exactly(size + 2):
                yield piece

    async def _exactly(self, count: int) -> AsyncGenerator[bytes, None]:
        while count:
            piece = await self._reader.read(min(PIECE, count))
            if not piece:
                raise HungUp
            count -= len(piece)
            yield piece


class Request(NamedTuple):
    """A request as it stands on the wire."""

    line: str
    raw: bytes
    body: bytes

    @property
    def key(self) -> str:
        """What is the same when a client sends it again: all but the token and the clock."""
        found = re.search(rb"(?i)\r\nidempotency-key: ([^\r]*)", self.raw)
        return f"{self.line} {found[1].decode() if found else ''} {self.body.decode('latin-1')}"


async def read_request(client: Source) -> Request:
    """Return the next request of a connection.

    Raises:
        HungUp: there is none.
    """
    head = await client.head()
    body = b"".join([piece async for piece in client.body(head)])
    method, target, _ = head.split(b" ", 2)
    return Request(f"{method.decode()} {target.decode()}", head + body, body)


async def unless(gone: Coroutine[Any, Any, None], work: Coroutine[Any, Any, Result]) -> Result:
    """Return what ``work`` does, unless ``gone`` returns before.

    Raises:
        HungUp: it did.
    """
    leaving, working = asyncio.ensure_future(gone), asyncio.ensure_future(work)
    try:
        await asyncio.wait({leaving, working}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        leaving.result()
        raise HungUp
    finally:
        for task in (leaving, working):
            task.cancel()
        await asyncio.gather(leaving, working, return_exceptions=True)
