"""The driver: HTTP/1.1 on bare sockets, written out by hand and read no further than needed.

All connections of the driver receive into one buffer, one after another. A connection has one
request in flight, and message bodies hold no line ends: so an answer in chunks is complete when
the last bytes received are those that end chunks.
"""

import asyncio
import re
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, TypeVar

HOST: Final = "127.0.0.1"
JSON: Final = "application/json"
STAMP: Final = re.compile(rb'"sent_at":(\d+),')
UP_TO_DATE: Final = b'"upToDate":true'

_BUFFER: Final = memoryview(bytearray(1 << 20))
_HEAD_END: Final = b"\r\n\r\n"
_CHUNKS_END: Final = b"0\r\n\r\n"
_NEXT_OFFSET: Final = re.compile(rb"\r\nstream-next-offset: *([^\r]+)", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_IS_UP_TO_DATE: Final = re.compile(rb"\r\nstream-up-to-date: *true", re.IGNORECASE)
_TAIL: Final = 64
"""What is kept of the last packet: a mark may be cut between two."""


class Refused(RuntimeError):
    """A server answered what the bench does not expect."""


def put(path: str) -> bytes:
    """Return the request that creates a stream of JSON messages."""
    return _request("PUT", path, b"")


def append(path: str, body: bytes) -> bytes:
    """Return the request that appends a message."""
    return _request("POST", path, body)


def get(path: str, offset: str, live: str | None = None) -> bytes:
    """Return the request that reads from an offset, and with ``live`` goes on."""
    mode = f"&live={live}" if live else ""
    return f"GET {path}?offset={offset}{mode} HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode()


def stamped(padding: int = 0) -> bytes:
    """Return a message that tells when it was made."""
    return b'{"sent_at":%d,"text":"%s"}' % (time.perf_counter_ns(), b"." * padding)


def _request(method: str, path: str, body: bytes) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-type: {JSON}\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Socket(asyncio.BufferedProtocol, ABC):
    """A connection. What arrives is handed to ``received``, and must be taken at once."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        self.lost()

    def get_buffer(self, sizehint: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self.received(bytes(_BUFFER[:nbytes]))

    @abstractmethod
    def received(self, data: bytes) -> None:
        """Take what has come."""

    def lost(self) -> None:
        """Note that the server has hung up."""

    def send(self, request: bytes) -> None:
        assert self._transport is not None
        self._transport.write(request)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


class Answer(NamedTuple):
    """An answer as far as the bench reads it."""

    status: int
    next_offset: str
    is_up_to_date: bool
    body: bytes
    received_ns: int


class Caller(Socket):
    """A connection with one request in flight, whose answers are wanted whole."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._head = b""
        self._missing: int | None = None
        self._answer: asyncio.Future[Answer] | None = None

    async def call(self, request: bytes) -> Answer:
        """Send a request, and return its answer.

        Raises:
            Refused: the status is not one of success, or the connection broke.
        """
        self._parts, self._head, self._missing = [], b"", None
        self._answer = asyncio.get_running_loop().create_future()
        self.send(request)
        answer = await self._answer
        if answer.status >= 300:
            raise Refused(f"{answer.status} {answer.body[:300]!r}")
        return answer

    def received(self, data: bytes) -> None:
        if not self._head:
            data = b"".join((*self._parts, data))
            self._parts.clear()
            head, end, data = data.partition(_HEAD_END)
            if not end:
                self._parts.append(head)
                return
            self._head = head
            self._missing = self._length()
        self._parts.append(data)
        if self._missing is None:
            is_complete = data.endswith(_CHUNKS_END)
        else:
            self._missing -= len(data)
            is_complete = self._missing <= 0
        if is_complete and self._answer is not None and not self._answer.done():
            self._answer.set_result(self._answered())

    def lost(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(Refused("the connection broke"))

    def _length(self) -> int | None:
        length = _LENGTH.search(self._head)
        if length is not None:
            return int(length[1])
        return 0 if self._head[9:12] == b"204" else None

    def _answered(self) -> Answer:
        offset = _NEXT_OFFSET.search(self._head)
        return Answer(
            status=int(self._head[9:12]),
            next_offset=offset[1].decode() if offset else "",
            is_up_to_date=_IS_UP_TO_DATE.search(self._head) is not None,
            body=b"".join(self._parts),
            received_ns=time.perf_counter_ns(),
        )


class Writer(Socket):
    """Sends one request again and again, each when the one before is answered."""

    def __init__(self, request: bytes, may_go_on: Callable[[], bool]) -> None:
        super().__init__()
        self._request = request
        self._may_go_on = may_go_on
        self.answers = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self) -> None:
        """Send the first."""
        self.send(self._request)

    def received(self, data: bytes) -> None:
        if not data.startswith(b"HTTP/1.1 204") or not data.endswith(_HEAD_END):
            self._fail(Refused(f"an append was answered {data[:300]!r}"))
            return
        self.answers += 1
        if self._may_go_on():
            self.send(self._request)
        elif not self.done.done():
            self.done.set_result(None)

    def lost(self) -> None:
        self._fail(Refused("the connection of a writer broke"))

    def _fail(self, error: Refused) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class SseReader(Socket):
    """A live reader: how old stamped messages are on arrival, in ms, and when it has caught up."""

    def __init__(self, opening: bytes, expects: int = 0) -> None:
        super().__init__()
        self._opening = opening
        self._expects = expects
        self._tail = b""
        self.ages: list[float] = []
        self.bytes = 0
        self.caught_up_at = 0.0
        self.caught_up = asyncio.Event()
        self.complete = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.send(self._opening)

    def received(self, data: bytes) -> None:
        now = time.perf_counter_ns()
        self.bytes += len(data)
        text = self._tail + data
        if not self.caught_up_at:
            if UP_TO_DATE in text:
                self.caught_up_at = time.perf_counter()
                self.caught_up.set()
            self._tail = text[-_TAIL:]
            return
        end = 0
        for stamp in STAMP.finditer(text):
            self.ages.append((now - int(stamp[1])) / 1e6)
            end = stamp.end()
        self._tail = text[max(end, len(text) - _TAIL) :]
        if self._expects and len(self.ages) >= self._expects:
            self.complete.set()


AnySocket = TypeVar("AnySocket", bound=Socket)


async def opened(port: int, make: Callable[[], AnySocket]) -> AnySocket:
    """Open a connection."""
    loop = asyncio.get_running_loop()
    return (await loop.create_connection(make, HOST, port))[1]


@asynccontextmanager
async def sockets(
    port: int, makers: Sequence[Callable[[], AnySocket]]
) -> AsyncIterator[list[AnySocket]]:
    """Open connections; they close at the end of the block."""
    open_ones: list[AnySocket] = []
    try:
        for make in makers:
            open_ones.append(await opened(port, make))
        yield open_ones
    finally:
        for each in open_ones:
            each.close()
