"""Folding: what a session's log comes to, for those who join late (snapshot, then tail).

``fold`` adds one entry to a ``Folded``; begin with ``Folded()`` at offset 0, or with the market's
snapshot at its ``next_offset``. Both come to the same: a fold of everything is a fold of a
snapshot and then of the tail. A reader folds what it may see; of a withheld entry only the place
and the hash count. The chunks of a delivery become one list of outputs, the steps of a run their
latest attempts.

A fold is bounded, however long the log: ``MAX_ITEMS`` of each sort, ``MAX_HELD_BYTES`` of outputs
and steps, words cut at ``MAX_WORDS``. The oldest goes first; offsets say where the log has it all.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

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

MAX_ITEMS: Final = 100
"""Orders, runs, controls, approvals, decisions and agents present, of each, at most."""

MAX_HELD_BYTES: Final = 512 * 1024
"""Outputs of deliveries and steps of runs, as JSON, at most."""

MAX_WORDS: Final = 500
"""Letters of a reason or detail that are kept."""

MAX_NAME: Final = 200
"""Letters of what names a run, a step or an agent; what is longer is not folded."""

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

_STEP_BYTES: Final = 200
"""What a step takes beside its words and output, about."""

_AMOUNTS: Final = ("captured_minor", "fee_minor", "returned_minor", "refunded_minor")
_encode: Final = msgspec.json.Encoder().encode


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
        session_id=_name(event, "source_session_id"),
        offset=_whole(event, "source_offset"),
        hash=_name(event, "source_hash"),
    )
    folded.presence.clear()
    folded.controls = {at: one for at, one in folded.controls.items() if one.answer is not None}
    folded.approvals = {at: one for at, one in folded.approvals.items() if one.state != "waiting"}


# Orders


def _placed(folded: Folded, event: Event) -> None:
    if event.order_id is None or event.order_id in folded.orders:
        return
    if len(folded.orders) >= MAX_ITEMS:
        ended = (order_id for order_id, order in folded.orders.items() if order.state in ENDED)
        gone = folded.orders.pop(next(ended, next(iter(folded.orders))))
        folded.held_bytes -= gone.held_bytes
        folded.left_out += 1
    folded.orders[event.order_id] = FoldedOrder(
        id=event.order_id,
        session_id=event.session_id,
        service_id=_name(event, "service_id"),
        slug=_name(event, "slug"),
        seller_id=_name(event, "seller_id"),
        state="placed",
        is_paused=False,
        is_stalled=False,
        amount_minor=_whole(event, "amount_minor"),
        currency=_name(event, "currency"),
        units=_whole(event, "units"),
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
            setattr(order, name, _whole(event, name))
    order.receipt_id = _name(event, "receipt_id") or order.receipt_id
    order.reason = _words(event, "reason") or order.reason


def _delivered(folded: Folded, event: Event) -> None:
    order = _order(folded, event)
    if order is None:
        return
    order.is_stalled = False
    order.chunks_delivered += 1
    order.units_delivered += _whole(event, "units")
    order.digest = _name(event, "digest")
    if order.outputs is not None:
        output = event.body.get("output")
        order.outputs.append(output)
        _hold(folded, order, len(_encode(output)) + 1)


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
            amount_minor=_whole(event, "amount_minor"),
            currency=_name(event, "currency"),
            expires_at=_name(event, "expires_at"),
            state="waiting",
            decided_by=None,
            reason="",
            offset=event.offset,
        )
        _bound(folded, folded.approvals)


def _decided_on(folded: Folded, event: Event) -> None:
    _moved(folded, event)
    approval = folded.approvals.get(event.order_id or "")
    if approval is not None:
        approval.state = event.kind.removeprefix("approval.")
        approval.decided_by = event.actor_id
        approval.reason = _words(event, "reason")


def _requested(folded: Folded, event: Event) -> None:
    folded.controls[event.offset] = FoldedControl(
        order_id=event.order_id,
        action=_name(event, "action"),
        scope=_name(event, "scope"),
        run=_name(event, "run") or None,
        requested_by=event.actor_id,
        reason=_words(event, "reason"),
        text=_words(event, "text"),
        answer_by=_name(event, "answer_by") or None,
        answer=None,
        detail="",
    )
    _bound(folded, folded.controls)


def _answered(folded: Folded, event: Event) -> None:
    said = _name(event, "answer")
    control = folded.controls.get(_whole(event, "request_offset"))
    if control is not None:
        control.answer = said
        control.detail = _words(event, "detail")
    action = event.body.get("action")
    order = None if "run" in event.body else _order(folded, event)
    if order is not None and said == "accepted" and action in ("pause", "resume"):
        order.is_paused = action == "pause"


# Decisions, presence


def _decided(folded: Folded, event: Event) -> None:
    folded.decisions.append(
        FoldedDecision(
            stage=_name(event, "stage"),
            outcome=_name(event, "outcome"),
            reason=_name(event, "reason") or None,
            detail=_words(event, "detail"),
            service_id=_name(event, "service_id") or None,
            order_id=_name(event, "order_id") or None,
            offset=event.offset,
        )
    )
    if len(folded.decisions) > MAX_ITEMS:
        del folded.decisions[0]
        folded.left_out += 1


def _present(folded: Folded, event: Event) -> None:
    folded.presence[_place(event)] = FoldedPresence(
        agent_id=_name(event, "agent_id"),
        device=_name(event, "device"),
        status=_name(event, "status"),
        changed_at=event.recorded_at,
        offset=event.offset,
    )
    _bound(folded, folded.presence)


def _left(folded: Folded, event: Event) -> None:
    folded.presence.pop(_place(event), None)


def _place(event: Event) -> str:
    return f"{_name(event, 'agent_id')}/{_name(event, 'device')}"


# Runs


def _run_started(folded: Folded, event: Event) -> None:
    """A run begins; in a fork, one that has the name of one in its history takes its place."""
    name = _name(event, "run")
    known = folded.runs.get(name)
    if not name or (known is not None and known.session_id == event.session_id):
        return
    if known is not None:
        _drop_run(folded, name)
    elif len(folded.runs) >= MAX_ITEMS:
        ended = (run_id for run_id, run in folded.runs.items() if run.outcome is not None)
        _drop_run(folded, next(ended, next(iter(folded.runs))))
        folded.left_out += 1
    folded.runs[name] = FoldedRun(
        session_id=event.session_id,
        title=_words(event, "title"),
        parent=_name(event, "parent") or None,
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


def _drop_run(folded: Folded, name: str) -> None:
    folded.held_bytes -= folded.runs.pop(name).held_bytes


def _stepped(folded: Folded, event: Event) -> None:
    """A step of a run: a later attempt at it, or a later word on the same one, replaces it."""
    run = folded.runs.get(_name(event, "run"))
    name, attempt = _name(event, "step"), _whole(event, "attempt")
    if run is None or not name:
        return
    run.last_offset = event.offset
    known = run.steps.get(name)
    if known is not None:
        if attempt < known.attempt:
            return
        _hold(folded, run, -_weight(known))
    step = FoldedStep(
        attempt=attempt,
        actor_id=event.actor_id,
        detail=_words(event, "detail"),
        output=event.body.get("output"),
        offset=event.offset,
    )
    run.steps[name] = step
    _hold(folded, run, _weight(step))


def _run_ended(folded: Folded, event: Event) -> None:
    run = folded.runs.get(_name(event, "run"))
    if run is not None:
        run.outcome, run.last_offset = _words(event, "outcome"), event.offset
        run.detail = _words(event, "detail")


def _weight(step: FoldedStep) -> int:
    return len(_encode(step.output)) + len(_encode(step.detail)) + _STEP_BYTES


# Bounds


def _hold(folded: Folded, holder: FoldedOrder | FoldedRun, size: int) -> None:
    """Note that ``holder`` carries so many bytes more; if they are too many, the oldest go."""
    holder.held_bytes += size
    folded.held_bytes += size
    while folded.held_bytes > MAX_HELD_BYTES:
        holders: list[FoldedOrder | FoldedRun] = [*folded.orders.values(), *folded.runs.values()]
        oldest = min((one for one in holders if one.held_bytes), key=lambda one: one.first_offset)
        folded.held_bytes -= oldest.held_bytes
        oldest.held_bytes = 0
        if isinstance(oldest, FoldedOrder):
            oldest.outputs = None
        else:
            oldest.steps_left_out += len(oldest.steps)
            oldest.steps.clear()


def _bound(folded: Folded, parts: dict[Any, Any]) -> None:
    if len(parts) > MAX_ITEMS:
        del parts[next(iter(parts))]
        folded.left_out += 1


def _name(event: Event, member: str) -> str:
    value = event.body.get(member)
    return value if isinstance(value, str) and len(value) <= MAX_NAME else ""


def _words(event: Event, member: str) -> str:
    value = event.body.get(member)
    return value[:MAX_WORDS] if isinstance(value, str) else ""


def _whole(event: Event, member: str) -> int:
    # A participant may have written anything.
    value = event.body.get(member)
    return value if type(value) is int else 0


_TAKES: Final[dict[str, Callable[[Folded, Event], None]]] = {
    "session.closed": _closed,
    "session.forked": _forked,
    "order.placed": _placed,
    "order.started": _moved,
    "order.stalled": _moved,
    "order.accepted": _moved,
    "order.settled": _moved,
    "order.cancelled": _moved,
    "order.failed": _moved,
    "order.refunded": _moved,
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
