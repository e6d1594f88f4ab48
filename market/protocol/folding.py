"""Folding: what a session's log comes to, for those who join late (snapshot, then tail).

``fold`` adds one entry to a ``Folded``; begin with ``Folded()`` at offset 0, or with the market's
snapshot at its ``next_offset``. Both come to the same: a fold of everything is a fold of a
snapshot and then of the tail. A reader folds what it may see; of a withheld entry only the place
and the hash count. The chunks of a delivery become one list of outputs, the steps of a run their
latest attempts.

A fold is bounded, however long the log (``keeping``): the oldest goes first, and offsets say where
the log has it all.
"""

from collections.abc import Callable
from typing import Final

from market.protocol.chain import BrokenChain, Entry
from market.protocol.events import Event, Withheld
from market.protocol.folded import (
    Folded,
    FoldedApproval,
    FoldedControl,
    FoldedDecision,
    FoldedOrder,
    FoldedPresence,
    FoldedRun,
    FoldedSource,
    FoldedStep,
)
from market.protocol.keeping import (
    bound,
    drop,
    hold,
    make_room,
    name_in,
    weight,
    weight_of,
    whole_in,
    words_in,
)

ORDER_STATES: Final = {
    "order.placed": "placed",
    "approval.requested": "awaiting_approval",
    "approval.granted": "placed",
    "order.started": "started",
    "delivery.completed": "delivered",
    "order.settled": "settled",
    "order.cancelled": "cancelled",
    "order.failed": "failed",
}
"""The state of an order after an event of each kind; other kinds leave it as it is."""

ENDED: Final = frozenset({"settled", "cancelled", "failed"})

_AMOUNTS: Final = ("captured_minor", "fee_minor", "returned_minor", "refunded_minor")


def fold(folded: Folded, entry: Entry) -> Folded:
    """Add the next entry of the log to ``folded``, and return it.

    Raises:
        BrokenChain: it is not the next entry.
    """
    if entry.offset != folded.next_offset:
        raise BrokenChain(folded.next_offset, f"the log goes on at offset {entry.offset}")
    folded.next_offset = entry.offset + 1
    folded.head_hash = entry.hash
    if not isinstance(entry, Withheld) and (take := _TAKES.get(entry.kind)) is not None:
        take(folded, entry)
    return folded


def _closed(folded: Folded, event: Event) -> None:
    folded.is_closed = True
    folded.presence.clear()


def _forked(folded: Folded, event: Event) -> None:
    """What waited at the source waits there: here nobody will answer it, and nobody is here."""
    folded.forked_from = FoldedSource(
        session_id=name_in(event, "source_session_id"),
        offset=whole_in(event, "source_offset"),
        hash=name_in(event, "source_hash"),
    )
    folded.presence.clear()
    folded.controls = {at: one for at, one in folded.controls.items() if one.answer is not None}
    folded.approvals = {at: one for at, one in folded.approvals.items() if one.state != "waiting"}


# Orders


def _placed(folded: Folded, event: Event) -> None:
    if event.order_id is None or event.order_id in folded.orders:
        return
    make_room(folded, folded.orders, lambda order: order.state in ENDED)
    folded.orders[event.order_id] = FoldedOrder(
        id=event.order_id,
        session_id=event.session_id,
        service_id=name_in(event, "service_id"),
        slug=name_in(event, "slug"),
        seller_id=name_in(event, "seller_id"),
        state="placed",
        is_paused=False,
        is_stalled=False,
        amount_minor=whole_in(event, "amount_minor"),
        currency=name_in(event, "currency"),
        units=whole_in(event, "units"),
        units_delivered=0,
        chunks_delivered=0,
        outputs=[],
        digest="",
        captured_minor=0,
        fee_minor=0,
        returned_minor=0,
        refunded_minor=0,
        receipt_id=None,
        reason="",
        first_offset=event.offset,
        last_offset=event.offset,
        held_bytes=0,
    )


def _moved(folded: Folded, event: Event) -> None:
    """The order goes to another state; its end says what became of the money."""
    order = _order(folded, event)
    if order is None:
        return
    order.state = ORDER_STATES.get(event.kind, order.state)
    order.is_stalled = event.kind == "order.stalled"
    for name in _AMOUNTS:
        if name in event.body:
            setattr(order, name, whole_in(event, name))
    order.receipt_id = name_in(event, "receipt_id") or order.receipt_id
    order.reason = words_in(event, "reason") or order.reason


def _released(folded: Folded, event: Event) -> None:
    """A part was paid; the amounts are those of all parts so far."""
    order = _order(folded, event)
    if order is not None:
        order.captured_minor = whole_in(event, "captured_minor")
        order.fee_minor = whole_in(event, "fee_minor")


def _refunded(folded: Folded, event: Event) -> None:
    """A part went back; the parts add up."""
    order = _order(folded, event)
    if order is not None:
        order.refunded_minor += whole_in(event, "refunded_minor")
        order.receipt_id = name_in(event, "receipt_id") or order.receipt_id
        order.reason = words_in(event, "reason") or order.reason


def _delivered(folded: Folded, event: Event) -> None:
    order = _order(folded, event)
    if order is None:
        return
    order.is_stalled = False
    order.chunks_delivered += 1
    order.units_delivered += whole_in(event, "units")
    order.digest = name_in(event, "digest")
    if order.outputs is not None:
        output = event.body.get("output")
        order.outputs.append(output)
        hold(folded, order, weight(output))


def _order(folded: Folded, event: Event) -> FoldedOrder | None:
    order = folded.orders.get(event.order_id or "")
    if order is not None:
        order.last_offset = event.offset
    return order


# Approval and control


