"""The load driver: HTTP/1.1 on bare sockets, so that the driver leaves the CPU to the server.

Requests are finished bytes, made before the clock starts wherever their content is known by then.
A connection has one request in flight (closed loop).
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"

Answered = Callable[[int, bytes], None]


class Refused(RuntimeError):
    """The server answered with a status that the bench does not expect."""


def request_of(
    method: str,
    path: str,
    body: Any = None,
    *,
    token: str | None = None,
    key: str | None = None,
) -> bytes:
    """Return the bytes of a request; ``body`` is a struct or a JSON tree."""
    content = b"" if body is None else msgspec.json.encode(body)
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1"]
    if token is not None:
        lines.append(f"authorization: Bearer {token}")
    if key is not None:
        lines.append(f"idempotency-key: {key}")
    if method != "GET":
        lines += ["content-type: application/json", f"content-length: {len(content)}"]
    return "\r\n".join(lines).encode() + _END + content


class Follower(asyncio.Protocol):
    """A live stream that is asked for once, and listened to. ``opened``: something has come."""

    def __init__(self, opening: bytes) -> None:
        self._opening = opening
        self._tail = b""
        self._transport: asyncio.Transport | None = None
        self.opened = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._opening)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


class Line(asyncio.Protocol):
    """A connection that is kept alive."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answered: Answered | None = None
        self._lost: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._lost is not None:
            self._lost()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(_END)
        if head_end < 0:
            return
        head = self._received[:head_end].lower()
        at = head.find(_LENGTH)
        length = int(head[at + len(_LENGTH) :].split(b"\r", 1)[0]) if at >= 0 else 0
        start = head_end + len(_END)
        if len(self._received) < start + length:
            return
        status, body = int(head[9:12]), self._received[start : start + length]
        self._received = b""
        answered, self._answered = self._answered, None
        assert answered is not None, "an answer without a request"
        answered(status, body)

    def ask(self, request: bytes, answered: Answered, lost: Callable[[], None]) -> None:
        """Send a request; ``answered`` gets status and body, ``lost`` the end of the line."""
        assert self._transport is not None
        self._answered, self._lost = answered, lost
        self._transport.write(request)

    async def call(self, request: bytes, *, expect: int = 200) -> bytes:
        """Send a request and return the body of its answer.

        Raises:
            Refused: the status is not the expected one, or the line broke.
        """
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def answered(status: int, body: bytes) -> None:
            if status == expect:
                future.set_result(body)
            else:
                future.set_exception(Refused(f"{status} {body[:500]!r}"))

        def lost() -> None:
            if not future.done():
                future.set_exception(Refused("the connection broke"))

        self.ask(request, answered, lost)
        return await future

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


@asynccontextmanager
async def lines(port: int, number: int) -> AsyncIterator[list[Line]]:
    """Open connections to a port of this machine; they close at the end of the block."""
    loop = asyncio.get_running_loop()
    opened = [(await loop.create_connection(Line, "127.0.0.1", port))[1] for _ in range(number)]
    try:
        yield opened
    finally:
        for line in opened:
            line.close()


async def drive(
    line: Line, requests: Sequence[bytes], *, expect: int, latencies: list[float]
) -> None:
    """Send requests one after another on a line, and note how long each took, in seconds."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = deque(requests)
    sent_at = 0.0

    def send() -> None:
        nonlocal sent_at
        sent_at = time.perf_counter()
        line.ask(waiting.popleft(), answered, lost)

    def answered(status: int, body: bytes) -> None:
        latencies.append(time.perf_counter() - sent_at)
        if status != expect:
            done.set_exception(Refused(f"{status} {body[:500]!r}"))
        elif waiting:
            send()
        else:
            done.set_result(None)

    def lost() -> None:
        if not done.done():
            done.set_exception(Refused("the connection broke"))

    send()
    await done


async def drive_all(
    port: int, batches: Sequence[Sequence[bytes]], *, expect: int
) -> tuple[float, list[float]]:
    """Drive one line for each batch of requests at once; return seconds and every latency."""
    latencies: list[float] = []
    async with lines(port, len(batches)) as opened:
        began = time.perf_counter()
        await asyncio.gather(
            *(
                drive(line, batch, expect=expect, latencies=latencies)
                for line, batch in zip(opened, batches, strict=True)
            )
        )
        return time.perf_counter() - began, latencies


def dealt(items: Iterable[bytes], hands: int) -> list[list[bytes]]:
    """Deal items to a number of hands, one by one."""
    every = list(items)
    return [every[hand::hands] for hand in range(hands)]
