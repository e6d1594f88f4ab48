"""What an order may still come to: its deadlines, the policies that hold, what may be done now."""

from datetime import datetime, timedelta
from typing import Any

from market import catalog
from market.base.clock import rfc3339, spoken
from market.base.work import Snapshot
from market.orders.awarding import stake_of
from market.orders.dispute_rows import find, times_opened
from market.orders.disputes import MAX_DISPUTES, dispute_until
from market.orders.redoing import redo_until, redos, refusal, times
from market.orders.refunds import MAX_REFUNDS, refundable_minor
from market.protocol.money import Money
from market.protocol.wire import StepView, TermView


def deadlines_of(snapshot: Snapshot, row: Any) -> list[TermView]:
    """Return the deadlines that are ahead of an order, and what happens at each by itself."""
    if row.ended_at is not None:
        dispute = _dispute_deadline(snapshot, row)
        return [dispute] if dispute else []
    if row.state == "awaiting_approval":
        return [_term("approval", row.due_at, "the order is cancelled, and everything goes back")]
    if row.state == "delivered":
        return [_delivered_deadline(snapshot, row)]
    found = [_term("delivery", row.deliver_by, "the order fails, and everything goes back")]
    if row.is_paused:
        found.insert(0, _term("pause", row.due_at, "the order is cancelled; what came is paid"))
    elif row.fails_at is not None:
        found.insert(0, _term("stalled", row.fails_at, "the order fails, unless its seller stirs"))
    return found


def policies_of(snapshot: Snapshot, row: Any) -> list[TermView]:
    """Return the policies that were bought with an order, and until when each holds."""
    manifest = catalog.manifest_of(snapshot, manifest_digest=row.manifest_digest)
    policies = manifest.policies
    found = [_refund_policy(row, is_offered="refund" in manifest.support)]
    if policies.redo and "redo" in manifest.support:
        redo = f"it is delivered again at no price, at most {times(policies.redo)}"
        found.append(_term("redo", redo_until(row, policies), redo, says_when=False))
    else:
        found.append(_term("redo", None, "the service redoes nothing"))
    if row.state in ("delivered", "settled") and row.redo_of is None:
        words = f"it may be disputed, at most {times(MAX_DISPUTES)}"
        found.append(_term("dispute", dispute_until(snapshot, row), words, says_when=False))
    return found


def steps_of(snapshot: Snapshot, row: Any) -> list[StepView]:
    """Return what may be done with an order now, by whom, and by which request."""
    steps = _steps_while_open(row) if row.ended_at is None else []
    path = f"/v1/orders/{row.id}"
    if row.dispute_id is not None:
        steps += _steps_of_dispute(snapshot, row)
    elif row.state in ("delivered", "settled") and row.redo_of is None:
        steps += _steps_of_delivery(snapshot, row, path)
    if row.ended_at is not None and refundable_minor(row) and row.refunds < MAX_REFUNDS:
        left = Money(refundable_minor(row), row.currency)
        words = f"The seller may give back up to {left} of its own free will."
        steps.append(_step("seller", "refund", None, f"POST {path}/refund", words))
    return steps


def refund_until(row: Any) -> datetime:
    """Return when the time ends in which a settled order is refunded on request, by its policy."""
    until: datetime = row.ended_at + timedelta(seconds=row.refund_window_seconds)
    return until


def _steps_while_open(row: Any) -> list[StepView]:
    path = f"/v1/orders/{row.id}"
    control = f"POST /v1/sessions/{row.session_id}/control"
    if row.state == "awaiting_approval":
        words = "The buyer's principal, or an overseer, approves or denies it."
        return [_step("principal", "approve", row.due_at, control, words)]
    if row.state == "delivered":
        words = "Taken as good, the seller is paid."
        return [_step("buyer", "accept", row.accept_by, f"POST {path}/accept", words)]
    return [
        _step("buyer", "cancel", None, control, "What was delivered is paid, the rest returns."),
        _step("seller", "deliver", row.deliver_by, f"POST {path}/chunks", "The next part is due."),
        _step("seller", "fail", row.deliver_by, f"POST {path}/fail", "Everything goes back."),
    ]


