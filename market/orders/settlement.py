"""How an order ends: money out of escrow to the last unit, a receipt, a fact, an event."""

from datetime import timedelta
from typing import Any, Final, Literal

from sqlalchemy import bindparam, update

from market import inbox, ledger, mandates, sessions, trust
from market.base.caller import Caller
from market.base.clock import seconds_of
from market.base.sql import Sql, insert
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.orders.answers import answer_rest
from market.orders.rows import buyers, locked, view
from market.orders.states import move
from market.orders.tables import orders, receipts
from market.protocol.commitments import RECEIPT, ReceiptClaims
from market.protocol.events import MARKET, Stage
from market.protocol.money import pro_rata, share
from market.protocol.wire import AskSupport, OrderView, SupportView
from market.sessions import NewEvent

MAX_REASON: Final = 200
"""Characters of a reason that a receipt repeats: one line, as its form has it."""

Ending = Literal["settled", "cancelled", "failed"]

_END: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"))
    .values(
        state=bindparam("new_state"),
        is_paused=0,
        paused_at=None,
        paused_by=None,
        lease_until=None,
        fails_at=None,
        captured_minor=bindparam("captured"),
        fee_minor=bindparam("fee"),
        returned_minor=bindparam("returned"),
        receipt_id=bindparam("new_receipt_id"),
        ended_at=bindparam("now", type_=UtcDateTime()),
        due_at=None,
    )
)
_REFUND: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"), orders.c.refunded_minor == 0)
    .values(refunded_minor=orders.c.captured_minor, receipt_id=bindparam("new_receipt_id"))
)
_ADD_RECEIPT: Final = Sql(insert(receipts))


def accept(uow: UnitOfWork, *, caller: Caller, order_id: str) -> OrderView:
    """Take a delivery as good: the seller is paid. A repeat changes nothing.

    Raises:
        OrderNotFound: the caller has no such order.
        WrongState: nothing is delivered, or it ended otherwise.
    """
    caller.need("order")
    row = buyers(uow, caller=caller, order_id=order_id)
    if row.state != "settled":
        settle(uow, row, actor_id=caller.agent_id, by="buyer")
    return view(uow, locked(uow, order_id=order_id))


def settle(uow: UnitOfWork, row: Any, *, actor_id: str, by: Literal["buyer", "deadline"]) -> None:
    """Pay a delivered order: the whole price of a call, or that of the units delivered."""
    move(row.state, "accept")
    captured = (
        pro_rata(row.amount_minor, part=row.units_delivered, whole=row.units)
        if row.price_per == "unit"
        else row.amount_minor
    )
    accepted = NewEvent("order.accepted", actor_id, {"by": by}, row.id)
    sessions.append(uow, session_id=row.session_id, events=[accepted])
    end(uow, row, ending="settled", captured_minor=captured, reason=None)


def end(
    uow: UnitOfWork, row: Any, *, ending: Ending, captured_minor: int, reason: str | None
) -> None:
    """End an order in one piece: capture, fee, the rest back, receipt, event, fact, messages."""
    fee_minor = share(captured_minor, uow.settings.fee_basis_points)
    returned_minor = row.amount_minor - captured_minor
    _move_money(uow, row, captured_minor, fee_minor, returned_minor)
    receipt_id = uow.new_id("rcp")
    amounts = {
        "captured_minor": captured_minor,
        "fee_minor": fee_minor,
        "returned_minor": returned_minor,
    }
    _issue(uow, row, receipt_id, outcome=ending, reason=reason, refunded_minor=0, **amounts)
    uow.run(
        _END,
        order_id=row.id,
        new_state=ending,
        captured=captured_minor,
        fee=fee_minor,
        returned=returned_minor,
        new_receipt_id=receipt_id,
        now=uow.now,
    )
    body = {**amounts, "currency": row.currency, "receipt_id": receipt_id}
    if ending != "settled":
        body["reason"] = reason
    stage: Stage = "using" if row.state in ("started", "delivered") else "transacting"
    event = NewEvent(f"order.{ending}", MARKET, body, row.id, stage=stage)
    sessions.append(uow, session_id=row.session_id, events=[event])
    answer_rest(uow, session_id=row.session_id, order_id=row.id)
    message = {"order_id": row.id, "session_id": row.session_id, "outcome": ending, **body}
    inbox.deliver(uow, agent_id=row.buyer_id, kind="receipt.issued", body=message)
    if row.state == "awaiting_approval":
        return  # The seller has never heard of it.
    trust.record(
        uow,
        kind=_FACTS[ending],
        order_id=row.id,
        service_id=row.service_id,
        seller_id=row.seller_id,
        buyer_id=row.buyer_id,
        amount_minor=captured_minor,
        # A delivery is complete by its deadline or refused, so what settles was on time.
        is_on_time=True if ending == "settled" else None,
    )
    kind = "order.cancelled" if ending == "cancelled" else "receipt.issued"
    inbox.deliver(uow, agent_id=row.seller_id, kind=kind, body=message)


