"""How an order ends: money out of escrow to the last unit, a receipt, a fact, an event."""

from datetime import timedelta
from typing import Any, Final, Literal

from sqlalchemy import Integer, bindparam, update

from market import inbox, ledger, mandates, sessions, trust
from market.base.caller import Caller
from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.orders.answers import answer_rest
from market.orders.capturing import capture, earned
from market.orders.dispute_rows import Resolution, close, find
from market.orders.gates import forfeit, freeze_if_failing, leave_gate
from market.orders.issuing import issue
from market.orders.refunds import GivenBack, Grounds, give_back, refundable_minor
from market.orders.rows import buyers, locked, view
from market.orders.states import move
from market.orders.tables import orders
from market.protocol.events import MARKET, Stage
from market.protocol.wire import OrderView
from market.sessions import NewEvent

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
        referral_minor=bindparam("referral"),
        captures=orders.c.captures + bindparam("new_captures", type_=Integer()),
        returned_minor=bindparam("returned"),
        receipt_id=bindparam("new_receipt_id"),
        ended_at=bindparam("now", type_=UtcDateTime()),
        due_at=None,
    )
)
_REDONE: Final = Sql(
    update(orders).where(orders.c.id == bindparam("order_id")).values(redo_id=None)
)
_INSPECT: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"))
    .values(
        accept_by=bindparam("until", type_=UtcDateTime()),
        due_at=bindparam("until", type_=UtcDateTime()),
    )
)


def accept(uow: UnitOfWork, *, caller: Caller, order_id: str) -> OrderView:
    """Take a delivery as good: the seller is paid, and a dispute about it withdrawn.

    A repeat changes nothing.

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
    """Pay a delivered order what it has earned by its terms."""
    move(row.state, "accept")
    if row.dispute_id is not None:
        found = find(uow, dispute_id=row.dispute_id)
        close(uow, row, found, Resolution("buyer", "the buyer accepted the delivery"))
    captured = earned(row, delivered=row.units_delivered, is_accepted=True)
    accepted = NewEvent("order.accepted", actor_id, {"by": by}, row.id)
    sessions.append(uow, session_id=row.session_id, events=[accepted])
    end(uow, row, ending="settled", captured_minor=captured, reason=None)


def fail_and_refund(uow: UnitOfWork, row: Any, grounds: Grounds) -> GivenBack:
    """End an order as failed, and give back what its buyer had released too; return that part.

    The buyer's refund comes first; what is then left of the bond answers for the failure.
    """
    move(row.state, "reject")
    end(uow, row, ending="failed", captured_minor=0, reason=grounds.reason, forfeits=False)
    given = GivenBack(0, 0)
    after = locked(uow, order_id=row.id)
    if left_minor := refundable_minor(after):
        given = give_back(uow, after, left_minor, grounds)
    if row.redo_of is None:
        forfeit(uow, after)
    return given


def end(
    uow: UnitOfWork,
    row: Any,
    *,
    ending: Ending,
    captured_minor: int,
    reason: str | None,
    forfeits: bool = True,
) -> None:
    """End an order in one piece: capture, fee, the rest back, receipt, event, fact, messages.

    What the buyer released before stays paid. ``forfeits``: the seller's bond answers for a
    failure at once.
    """
    captured_minor = max(captured_minor, row.captured_minor)
    paid = capture(uow, row, captured_minor)
    is_capture = captured_minor > row.captured_minor
    returned_minor = row.amount_minor - captured_minor
    _give_back(uow, row, returned_minor)
    receipt_id = uow.new_id("rcp")
    amounts = {
        "captured_minor": captured_minor,
        "fee_minor": paid.fee_minor,
        "returned_minor": returned_minor,
    }
    row = row._replace(referral_minor=paid.referral_minor)
    issue(uow, row, receipt_id, outcome=ending, reason=reason, **amounts)
    uow.run(
        _END,
        order_id=row.id,
        new_state=ending,
        captured=captured_minor,
        fee=paid.fee_minor,
        referral=paid.referral_minor,
        new_captures=int(is_capture),
        returned=returned_minor,
        new_receipt_id=receipt_id,
        now=uow.now,
    )
    amounts["referral_minor"] = paid.referral_minor
    body = {**amounts, "currency": row.currency, "receipt_id": receipt_id}
    if ending != "settled":
        body["reason"] = reason
    stage: Stage = "using" if row.state in ("started", "delivered") else "transacting"
    event = NewEvent(f"order.{ending}", MARKET, body, row.id, stage=stage)
    sessions.append(uow, session_id=row.session_id, events=[event])
    answer_rest(uow, session_id=row.session_id, order_id=row.id)
    message = {"order_id": row.id, "session_id": row.session_id, "outcome": ending, **body}
    inbox.deliver(uow, agent_id=row.buyer_id, kind="receipt.issued", body=message)
    was_heard_of = row.state != "awaiting_approval"  # by the seller
    if was_heard_of and row.redo_of is None:
        _record(uow, row, ending, captured_minor, forfeits=forfeits)
    if row.gate is not None:
        leave_gate(uow, row, is_good=ending == "settled", earned_minor=paid.seller_minor)
    if not was_heard_of:
        return
    kind = "order.cancelled" if ending == "cancelled" else "receipt.issued"
    inbox.deliver(uow, agent_id=row.seller_id, kind=kind, body=message)
    if row.redo_of is not None:
        _after_redo(uow, row, ending)


def _record(
    uow: UnitOfWork, row: Any, ending: Ending, captured_minor: int, *, forfeits: bool
) -> None:
    """Tell trust how an order ended that was paid for; a failure has its price."""
    trust.record(
        uow,
        kind=_FACTS[ending],
        order_id=row.id,
        service_id=row.service_id,
        seller_id=row.seller_id,
        buyer_id=row.buyer_id,
        # Of a failed order nothing was paid: what counts is what it would have cost.
        amount_minor=row.amount_minor if ending == "failed" else captured_minor,
        currency=row.currency,
        # A delivery is complete by its deadline or refused, so what settles was on time.
        is_on_time=True if ending == "settled" else None,
    )
    if ending == "failed":
        if forfeits:
            forfeit(uow, row)
        freeze_if_failing(uow, seller_id=row.seller_id)


def _after_redo(uow: UnitOfWork, redo: Any, ending: Ending) -> None:
    """Let a redo's end take effect on the order that it was to deliver again.

    Delivered, or called off by the buyer's side, the buyer inspects anew; not delivered, all that
    is left of the payment goes back.
    """
    row = locked(uow, order_id=redo.redo_of)
    uow.run(_REDONE, order_id=row.id)
    if ending != "failed":
        if row.state == "delivered":
            until = uow.now + timedelta(seconds=uow.settings.accept_window_seconds)
            uow.run(_INSPECT, order_id=row.id, until=until)
        return
    grounds = Grounds("redo", "it was to be delivered again, and was not")
    if row.state == "delivered":
        fail_and_refund(uow, row, grounds)
    elif left_minor := refundable_minor(row):
        give_back(uow, row, left_minor, grounds)


def _give_back(uow: UnitOfWork, row: Any, returned_minor: int) -> None:
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


_FACTS: Final[dict[Ending, trust.FactKind]] = {
    "settled": "order.settled",
    "cancelled": "order.cancelled",
    "failed": "order.failed",
}
