"""Reading one order's fate in the session's log: approval, delivery, control, end."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final, NamedTuple

import anyio

from buyer_agents.journey import Left
from market.protocol.chain import Entry
from market.protocol.delivery import chain
from market.protocol.events import Event, Reason

LATE: Final = "not delivered in time"
"""The reason of ``order.failed`` when the market's own deadline passed."""

Follow = Callable[[int], AsyncGenerator[Entry, None]]
"""Opens the log behind an offset."""


class TimedOut(Exception):
    """The log said nothing of the order for as long as the buyer waits."""


class Delivery(NamedTuple):
    """What was delivered, in order, and the digest that binds it."""

    outputs: list[dict[str, Any]]
    digest: str


class OrderWatch:
    """Follows one order from an offset on. It may be asked again after a time-out."""

    def __init__(self, follow: Follow, *, order_id: str, after: int, patience_seconds: float):
        self.interventions: list[str] = []
        self.outputs: list[dict[str, Any]] = []
        self._follow = follow
        self._order_id = order_id
        self._after = after
        self._patience_seconds = patience_seconds
        self._digest = ""
        self._is_paused = False

    async def approval(self) -> None:
        """Wait until a human allows the order.

        Raises:
            Left: it was denied, ran out, or the order ended.
        """
        # The market ends the wait itself, by ``approval.expired``.
        async with aclosing(self._events(limited=False)) as events:
            async for event in events:
                if event.kind == "approval.granted":
                    return
                if event.kind in ("approval.denied", "approval.expired"):
                    reason = event.body.get("reason") or event.kind
                    raise Left("approval_denied", f"The order was not approved: {reason}")
                _check_end(event)
        raise Left("other", "The session was closed before the order was approved.")

    async def delivery(self) -> Delivery:
        """Collect the chunks until the delivery is complete.

        Raises:
            TimedOut: nothing happened for the buyer's patience, while not paused.
            Left: the order ended otherwise, or the delivery does not match its digest.
        """
        async with aclosing(self._events(limited=True)) as events:
            async for event in events:
                if event.kind == "delivery.chunk":
                    self._take(event)
                elif event.kind == "delivery.completed":
                    if event.body.get("digest") != self._digest:
                        raise Left("delivery_failed", "The delivery does not match its digest.")
                    return Delivery(self.outputs, self._digest)
                else:
                    _check_end(event)
        raise Left("other", "The session was closed before the delivery was complete.")

    def _take(self, event: Event) -> None:
        index, output = event.body["index"], event.body["output"]
        if index != len(self.outputs):
            raise Left("delivery_failed", f"Chunk {index} came after {len(self.outputs)} chunks.")
        self.outputs.append(output)
        self._digest = chain(self._digest, output)

    async def _events(self, *, limited: bool) -> AsyncGenerator[Event, None]:
        """Yield the order's events; note pauses and what others did to it."""
        async with aclosing(self._follow(self._after)) as entries:
            while True:
                # A paused order is silent by right.
                patience = self._patience_seconds if limited and not self._is_paused else None
                try:
                    with anyio.fail_after(patience):
                        entry = await anext(entries, None)
                except TimeoutError as error:
                    raise TimedOut(f"nothing happened for {patience} s") from error
                if entry is None:
                    return
                self._after = entry.offset
                if isinstance(entry, Event) and entry.order_id == self._order_id:
                    self._note(entry)
                    yield entry

    def _note(self, event: Event) -> None:
        if "run" in event.body:
            return  # a sub-agent's affair, not the order's
        if event.kind == "control.requested":
            self.interventions.append(str(event.body.get("action")))
        elif event.kind == "control.answered" and event.body.get("answer") == "accepted":
            action = event.body.get("action")
            if action in ("pause", "resume"):
                self._is_paused = action == "pause"


def _check_end(event: Event) -> None:
    """Leave if the event ends the order without a complete delivery."""
    reason = str(event.body.get("reason") or "no reason was given")
    if event.kind == "order.cancelled":
        raise Left("other", f"The order was cancelled: {reason}")
    if event.kind == "order.failed":
        fault: Reason = "timeout" if reason == LATE else "delivery_failed"
        raise Left(fault, f"The order failed: {reason}")
