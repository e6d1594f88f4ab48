"""Explain: what became of an order and why, put together from its row, quote, log and ledger."""

from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, select

from market import ledger
from market.base import streams
from market.base.caller import Caller
from market.base.clock import rfc3339, spoken
from market.base.sql import Sql
from market.base.work import Snapshot
from market.orders.dispute_rows import of_order
from market.orders.prospects import deadlines_of, policies_of, steps_of
from market.orders.redoing import redos
from market.orders.refunds import refundable_minor
from market.orders.rows import MAX_RECEIPTS, seen
from market.orders.tables import receipts
from market.protocol.money import Money
from market.protocol.wire import ExplainView, MovementView

_RECEIPTS: Final = Sql(
    select(receipts.c.id)
    .where(receipts.c.order_id == bindparam("order_id"))
    .order_by(receipts.c.id)
    .limit(MAX_RECEIPTS)
)
_SENTENCES: Final = {
    "escrow.hold": "{amount} went from the buyer's wallet into the order's escrow.",
    "escrow.capture": "{amount} was paid out of escrow, of which {fee} is the market's fee.",
    "escrow.void": "{amount} went back from escrow to the buyer.",
    "order.refund": "{amount} went back to the buyer, of which the market gave {fee}.",
    "bond.draw": "{amount} was taken from the seller's bond, to cover a refund.",
    "bond.withhold": "{amount} of what the seller earned went into its bond.",
    "bond.forfeit": "{amount} of the seller's bond fell to the house.",
}

_MOVED_BY: Final = {
    "order.placed": ("hold",),
    "order.released": ("capture",),
    "order.settled": ("capture", "void"),
    "order.cancelled": ("capture", "void"),
    "order.failed": ("capture", "void"),
    "order.refunded": ("refund",),
}
_EVENT_OF: Final = {
    "escrow.hold": "hold",
    "escrow.capture": "capture",
    "escrow.void": "void",
    "order.refund": "refund",
    "bond.draw": "refund",
}
MAX_READ: Final = 2_000
"""Events from an order's first on that are looked through for its movements."""


class _Told(msgspec.Struct):
    """What of an event says where money moved."""

    offset: int
    kind: str
    order_id: str | None
    recorded_at: str


_EVENT: Final = msgspec.json.Decoder(_Told)


def explain(snapshot: Snapshot, *, caller: Caller, order_id: str) -> ExplainView:
    """Return what became of an order, to one who takes part in it.

    Raises:
        OrderNotFound: there is none in which the caller takes part.
    """
    caller.need("read")
    return explained(snapshot, seen(snapshot, caller=caller, order_id=order_id))


def explained(snapshot: Snapshot, row: Any) -> ExplainView:
    """Return what became of an order, from its row."""
    return ExplainView(
        order_id=row.id,
        state=row.state,
        currency=row.currency,
        amount_minor=row.amount_minor,
        captured_minor=row.captured_minor,
        fee_minor=row.fee_minor,
        returned_minor=row.returned_minor,
        refunded_minor=row.refunded_minor,
        owed_minor=row.owed_minor,
        refundable_minor=refundable_minor(row),
        units=row.units,
        units_delivered=row.units_delivered,
        ordered=_ordered(row),
        held=_held(row),
        delivered=_delivered(row),
        paid=_paid(row),
        movements=_movements(snapshot, row),
        deadlines=deadlines_of(snapshot, row),
        policies=policies_of(snapshot, row),
        may_do=steps_of(snapshot, row),
        disputes=[one.id for one in of_order(snapshot, order_id=row.id)],
        redos=[one.id for one in redos(snapshot, order_id=row.id)],
        receipts=[one.id for one in snapshot.all(_RECEIPTS, order_id=row.id)],
    )


def _ordered(row: Any) -> str:
    price = Money(row.amount_minor, row.currency)
    units = "1 unit" if row.units == 1 else f"{row.units} units"
    what = f"{units} of {row.slug} at {spoken(row.placed_at)}"
    if row.redo_of is not None:
        return f"{what}, at no price: it delivers {row.redo_of} again."
    return f"{what}, for {price}, as quoted in {row.quote_id}."


def _held(row: Any) -> str:
    if row.redo_of is not None:
        return "Nothing is held for a redo."
    price = Money(row.amount_minor, row.currency)
    if row.ended_at is not None:
        return f"{price} was held until {spoken(row.ended_at)}; nothing is held now."
    held = Money(row.amount_minor - row.captured_minor - row.returned_minor, row.currency)
    return f"{held} is held in escrow: the seller is paid out of it, and the rest returns."


def _delivered(row: Any) -> str:
    chunks = "1 chunk" if row.chunks_delivered == 1 else f"{row.chunks_delivered} chunks"
    came = f"{row.units_delivered} of {row.units} units came in {chunks}"
    if row.delivery_commitment is not None:
        return f"{came}, and the seller signed that this is all."
    return f"{came}; the seller has not declared it complete."


def _paid(row: Any) -> str:
    money = row.currency
    if not row.captured_minor:
        back = "" if row.ended_at is None else f"; {Money(row.returned_minor, money)} went back"
        return f"Nothing was paid{back}."
    parts = [
        f"{Money(row.captured_minor, money)} was paid, with a fee of {Money(row.fee_minor, money)}"
    ]
    if row.returned_minor:
        parts.append(f"{Money(row.returned_minor, money)} of the hold went back")
    if row.refunded_minor:
        in_parts = f" in {row.refunds} parts" if row.refunds > 1 else ""
        parts.append(f"{Money(row.refunded_minor, money)} was refunded{in_parts}")
    if row.owed_minor:
        parts.append(f"the seller owes {Money(row.owed_minor, money)} more")
    return "; ".join(parts) + "."


def _movements(snapshot: Snapshot, row: Any) -> list[MovementView]:
    """Return each movement, oldest first, with the place of the event that says so."""
    moved = ledger.movements(snapshot, order_id=row.id, refunds=row.refunds)
    places = _places(snapshot, row)
    return [
        MovementView(
            transaction_id=one.id,
            reason=one.reason,
            amount_minor=one.amount_minor,
            fee_minor=one.fee_minor,
            currency=row.currency,
            recorded_at=rfc3339(one.recorded_at),
            offset=places.get((_EVENT_OF.get(one.reason, ""), rfc3339(one.recorded_at))),
            sentence=_SENTENCES.get(one.reason, "{amount} moved.").format(
                amount=Money(one.amount_minor, row.currency),
                fee=Money(abs(one.fee_minor), row.currency),
            ),
        )
        for one in moved
    ]


def _places(snapshot: Snapshot, row: Any) -> dict[tuple[str, str], int]:
    """Return where the log says of money of this order: by what moved, and the moment.

    An event stands in the same commit as its movement, and so has its moment. The log is read for
    ``MAX_READ`` events from the order's first on.
    """
    places: dict[tuple[str, str], int] = {}
    after, last = row.first_offset - 1, row.first_offset + MAX_READ
    while after < last:
        entries = streams.read(snapshot, stream_id=row.session_id, after=after).entries
        if not entries:
            break
        for entry in entries:
            event = _EVENT.decode(entry.data)
            if event.order_id == row.id:
                for moved in _MOVED_BY.get(event.kind, ()):
                    places.setdefault((moved, event.recorded_at), event.offset)
        after = entries[-1].offset
    return places
