"""Working on one order: run the handler, deliver its chunks, obey the session's log.

Nothing is kept between runs but what the market has. A run that begins on a started order reads
the log, runs the handler again from the start, skips the chunks that are delivered (their digests
must agree), and goes on with the next. What was said to steer the order reaches the handler
between two chunks, and again at the same place when it is repeated.
"""

import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, Final

import anyio
import structlog

from buyer_agents import BadAnswer, MarketClient, MarketUnreachable, Refused, follow_session
from market.protocol.canonical import NotCanonical
from market.protocol.chain import BrokenChain
from market.protocol.delivery import chain
from market.protocol.events import Event
from market.protocol.text import one_line
from seller_services.handling import (
    CannotDeliver,
    Handler,
    HandlerFailed,
    Order,
    Yielded,
    outputs_of,
)
from seller_services.history import History, delivered
from seller_services.measure import metered

MAX_REASON: Final = 200
RECHECK_SECONDS: Final = 0.5
FIRST_BEAT_SECONDS: Final = 0.5
"""Work that takes longer than this gives signs of life; the first answer says how often."""

_REPEATED: Final = -1
_OVER: Final = frozenset(
    {"wrong_order_state", "order_cancelled", "deadline_passed", "session_closed"}
)
"""Refusals by which a worker learns that the order ended without it."""

log = structlog.get_logger(__name__)


async def work_on(market: MarketClient, order_id: str, handler: Handler) -> None:
    """Work on an order until it is delivered, given up, or ended by another's hand.

    Raises:
        MarketUnreachable: the market stayed away; another run goes on where this one stopped.
    """
    away: BaseException | None = None
    try:
        view = await market.start(order_id)
        order = Order(view, partial(delivered, market, view.session_id, order_id))
        history = await _read_history(market, order)
        if not history.has_ended:
            await Work(market, order, history, handler).run()
    except* MarketUnreachable as group:
        away = group
    except* Refused as group:
        log.info("order.left", order_id=order_id, why=_texts(group))
    except* (BadAnswer, BrokenChain) as group:
        log.error("order.unreadable", order_id=order_id, why=_texts(group))
    if away is not None:
        raise MarketUnreachable(f"the market stayed away during {order_id}") from away


