"""The gateway: a handler that lets an HTTP endpoint do the work.

For each order it sends one signed request (``calls``) and passes on what is answered, line by
line: ``{"output": {...}, "units": 2}`` is one chunk, ``{"error": "..."}`` gives the order up. It
goes to public addresses only (``market.protocol.dialling``). Whatever else happens, the order
fails and its buyer has everything back; nothing is tried again by itself, and one endpoint's
trouble stays with its own orders.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Annotated, Any, Final

import anyio
import msgspec
from msgspec import Meta

from market.protocol.addresses import AddressRefused
from market.protocol.dialling import Answer, Dialler, NotDelivered, Resolve, resolve
from market.protocol.manifest import Manifest
from market.protocol.signing import SigningKey
from seller_services.breaking import Breaker, EndpointFailed
from seller_services.calls import FROM_CHUNK, body_of, headers_of
from seller_services.handling import CannotDeliver, Chunk, Order, Yielded

WAIT_SECONDS: Final = 10.0
"""How long the head of an answer, and then each next part of it, may take to come."""

MAX_LINE: Final = 256 * 1024
MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes of one answer. What is compressed is refused, so these are also its bytes when read."""

MEDIA: Final = ("application/x-ndjson", "application/ndjson", "application/jsonl")
REFUSALS: Final = (400, 409, 413, 422)
"""Statuses by which an endpoint refuses one order, and is not broken itself."""

_OK: Final = 200
_MAX_DIGITS: Final = 5


class BadStream(Exception):
    """An endpoint answers something else than was agreed."""


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of an answer. ``chunk`` and ``order_id`` may say what it is; then they must fit."""

    output: dict[str, Any] | None = None
    units: Annotated[int, Meta(ge=0, le=2**40)] | None = None
    error: str | None = None
    chunk: int | None = None
    order_id: str | None = None


class Gateway:
    """The way from orders to one endpoint. ``deliver`` is the handler."""

    def __init__(
        self,
        manifest: Manifest,
        key: SigningKey,
        *,
        calls_loopback: bool = False,
        resolve: Resolve = resolve,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = anyio.current_time,
    ) -> None:
        if manifest.endpoint is None:
            raise TypeError("the manifest names no endpoint")
        self._endpoint = manifest.endpoint
        self._max_chunks = manifest.limits.max_chunks
        self._key = key
        self._dialler = Dialler(calls_loopback=calls_loopback, resolve=resolve)
        self._now = now
        self._breaker = Breaker(clock)

    async def deliver(self, order: Order) -> AsyncGenerator[Yielded, None]:
        """Yield the chunks that the endpoint makes of an order.

        Raises:
            CannotDeliver: it refuses the order, fails, or has failed too often.
        """
        with self._breaker.attempt():
            try:
                async with aclosing(self._chunks(order)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except (AddressRefused, NotDelivered, BadStream) as failure:
                raise EndpointFailed(f"the service's endpoint failed: {failure}") from failure

    async def _chunks(self, order: Order) -> AsyncGenerator[Yielded, None]:
        body = body_of(_call_tree(order))
        headers = headers_of(
            self._key,
            endpoint=self._endpoint,
            order_id=order.id,
            from_chunk=order.chunks_delivered,
            body=body,
            now=self._now(),
        )
        async with self._dialler.post(
            self._endpoint, body=body, headers=headers, seconds=WAIT_SECONDS
        ) as answer:
            index = _first_chunk(answer, order)
            async with aclosing(order.delivered(index)) as delivered:
                async for chunk in delivered:
                    yield chunk
            async with aclosing(lines_of(answer.parts())) as lines:
                async for line in lines:
                    if index >= self._max_chunks:
                        raise BadStream(f"it sends more than {self._max_chunks} chunks")
                    yield _yielded(_read(line), order.id, index)
                    index += 1


async def lines_of(parts: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a body that comes in parts; empty ones are left out.

    Raises:
        BadStream: a line or the whole is too long, or the last line has no end.
    """
    rest, size = bytearray(), 0
    async for part in parts:
        size += len(part)
        if size > MAX_BYTES:
            raise BadStream(f"its answer is longer than {MAX_BYTES} bytes")
        *whole, tail = part.split(b"\n")
        for piece in whole:
            line = bytes(rest + piece)
            rest.clear()
            if len(line) > MAX_LINE:
                raise BadStream(f"a line is longer than {MAX_LINE} bytes")
            if line.strip():
                yield line
        rest += tail
        if len(rest) > MAX_LINE:
            raise BadStream(f"a line is longer than {MAX_LINE} bytes")
    if rest.strip():
        raise BadStream("its last line has no end")


def _call_tree(order: Order) -> dict[str, Any]:
    """What an endpoint needs to know: nothing of the buyer but the order."""
    tree: dict[str, Any] = {
        "order_id": order.id,
        "input": dict(order.input),
        "units": order.units,
        "deliver_by": order.deliver_by,
        "from_chunk": order.chunks_delivered,
    }
    steering = order.steering.take()
    return tree | {"steering": steering} if steering else tree


def _first_chunk(answer: Answer, order: Order) -> int:
    """Return the index of the chunk with which an answer begins.

    Raises:
        CannotDeliver: the endpoint refuses the order.
        BadStream: this is no answer of the agreed form.
    """
    if answer.status in REFUSALS:
        raise CannotDeliver(f"the service's endpoint refuses the order (HTTP {answer.status})")
    if answer.status != _OK:
        raise BadStream(f"it answers HTTP {answer.status}")
    if answer.headers.get("content-type", "").partition(";")[0].strip().lower() not in MEDIA:
        raise BadStream(f"its answer is not {MEDIA[0]}")
    if not answer.is_plain:
        raise BadStream("its answer is compressed")
    if not answer.headers.keys() & {"content-length", "transfer-encoding"}:
        raise BadStream("its answer does not say where it ends")
    text = answer.headers.get(FROM_CHUNK.lower(), "0")
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise BadStream(f"its {FROM_CHUNK} is no number")
    if int(text) > order.chunks_delivered:
        raise BadStream(f"it begins with chunk {text}: {order.chunks_delivered} was asked for")
    return int(text)


def _read(line: bytes) -> Line:
    try:
        return msgspec.json.decode(line, type=Line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadStream(f"a line is not as agreed: {error}") from error


def _yielded(line: Line, order_id: str, index: int) -> Yielded:
    if line.order_id not in (None, order_id):
        raise BadStream("a line belongs to another order")
    if line.chunk not in (None, index):
        raise BadStream(f"chunk {line.chunk} comes where chunk {index} should")
    if line.error is not None:
        raise CannotDeliver(f"the service gives the order up: {line.error}")
    if line.output is None:
        raise BadStream("a line has neither output nor error")
    return line.output if line.units is None else Chunk(line.output, line.units)