def _steps_of_delivery(snapshot: Snapshot, row: Any, path: str) -> list[StepView]:
    """What a buyer may do about a delivery: support by policy, or a dispute."""
    steps = []
    manifest = catalog.manifest_of(snapshot, manifest_digest=row.manifest_digest)
    policy = _refund_policy(row, is_offered="refund" in manifest.support)
    support = f"POST {path}/support"
    if row.state == "settled" and refundable_minor(row) and policy.until is not None:
        until = refund_until(row)
        if snapshot.now <= until:
            left = Money(refundable_minor(row), row.currency)
            words = f"Up to {left} goes back by policy, without asking."
            steps.append(_step("buyer", "refund", until, support, words))
    if "redo" in manifest.support and not refusal(snapshot, row, manifest.policies):
        count = manifest.policies.redo - len(redos(snapshot, order_id=row.id))
        words = f"It is delivered again at no price; this may be asked {times(count)} more."
        until_redo = redo_until(row, manifest.policies)
        steps.append(_step("buyer", "redo", until_redo, support, words))
    opened = times_opened(snapshot, order_id=row.id, agent_id=row.buyer_id)
    until = dispute_until(snapshot, row)
    is_open = snapshot.now <= until and row.redo_id is None and opened < MAX_DISPUTES
    if is_open and stake_of(row):
        words = f"Up to {Money(stake_of(row), row.currency)} is at stake."
        steps.append(_step("buyer", "dispute", until, f"POST {path}/disputes", words))
    return steps


def _steps_of_dispute(snapshot: Snapshot, row: Any) -> list[StepView]:
    found = find(snapshot, dispute_id=row.dispute_id)
    path = f"POST /v1/disputes/{found.id}"
    steps = [_step("buyer", "withdraw", found.due_at, f"{path}/withdraw", "Nothing goes back.")]
    if found.state == "open":
        words = "The seller concedes or contests; its silence concedes."
        steps.append(_step("seller", "answer", found.due_at, f"{path}/answer", words))
    words = "An overseer decides what goes back."
    steps.append(_step("overseer", "resolve", found.due_at, f"{path}/resolve", words))
    return steps


def _delivered_deadline(snapshot: Snapshot, row: Any) -> TermView:
    if row.dispute_id is not None:
        deadline = _dispute_deadline(snapshot, row)
        assert deadline is not None
        return deadline
    if row.redo_id is not None:
        return _term("redo", row.due_at, "if it was not delivered again, everything goes back")
    return _term("inspection", row.accept_by, "the delivery counts as accepted, and is paid")


def _dispute_deadline(snapshot: Snapshot, row: Any) -> TermView | None:
    if row.dispute_id is None:
        return None
    found = find(snapshot, dispute_id=row.dispute_id)
    if found.state == "open":
        return _term("dispute", found.due_at, "without the seller's answer the claim stands")
    return _term("dispute", found.due_at, "undecided, what the seller did not concede falls")


def _refund_policy(row: Any, *, is_offered: bool) -> TermView:
    if not is_offered or row.refund_policy != "within-window":
        words = "nothing is refunded on request after settlement"
        if row.refund_policy == "before-first-chunk":
            words = "cancelled before the first chunk, everything goes back; not refunded after"
        return _term("refund", None, words)
    if row.ended_at is None:
        words = f"refunded on request within {row.refund_window_seconds} s of its settlement"
        return _term("refund", None, words)
    return _term("refund", refund_until(row), "refunded on request, without asking", False)


def _term(name: str, until: datetime | None, words: str, says_when: bool = True) -> TermView:
    """Return a term; ``says_when``: what it means happens at its end, and not until then."""
    if until is None:
        sentence = f"{words[0].upper()}{words[1:]}."
    elif says_when:
        sentence = f"At {spoken(until)}: {words}."
    else:
        sentence = f"Until {spoken(until)}: {words}."
    return TermView(name=name, until=rfc3339(until) if until else None, sentence=sentence)


def _step(who: Any, action: str, until: datetime | None, request: str, sentence: str) -> StepView:
    return StepView(
        who=who,
        action=action,
        until=rfc3339(until) if until else None,
        request=request,
        sentence=sentence,
    )