def _asked(folded: Folded, event: Event) -> None:
    _moved(folded, event)
    if event.order_id is not None:
        folded.approvals[event.order_id] = FoldedApproval(
            amount_minor=whole_in(event, "amount_minor"),
            currency=name_in(event, "currency"),
            expires_at=name_in(event, "expires_at"),
            state="waiting",
            decided_by=None,
            reason="",
            offset=event.offset,
        )
        bound(folded, folded.approvals)


def _decided_on(folded: Folded, event: Event) -> None:
    _moved(folded, event)
    approval = folded.approvals.get(event.order_id or "")
    if approval is not None:
        approval.state = event.kind.removeprefix("approval.")
        approval.decided_by = event.actor_id
        approval.reason = words_in(event, "reason")


def _cancelled(folded: Folded, event: Event) -> None:
    """An order is cancelled: nobody waits for its approval any more."""
    _moved(folded, event)
    approval = folded.approvals.get(event.order_id or "")
    if approval is not None and approval.state == "waiting":
        approval.state, approval.reason = "cancelled", words_in(event, "reason")


def _requested(folded: Folded, event: Event) -> None:
    folded.controls[event.offset] = FoldedControl(
        order_id=event.order_id,
        action=name_in(event, "action"),
        scope=name_in(event, "scope"),
        run=name_in(event, "run") or None,
        requested_by=event.actor_id,
        reason=words_in(event, "reason"),
        text=words_in(event, "text"),
        answer_by=name_in(event, "answer_by") or None,
        answer=None,
        detail="",
    )
    bound(folded, folded.controls)


def _answered(folded: Folded, event: Event) -> None:
    said = name_in(event, "answer")
    control = folded.controls.get(whole_in(event, "request_offset"))
    if control is not None:
        control.answer = said
        control.detail = words_in(event, "detail")
    action = event.body.get("action")
    order = None if "run" in event.body else _order(folded, event)
    if order is not None and said == "accepted" and action in ("pause", "resume"):
        order.is_paused = action == "pause"


# Decisions, presence


def _decided(folded: Folded, event: Event) -> None:
    folded.decisions.append(
        FoldedDecision(
            stage=name_in(event, "stage"),
            outcome=name_in(event, "outcome"),
            reason=name_in(event, "reason") or None,
            detail=words_in(event, "detail"),
            service_id=name_in(event, "service_id") or None,
            order_id=name_in(event, "order_id") or None,
            offset=event.offset,
        )
    )
    bound(folded, folded.decisions)


def _present(folded: Folded, event: Event) -> None:
    folded.presence[_place(event)] = FoldedPresence(
        agent_id=name_in(event, "agent_id"),
        device=name_in(event, "device"),
        status=name_in(event, "status"),
        changed_at=event.recorded_at,
        offset=event.offset,
    )
    bound(folded, folded.presence)


def _left(folded: Folded, event: Event) -> None:
    folded.presence.pop(_place(event), None)


def _place(event: Event) -> str:
    return f"{name_in(event, 'agent_id')}/{name_in(event, 'device')}"


# Runs


def _run_started(folded: Folded, event: Event) -> None:
    """A run begins; in a fork, one that has the name of one in its history takes its place."""
    name = name_in(event, "run")
    known = folded.runs.get(name)
    if not name or (known is not None and known.session_id == event.session_id):
        return
    if known is not None:
        drop(folded, folded.runs, name)
    make_room(folded, folded.runs, lambda run: run.outcome is not None)
    folded.runs[name] = FoldedRun(
        session_id=event.session_id,
        title=words_in(event, "title"),
        parent=name_in(event, "parent") or None,
        actor_id=event.actor_id,
        order_id=event.order_id,
        outcome=None,
        detail="",
        steps={},
        steps_left_out=0,
        first_offset=event.offset,
        last_offset=event.offset,
        held_bytes=0,
    )


def _stepped(folded: Folded, event: Event) -> None:
    """A step of a run: a later attempt at it, or a later word on the same one, replaces it."""
    run = folded.runs.get(name_in(event, "run"))
    name, attempt = name_in(event, "step"), whole_in(event, "attempt")
    if run is None or not name:
        return
    run.last_offset = event.offset
    known = run.steps.get(name)
    if known is not None:
        if attempt < known.attempt:
            return
        hold(folded, run, -weight_of(known))
    step = FoldedStep(
        attempt=attempt,
        actor_id=event.actor_id,
        detail=words_in(event, "detail"),
        output=event.body.get("output"),
        offset=event.offset,
    )
    run.steps[name] = step
    hold(folded, run, weight_of(step))


def _run_ended(folded: Folded, event: Event) -> None:
    run = folded.runs.get(name_in(event, "run"))
    if run is not None:
        run.outcome, run.last_offset = words_in(event, "outcome"), event.offset
        run.detail = words_in(event, "detail")


_TAKES: Final[dict[str, Callable[[Folded, Event], None]]] = {
    "session.closed": _closed,
    "session.forked": _forked,
    "order.placed": _placed,
    "order.started": _moved,
    "order.stalled": _moved,
    "order.accepted": _moved,
    "order.released": _released,
    "order.settled": _moved,
    "order.cancelled": _cancelled,
    "order.failed": _moved,
    "order.refunded": _refunded,
    "delivery.chunk": _delivered,
    "delivery.completed": _moved,
    "approval.requested": _asked,
    "approval.granted": _decided_on,
    "approval.denied": _decided_on,
    "approval.expired": _decided_on,
    "control.requested": _requested,
    "control.answered": _answered,
    "decision.made": _decided,
    "presence.joined": _present,
    "presence.changed": _present,
    "presence.left": _left,
    "run.started": _run_started,
    "run.step": _stepped,
    "run.ended": _run_ended,
}