def support(uow: UnitOfWork, *, caller: Caller, order_id: str, request: AskSupport) -> SupportView:
    """Answer a buyer's question by the service's own policy, at once.

    ``status`` tells where the order stands; ``refund`` gives back what was captured if the policy
    the buyer bought under allows it. A refusal by policy is an answer, not an error.
    """
    caller.need("order")
    row = buyers(uow, caller=caller, order_id=order_id)
    asked = NewEvent("support.asked", caller.agent_id, {"action": request.action}, row.id)
    _note(uow, row, asked)
    if request.action == "status":
        answer, detail = "done", f"The order is {row.state}; {row.chunks_delivered} chunks are in."
    else:
        answer, detail = _refund(uow, row)
    answered = NewEvent(
        "support.answered", MARKET, {"action": request.action, "answer": answer}, row.id
    )
    _note(uow, row, answered)
    after = view(uow, locked(uow, order_id=order_id))
    return SupportView(
        order_id=row.id,
        action=request.action,
        answer="done" if answer == "done" else "refused",
        detail=detail,
        order=after,
    )


def _refund(uow: UnitOfWork, row: Any) -> tuple[str, str]:
    if row.refunded_minor:
        return "done", "The order was refunded before."
    if row.state != "settled" or not row.captured_minor:
        return "refused", "Only a settled order is refunded; cancel one that still runs."
    window = timedelta(seconds=row.refund_window_seconds)
    if row.refund_policy != "within-window" or uow.now > row.ended_at + window:
        return "refused", f"The service's refund policy is '{row.refund_policy}'; its time is over."
    wallet_id = ledger.open_wallet(uow, agent_id=row.buyer_id, currency=row.currency)
    seller_wallet_id = ledger.open_wallet(uow, agent_id=row.seller_id, currency=row.currency)
    ledger.refund(
        uow,
        seller_wallet_id=seller_wallet_id,
        wallet_id=wallet_id,
        amount_minor=row.captured_minor,
        order_id=row.id,
        fee_minor=row.fee_minor,
    )
    receipt_id = uow.new_id("rcp")
    _issue(
        uow,
        row,
        receipt_id,
        outcome="refunded",
        reason="refund policy",
        captured_minor=row.captured_minor,
        fee_minor=row.fee_minor,
        returned_minor=row.returned_minor,
        refunded_minor=row.captured_minor,
    )
    uow.run(_REFUND, order_id=row.id, new_receipt_id=receipt_id)
    body = {
        "refunded_minor": row.captured_minor,
        "currency": row.currency,
        "receipt_id": receipt_id,
        "reason": "refund policy",
    }
    _note(uow, row, NewEvent("order.refunded", MARKET, body, row.id))
    trust.record(
        uow,
        kind="order.refunded",
        order_id=row.id,
        service_id=row.service_id,
        seller_id=row.seller_id,
        buyer_id=row.buyer_id,
        amount_minor=row.captured_minor,
    )
    return "done", "What was captured went back to the buyer."


def _move_money(
    uow: UnitOfWork, row: Any, captured_minor: int, fee_minor: int, returned_minor: int
) -> None:
    if captured_minor:
        ledger.capture(
            uow,
            escrow_id=row.escrow_id,
            seller_wallet_id=ledger.open_wallet(uow, agent_id=row.seller_id, currency=row.currency),
            captured_minor=captured_minor,
            fee_minor=fee_minor,
            order_id=row.id,
        )
    if returned_minor:
        ledger.void(
            uow,
            escrow_id=row.escrow_id,
            wallet_id=ledger.open_wallet(uow, agent_id=row.buyer_id, currency=row.currency),
            amount_minor=returned_minor,
            order_id=row.id,
        )
        if row.mandate_id is not None:
            mandates.give_back(
                uow,
                mandate_id=row.mandate_id,
                amount_minor=returned_minor,
                spent_at=row.placed_at,
            )


def _issue(
    uow: UnitOfWork,
    row: Any,
    receipt_id: str,
    *,
    outcome: Literal["settled", "cancelled", "failed", "refunded"],
    reason: str | None,
    captured_minor: int,
    fee_minor: int,
    returned_minor: int,
    refunded_minor: int,
) -> None:
    """Sign and keep a receipt over the log as it stands before the event that names it."""
    next_offset, log_hash = sessions.head(uow, session_id=row.session_id)
    claims = ReceiptClaims(
        iss=uow.settings.issuer,
        aud=uow.settings.issuer,
        iat=seconds_of(uow.now),
        receipt_id=receipt_id,
        order_id=row.id,
        session_id=row.session_id,
        outcome=outcome,
        # The whole of it, which may be a paragraph, is in the log.
        reason=" ".join((reason or "").split())[:MAX_REASON] or None,
        buyer_id=row.buyer_id,
        seller_id=row.seller_id,
        service_id=row.service_id,
        quote_digest=row.quote_digest,
        input_digest=row.input_digest,
        delivery_digest=row.delivery_digest or None,
        units=row.units_delivered,
        currency=row.currency,
        held_minor=row.amount_minor,
        captured_minor=captured_minor,
        fee_minor=fee_minor,
        returned_minor=returned_minor,
        refunded_minor=refunded_minor,
        first_offset=row.first_offset,
        last_offset=next_offset - 1,
        log_hash=log_hash,
    )
    uow.run(
        _ADD_RECEIPT,
        id=receipt_id,
        order_id=row.id,
        outcome=outcome,
        issued_at=uow.now,
        receipt=uow.signer.sign(claims, typ=RECEIPT),
    )


def _note(uow: UnitOfWork, row: Any, event: NewEvent) -> None:
    """Append to the journey's log while it is open; support outlives a closed session."""
    if sessions.is_open(uow, session_id=row.session_id):
        sessions.append(uow, session_id=row.session_id, events=[event])


_FACTS: Final[dict[Ending, trust.FactKind]] = {
    "settled": "order.settled",
    "cancelled": "order.cancelled",
    "failed": "order.failed",
}
