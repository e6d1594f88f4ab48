"""What a session's log says of its orders: money moved, chunks delivered, the state. Pure."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from market.protocol.events import KINDS, Event
from market.protocol.folding import ENDED, ORDER_STATES

_PAYING: Final = frozenset({"order.released", "order.settled", "order.cancelled", "order.failed"})
"""Kinds that announce a capture; the amounts in them are those of all captures so far."""

_ENDING: Final = (("escrow.void", "returned_minor"),)
_FLOWS: Final = {
    "order.placed": (("escrow.hold", "amount_minor"),),
    "order.settled": _ENDING,
    "order.cancelled": _ENDING,
    "order.failed": _ENDING,
    "order.refunded": (("order.refund", "refunded_minor"),),
}
"""The movements that an event of each kind announces, and where in its body the amounts stand."""


class Movement(NamedTuple):
    """Money that moved for an order. ``fee_minor``: the house's part, below 0 in a refund."""

    reason: str
    amount_minor: int
    fee_minor: int
    recorded_at: str


@dataclass
class Told:
    """One order as its log tells it. ``digest`` is that of all chunks, "" without any.

    ``wrong_turns``: what happened to it after it had ended (V7: endings absorb). ``disputes``: what
    each gave back, None while it is not resolved.
    """

    state: str = ""
    captured_minor: int = 0
    fee_minor: int = 0
    chunks: int = 0
    units: int = 0
    digest: str = ""
    movements: list[Movement] = field(default_factory=list)
    wrong_turns: list[str] = field(default_factory=list)
    disputes: dict[str, int | None] = field(default_factory=dict)


def hear(told: dict[str, Told], event: Event) -> None:
    """Add what one event says; events come in the order of the log.

    What participants write is theirs to say: only the market's own kinds tell of orders.
    """
    kind = KINDS.get(event.kind)
    if event.order_id is None or kind is None or kind.writer != "market":
        return
    order = told.setdefault(event.order_id, Told())
    if order.state in ENDED and (event.kind in ORDER_STATES or event.kind == "delivery.chunk"):
        turn = f"{event.kind} at offset {event.offset}, when it had been {order.state}"
        order.wrong_turns.append(turn)
    order.state = ORDER_STATES.get(event.kind, order.state)
    if event.kind in _PAYING:
        order.movements += _paid(order, event)
    order.movements += movements_of(event, order.fee_minor)
    if event.kind == "dispute.opened":
        order.disputes[str(event.body.get("dispute_id"))] = None
    elif event.kind == "dispute.resolved":
        order.disputes[str(event.body.get("dispute_id"))] = _whole(event, "refund_minor")
    if event.kind == "delivery.chunk":
        order.chunks += 1
        order.units += _whole(event, "units")
        order.digest = str(event.body.get("digest", ""))


def movements_of(event: Event, fee_minor: int) -> list[Movement]:
    """Return the movements that an event announces, of an order that was charged this fee."""
    if "fee_returned_minor" in event.body:
        # Before refunds came in parts, one gave the whole fee back.
        fee_minor = _whole(event, "fee_returned_minor")
    house = {"order.refund": -fee_minor}
    moved = [
        Movement(reason, _whole(event, amount), house.get(reason, 0), event.recorded_at)
        for reason, amount in _FLOWS.get(event.kind, ())
    ]
    return [movement for movement in moved if movement.amount_minor]


def _paid(order: Told, event: Event) -> list[Movement]:
    """Return the capture that an event announces: what it says, less what was captured before."""
    before = (order.captured_minor, order.fee_minor)
    order.captured_minor = _whole(event, "captured_minor")
    order.fee_minor = _whole(event, "fee_minor")
    part_minor = order.captured_minor - before[0]
    if not part_minor:
        return []
    fee_minor = order.fee_minor - before[1]
    return [Movement("escrow.capture", part_minor, fee_minor, event.recorded_at)]


def _whole(event: Event, name: str) -> int:
    # A damaged log may hold anything; it must not keep the audit from naming the damage.
    value = event.body.get(name)
    return value if isinstance(value, int) else 0