class Work:
    """One run over one order."""

    def __init__(
        self, market: MarketClient, order: Order, history: History, handler: Handler
    ) -> None:
        self._market = market
        self._order = order
        self._handler = handler
        self._history = history
        self._skip = history.chunks
        self._skip_digest = history.digest
        self._steered = {index: list(texts) for index, texts in history.steered.items()}
        self._said = dict(history.waiting)
        self._taken: dict[int, list[int]] = {}
        self._gate = Gate(is_open=not history.is_paused)

    async def run(self) -> None:
        """Deliver, and listen to the log meanwhile."""
        log.info("order.started", order_id=self._order.id, chunks_delivered=self._skip)
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen, group.cancel_scope)
            group.start_soon(self._give_signs_of_life)
            await self._deliver_or_fail()
            group.cancel_scope.cancel()

    async def _listen(self, scope: anyio.CancelScope) -> None:
        """Follow the log; stop the run when the order ends."""
        session_id, after = self._order.session_id, self._history.last_offset
        async with aclosing(follow_session(self._market, session_id, after)) as entries:
            async for entry in entries:
                if isinstance(entry, Event) and entry.order_id == self._order.id:
                    self._heed(entry)
                if self._history.has_ended:
                    break
        scope.cancel()

    async def _give_signs_of_life(self) -> None:
        """Renew the order's lease three times in its length, whatever the handler does."""
        await anyio.sleep(FIRST_BEAT_SECONDS)
        # A refusal means that the order ended; the log says how, and ends the run.
        with suppress(Refused):
            while True:
                lease = await self._market.heartbeat(self._order.id)
                await anyio.sleep(lease.lease_seconds / 3)

    def _heed(self, event: Event) -> None:
        self._history.take(event)
        self._gate.set(is_open=not self._history.is_paused)
        if event.offset in self._history.waiting:
            self._said[event.offset] = self._history.waiting[event.offset]

    async def _deliver_or_fail(self) -> None:
        try:
            await self._deliver()
        except HandlerFailed as failure:
            log.error("handler.failed", order_id=self._order.id, **_told(failure))
            await self._fail(str(failure))
        except CannotDeliver as why:
            log.warning("order.given_up", order_id=self._order.id, exc_info=why)
            await self._fail(str(why))
        except Refused as refused:
            if refused.code in _OVER:
                raise
            await self._fail(f"the market refused the delivery: {refused.detail}")

    async def _deliver(self) -> None:
        """Send the chunks that the market does not have yet, and declare the delivery complete."""
        digest, count, units = "", 0, 0
        order = self._order
        async with aclosing(metered(self._outputs(), order.units, is_cap=order.is_cap)) as chunks:
            async for chunk in chunks:
                digest = _chain(digest, chunk.output, count)
                units += chunk.units
                if count >= self._skip:
                    await self._answer(count)
                    send = partial(self._market.chunk, units=chunk.units)
                    await self._unless_paused(partial(send, self._order.id, count, chunk.output))
                elif count == self._skip - 1 and digest != self._skip_digest:
                    raise CannotDeliver("the handler does not repeat what it delivered before")
                count += 1
        if count < max(self._skip, 1):
            raise CannotDeliver("the handler had nothing to deliver")
        await self._answer(count)
        complete = partial(self._market.complete, chunks=count, units=units, delivery_digest=digest)
        await self._unless_paused(partial(complete, self._order.id))
        log.info("order.delivered", order_id=self._order.id, chunks=count)

    async def _outputs(self) -> AsyncGenerator[Yielded, None]:
        """Yield the handler's outputs; while the order is paused it is not asked for the next."""
        index = 0
        async with aclosing(outputs_of(self._handler, self._order)) as outputs:
            while True:
                await self._gate.opened()
                self._steer(index)
                yielded = await anext(outputs, None)
                self._taken[index] = self._order.steering.taken()
                if yielded is None:
                    return
                yield yielded
                index += 1

    def _steer(self, index: int) -> None:
        """Put in what was consumed before this chunk in an earlier run, then what is new."""
        for text in self._steered.get(index, ()):
            self._order.steering.put(_REPEATED, text)
        if index >= self._skip:
            for offset, text in self._said.items():
                self._order.steering.put(offset, text)
            self._said.clear()

    async def _answer(self, index: int) -> None:
        """Say in the log what was consumed up to this chunk, before the chunk itself."""
        for place in [place for place in self._taken if place <= index]:
            for offset in self._taken.pop(place):
                if offset != _REPEATED:
                    # Refused means that the market has answered by itself: too late.
                    with suppress(Refused):
                        await self._market.answer_control(
                            self._order.session_id, offset, "consumed"
                        )

    async def _unless_paused(self, send: Callable[[], Awaitable[Any]]) -> None:
        """Send while the order is not paused; one that was too early is sent again."""
        while True:
            await self._gate.opened()
            try:
                await send()
            except Refused as refused:
                if refused.code != "order_paused":
                    raise
            else:
                return
            # The pause stands in the log; this run may not have read it yet.
            with anyio.move_on_after(RECHECK_SECONDS):
                await self._gate.closed()

    async def _fail(self, reason: str) -> None:
        await self._market.fail(self._order.id, one_line(reason, MAX_REASON))


class Gate:
    """Open while an order may be worked on, closed while it is paused."""

    def __init__(self, *, is_open: bool) -> None:
        self._is_open = is_open
        self._turned = anyio.Event()

    def set(self, *, is_open: bool) -> None:
        """Open or close the gate."""
        if is_open != self._is_open:
            self._is_open = is_open
            self._turned.set()
            self._turned = anyio.Event()

    async def opened(self) -> None:
        """Return when it is open."""
        if not self._is_open:
            await self._turned.wait()

    async def closed(self) -> None:
        """Return when it is closed."""
        if self._is_open:
            await self._turned.wait()


async def _read_history(market: MarketClient, order: Order) -> History:
    history = History()
    while True:
        page = await market.events(order.session_id, after=history.last_offset)
        history.read(page.items, order.id)
        if page.is_closed or not page.items:
            return history


def _chain(digest: str, output: dict[str, Any], index: int) -> str:
    try:
        return chain(digest, output)
    except NotCanonical as error:
        raise CannotDeliver(f"chunk {index} has no JSON form: {error}") from error


def _told(failure: HandlerFailed) -> dict[str, Any]:
    """Return what the seller's own log has of a failed handler: all, where the buyer has a type."""
    raised = failure.__cause__
    if raised is None:
        return {"detail": f"{failure}. The buyer was told so, and has everything back."}
    told = f"{type(raised).__name__}: {raised}"
    place = traceback.extract_tb(raised.__traceback__)[-1]
    return {
        "detail": f"{told}, at {place.filename}:{place.lineno} in {place.name}. The buyer was told"
        f" '{failure}', and has everything back.",
        "exc_info": raised,
    }


def _texts(group: BaseExceptionGroup[Exception]) -> list[str]:
    """Return the messages of a group's exceptions, however deep they lie."""
    texts: list[str] = []
    for error in group.exceptions:
        texts.extend(_texts(error) if isinstance(error, BaseExceptionGroup) else [str(error)])
    return texts
