"""Clients that ask for too much: slow, deaf, endless, too big, or all at once.

Each returns what it was told in the end, counted: a status, a close code, ``cut`` or ``open``.
They speak from bare sockets, so that nothing of a client library holds them back.
"""

import asyncio
import os
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final, NamedTuple

from bench.wire import lines, request_of

MIB: Final = 1 << 20
PIECE: Final = 64 * 1024
ANSWER_SECONDS: Final = 20.0
TRIES: Final = 100
PROBE_SECONDS: Final = 0.01
CLOSED: Final = b"event: closed\n"

_TEXT: Final = 1
_CLOSE: Final = 8
_PING: Final = 9


class Place(NamedTuple):
    """Where to ask: a market's port, a token, a closed session of some length, an open one."""

    port: int
    token: str
    session_id: str
    open_id: str

    def request(self, method: str, path: str, body: object = None) -> bytes:
        """Return the bytes of a request there."""
        return request_of(method, path, body, token=self.token)

    @property
    def stream(self) -> bytes:
        """The request for the session's live log, from the start."""
        return self.request("GET", f"/v1/sessions/{self.session_id}/stream")

    @property
    def socket(self) -> bytes:
        """The request for a WebSocket on the open session."""
        head = self.request("GET", f"/v1/sessions/{self.open_id}/socket")
        upgrade = (
            b"upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        return head.removesuffix(b"\r\n") + upgrade


Told = Counter[str]


class Borne(NamedTuple):
    """What abuse was told, how long others waited for each answer, and what it cost in memory."""

    told: Told
    waited: list[float]
    grown_bytes: int


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def slow_readers(place: Place, number: int, seconds: float) -> Told:
    """Read a stream at a byte a second."""

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        return await _at_a_byte_a_second(reader, writer, place.stream, seconds)

    return await _together(place, number, read, narrow=True)


async def deaf_readers(place: Place, number: int, seconds: float) -> Told:
    """Open a stream and never read."""

    async def read(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(place.stream)
        await asyncio.sleep(seconds)
        return "open"

    return await _together(place, number, read, narrow=True)


async def stampede(place: Place, number: int) -> Told:
    """Read the whole log, all from the start, all at once; who is refused comes back."""

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(place.stream)
        status = await _status(reader)
        if status != "200":
            return status
        last = b""
        while piece := await reader.read(PIECE):
            last = last[-64:] + piece
            if CLOSED in last:
                return "complete"
        return "cut"

    told: Told = Counter()
    for _ in range(TRIES):
        told += await _together(place, number - told["complete"], read)
        if told["complete"] == number:
            break
        await asyncio.sleep(0.1)
    return told


async def big_bodies(place: Place, number: int, size: int, path: str) -> Told:
    """Post bodies of so many bytes at once."""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {place.token}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {size}\r\n\r\n"

    async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        async def send() -> None:
            writer.write(head.encode())
            for _ in range(size // PIECE):
                writer.write(b" " * PIECE)
                await writer.drain()

        return await _told_while(send, reader)

    return await _together(place, number, post)


async def endless_bodies(place: Place, number: int, path: str) -> Told:
    """Post a chunked body that has no end."""
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {place.token}\r\n"
    head += "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"

    async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        async def send() -> None:
            writer.write(head.encode())
            while True:
                writer.write(b"%x\r\n%b\r\n" % (PIECE, b" " * PIECE))
                await writer.drain()

        return await _told_while(send, reader)

    return await _together(place, number, post)


async def endless_producers(
    place: Place, number: int, seconds: float, path: str, body: object
) -> Told:
    """Append without end, each request as soon as the last was answered."""
    request = place.request("POST", path, body)
    told: Told = Counter()

    async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    writer.write(request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = head.lower().partition(b"content-length: ")[2]
                    await reader.readexactly(int(length.partition(b"\r")[0]))
                    told[head[9:12].decode()] += 1
        return "open"

    return told + await _together(place, number, post)


async def ping_flood(place: Place, number: int, pings: int) -> Told:
    """Send WebSocket pings as fast as the line takes them, and read no answer."""
    flood = _frame(_PING, b"!" * 125) * 1_000

    async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(place.socket)
        if (status := await _status(reader)) != "101":
            return status
        for _ in range(pings // 1_000):
            writer.write(flood)
            await writer.drain()
        return "open"

    return await _together(place, number, flooding)


async def big_frames(place: Place, number: int, size: int) -> Told:
    """Send one WebSocket frame of so many bytes; told is the code that the line is closed with."""

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        writer.write(place.socket)
        if (status := await _status(reader)) != "101":
            return status
        writer.write(_frame(_TEXT, b"x" * size))
        await writer.drain()
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(2)
                length = head[1] & 127
                if length > 125:
                    size_of = 2 if length == 126 else 8
                    length = int.from_bytes(await reader.readexactly(size_of), "big")
                body = await reader.readexactly(length)
                if head[0] & 15 == _CLOSE:
                    return str(struct.unpack("!H", body[:2])[0])
        return "cut"

    return await _together(place, number, send)


async def meanwhile(
    work: Awaitable[Told], port: int, request: bytes, resident: Callable[[], int]
) -> Borne:
    """Let abuse happen; note what another client waits, and the memory that the market holds."""
    waited: list[float] = []
    before = peak = resident()
    abuse = asyncio.ensure_future(work)
    async with lines(port, 1) as [line]:
        while not abuse.done():
            began = time.perf_counter()
            await line.call(request)
            waited.append(time.perf_counter() - began)
            peak = max(peak, resident())
            await asyncio.sleep(PROBE_SECONDS)
    return Borne(await abuse, waited, max(peak, resident()) - before)


async def _together(
    place: Place,
    number: int,
    act: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[str]],
    *,
    narrow: bool = False,
) -> Told:
    async def one() -> str:
        try:
            async with _connected(place.port, narrow=narrow) as (reader, writer):
                return await act(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return "cut"

    return Counter(await asyncio.gather(*(one() for _ in range(number))))


@asynccontextmanager
async def _connected(port: int, *, narrow: bool) -> AsyncIterator[Stream]:
    line = socket.socket()
    line.setblocking(False)
    if narrow:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=line, limit=PIECE)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def _at_a_byte_a_second(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, seconds: float
) -> str:
    # What the driver's own buffer would take in does not count as read.
    writer.write(request)
    await _status(reader)
    transport = writer.transport
    transport.pause_reading()  # type: ignore[attr-defined]
    line = transport.get_extra_info("socket")
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        with suppress(BlockingIOError):
            if not os.read(line.fileno(), 1):
                return "cut"
        await asyncio.sleep(1.0)
    return "open"


async def _told_while(send: Callable[[], Awaitable[None]], reader: asyncio.StreamReader) -> str:
    """Return the status of the answer that comes while, or after, something is sent."""
    sending = asyncio.ensure_future(send())
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await _status(reader)
    except TimeoutError:
        return "open"
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def _status(reader: asyncio.StreamReader) -> str:
    head = await reader.readuntil(b"\r\n\r\n")
    return head[9:12].decode()


def _frame(kind: int, body: bytes) -> bytes:
    """Return a client's frame (RFC 6455 5.2), masked with zeros."""
    length = len(body)
    if length < 126:
        head = struct.pack("!BB", 0x80 | kind, 0x80 | length)
    else:
        head = struct.pack("!BBQ", 0x80 | kind, 0x80 | 127, length)
    return head + bytes(4) + body
