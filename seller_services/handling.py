"""What a handler sees of an order, and how its outputs come out of it.

A handler is a generator function of one order: plain (it then runs in a thread of its own, so that
it may compute) or async. Each value it yields is one chunk. It must be deterministic: after a
restart it runs again from the start, and the chunks that the market has are skipped.
"""

import inspect
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import anyio

from market.protocol.wire import OrderView


class Chunk(NamedTuple):
    """An output with the units of work that it delivers, for sellers that are paid by the unit."""

    output: dict[str, Any]
    units: int


class CannotDeliver(Exception):
    """A handler gives an order up; the buyer reads the message and gets everything back."""


class HandlerFailed(CannotDeliver):
    """A handler raised something else; the buyer learns its kind, the seller's log the rest."""


class Steering:
    """What buyers and overseers say to a running order."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, str]] = deque()
        self._taken: list[int] = []

    def take(self) -> list[str]:
        """Return what was said since the last time; the market is told that it was consumed."""
        texts = []
        while self._waiting:
            offset, text = self._waiting.popleft()
            self._taken.append(offset)
            texts.append(text)
        return texts

    def put(self, offset: int, text: str) -> None:
        """Add what was said at an offset of the log."""
        self._waiting.append((offset, text))

    def taken(self) -> list[int]:
        """Return the offsets of what was taken since the last time."""
        taken, self._taken = self._taken, []
        return taken


Delivered = Callable[[int], AsyncGenerator[Chunk, None]]


async def _nothing(count: int) -> AsyncGenerator[Chunk, None]:
    """Yield no chunk: an order that stands alone has none."""
    chunks: tuple[Chunk, ...] = ()
    for chunk in chunks:
        yield chunk


class Order:
    """One order, as its handler sees it."""

    def __init__(self, view: OrderView, delivered: Delivered = _nothing) -> None:
        self.id = view.id
        self.session_id = view.session_id
        self.buyer_id = view.buyer_id
        self.input: Mapping[str, Any] = view.input
        self.units = view.units
        """How much work was paid for, in the manifest's measure."""

        self.is_cap = view.terms.is_cap
        """Whether ``units`` are the most that may be delivered, and what is delivered is paid."""

        self.deliver_by = view.deliver_by
        """Until when the delivery must be complete."""

        self.chunks_delivered = view.chunks_delivered
        """Chunks that the market had when this run began; they are made again and skipped."""

        self.delivered = delivered
        """Yields the first so many of them, from the market's log: for a handler that cannot make
        them again."""

        self.steering = Steering()


Yielded = Chunk | dict[str, Any]
Handler = Callable[[Order], Iterator[Yielded] | AsyncIterator[Yielded]]

_END: Final = object()


async def outputs_of(handler: Handler, order: Order) -> AsyncGenerator[Yielded, None]:
    """Run ``handler`` over ``order`` and yield what it yields, when the consumer asks for it.

    Raises:
        CannotDeliver: the handler gave up.
        HandlerFailed: it raised anything else.
    """
    made = _begun(handler, order)
    try:
        while (yielded := await _step(made)) is not _END:
            _check(yielded)
            yield yielded
    finally:
        if isinstance(made, AsyncGenerator):
            await made.aclose()


def _begun(handler: Handler, order: Order) -> Iterator[Yielded] | AsyncIterator[Yielded]:
    try:
        return handler(order)
    except Exception as error:
        # The same edge as below: a handler that takes no order, for instance.
        raise HandlerFailed(f"the handler failed with {type(error).__name__}") from error


def _check(yielded: Any) -> None:
    if not isinstance(yielded, Chunk | dict):
        kind = type(yielded).__name__
        raise HandlerFailed(f"the handler yields a {kind}, not a dict or a Chunk")
    if isinstance(yielded, Chunk):
        if not isinstance(yielded.output, dict):
            kind = type(yielded.output).__name__
            raise HandlerFailed(f"the handler yields a Chunk of a {kind}, not of a dict")
        if type(yielded.units) is not int:
            kind = type(yielded.units).__name__
            raise HandlerFailed(f"the handler yields a Chunk with a {kind} for its units")


async def _step(made: Iterator[Yielded] | AsyncIterator[Yielded]) -> Any:
    try:
        if isinstance(made, AsyncIterator):
            return await anext(made, _END)
        return await anyio.to_thread.run_sync(next, made, _END)
    except CannotDeliver:
        raise
    except Exception as error:
        # The edge to the seller's own code: whatever it raises ends its order and no other.
        raise HandlerFailed(f"the handler failed with {type(error).__name__}") from error


def check_handler(handler: Handler) -> None:
    """Refuse what cannot be a handler, when it is declared and not at the first order.

    Raises:
        TypeError: it is no generator function.
    """
    if not is_handler(handler):
        raise TypeError("a handler yields its chunks: make it a generator function")


def is_handler(value: Any) -> bool:
    """Whether a value is a generator function, plain or async."""
    return inspect.isgeneratorfunction(value) or inspect.isasyncgenfunction(value)
