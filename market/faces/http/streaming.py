"""Live streams: one loop over a log for every transport, and its SSE form.

A stream ends itself with a last frame from which the reader can resume: when the log is complete
(``closed``), the market stops (``drain``), or the token's time is over (``expired``, ``revoked``).
Nothing is read from the log before the frame before it was taken, so that a slow reader waits in
its own socket and never in our memory.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, Generic, Literal, NamedTuple, Protocol, TypeVar, cast

import structlog
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Receive, Scope, Send

from market.faces.http.answers import PRIVATE, Header, fixed_headers
from market.faces.http.call import Call
from market.faces.http.desk import StreamGate
from market.faces.http.doors import Doorkeeper, Visitor, payer_of
from market.sessions import Page

log: Final = structlog.get_logger("market.http")
Ending = Literal["closed", "drain", "expired", "revoked"]

EVENTS: Final = "text/event-stream"
_EVENT_STREAM: Final = fixed_headers(EVENTS, PRIVATE)
OPENED: Final = b": open\n\n"
ALIVE: Final = b": alive\n\n"


class Item(NamedTuple):
    """One entry at its offset."""

    offset: int
    json: bytes


class Framed(Protocol):
    """What is sent as one server-sent event."""

    @property
    def offset(self) -> int:
        """Its ``id``."""

    @property
    def json(self) -> bytes:
        """Its ``data``."""


class Placed(Protocol):
    """What can be sent: it has a place among the others."""

    @property
    def offset(self) -> int:
        """The place, one more for each."""


Sent = TypeVar("Sent", bound=Placed)
FramedItem = TypeVar("FramedItem", bound=Framed)


class Batch(NamedTuple, Generic[Sent]):
    """What came next; nothing after a quiet moment. ``is_end``: the log is complete."""

    items: list[Sent]
    next_offset: int
    is_end: bool


class Step(NamedTuple, Generic[Sent]):
    """What to send next: entries, a sign of life (no entries, no ending), or the last frame."""

    items: list[Sent]
    next_offset: int
    ending: Ending | None


async def steps(
    batches: AsyncGenerator[Batch[Sent], None], *, doors: Doorkeeper, visitor: Visitor, after: int
) -> AsyncGenerator[Step[Sent], None]:
    """Yield what to send to ``visitor`` of what follows ``after``; the last step has an ending."""
    loop = asyncio.get_running_loop()
    next_offset, last_sent = after + 1, loop.time()
    async with aclosing(batches):
        async for batch in batches:
            if (reason := await doors.reason_to_leave(visitor)) is not None:
                yield Step([], next_offset, cast("Ending", reason))
                return
            if batch.items:
                next_offset = batch.items[-1].offset + 1
            if batch.items or loop.time() - last_sent >= doors.heartbeat_seconds - 1:
                yield Step(batch.items, next_offset, None)
                last_sent = loop.time()
                # A client that left makes sends return at once; without a pause this would spin.
                await asyncio.sleep(0)
            if batch.is_end:
                yield Step([], batch.next_offset, "closed")
                return
    yield Step([], next_offset, "drain")


async def event_frames(
    sequence: AsyncGenerator[Step[FramedItem], None], first: bytes = b""
) -> AsyncGenerator[bytes, None]:
    """Yield steps as server-sent events (WHATWG HTML 9.2), behind a ``first`` frame."""
    async with aclosing(sequence):
        yield OPENED + first
        async for step in sequence:
            if step.items:
                yield _framed(step.items)
            elif step.ending is None:
                yield ALIVE
            else:
                last = b'event: %b\ndata: {"next_offset":%d}\n\n'
                yield last % (step.ending.encode(), step.next_offset)


def _framed(items: Sequence[Framed]) -> bytes:
    """Return the frames of items; of a page that readers share, made once."""
    if isinstance(items, Page) and items.frames is not None:
        return items.frames
    frames = b"".join([b"id: %d\ndata: %b\n\n" % (item.offset, item.json) for item in items])
    if isinstance(items, Page):
        items.frames = frames
    return frames


def snapshot_frame(json: bytes, offset: int) -> bytes:
    """Return the first frame for who has nothing yet: what the log comes to up to ``offset``."""
    return b"event: snapshot\nid: %d\ndata: %b\n\n" % (offset, json)


class EventStream(ASGIStreamingResponse):
    """An answer that goes on until its log or its reader ends. It counts as open from now on.

    Raises:
        TooManyStreams: the caller, or the market, has as many as it may.
    """

    __slots__ = ("_fixed", "_frames", "_gate", "_payer_id")

    def __init__(
        self, frames: AsyncGenerator[bytes, None], *, gate: StreamGate, call: Call
    ) -> None:
        caller = call.visitor.caller
        gate.enter(payer_of(caller), is_delegate=caller.delegation is not None)
        super().__init__(iterator=frames)
        self._frames = frames
        self._gate = gate
        self._payer_id = payer_of(caller)
        self._fixed = [*_EVENT_STREAM, (b"x-request-id", call.request_id.encode())]

    def encode_headers(self) -> list[Header]:
        """Return our headers alone: Litestar's would add a charset that the format forbids."""
        return self._fixed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream, and leave the gate whatever happens."""
        try:
            await super().__call__(scope, receive, self._gate.patrol.watch(send))
        except* TimeoutError:
            log.info("stream.stalled", agent_id=self._payer_id)
        except* OSError:
            pass  # The reader has left. That is no cancel: the log waits for it.
        except* Exception:
            # The edge: what follows the first byte can no longer become a problem document.
            log.exception("stream.failed", agent_id=self._payer_id)
        finally:
            # A reader that was cut has left the hub, too, and not only when memory is tidied up.
            await self._frames.aclose()
            self._gate.leave(self._payer_id)


def open_stream(
    call: Call, batches: AsyncGenerator[Batch[FramedItem], None], *, after: int, first: bytes = b""
) -> EventStream:
    """Return the live answer to ``call``, which begins with a ``first`` frame.

    Raises:
        TooManyStreams: the caller, or the market, has as many as it may.
    """
    desk = call.desk
    sequence = steps(batches, doors=desk.doors, visitor=call.visitor, after=after)
    return EventStream(event_frames(sequence, first), gate=desk.gate, call=call)
