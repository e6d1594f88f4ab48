"""What was decided of a dispute takes effect: money, receipt and log, in one unit of work."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, update

from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.orders.capturing import earned
from market.orders.debts import JUDGE
from market.orders.dispute_rows import Resolution, close
from market.orders.disputing import Decider
from market.orders.gates import forfeit_part
from market.orders.issuing import issue, tell_both
from market.orders.refunds import GivenBack, Grounds, give_back, refundable_minor
from market.orders.rows import locked
from market.orders.settlement import end, fail_and_refund
from market.orders.states import move
from market.orders.tables import orders

_PUT_OFF: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"))
    .values(due_at=bindparam("due", type_=UtcDateTime()))
)


def stake_of(row: Any) -> int:
    """Return what a dispute about an order can give back: earned or captured, and not refunded."""
    if row.state == "delivered":
        whole = earned(row, delivered=row.units_delivered, is_accepted=True)
        return int(whole - row.refunded_minor - row.owed_minor)
    return refundable_minor(row)


def award(
    uow: UnitOfWork, row: Any, found: Any, by: Decider, words: str, refund_minor: int
) -> None:
    """Let what was decided of a dispute take effect on its locked order.

    What is no longer at stake, since it went back meanwhile, does not go back again.
    """
    refund_minor = min(refund_minor, stake_of(row))
    grounds = Grounds("dispute", f"dispute: {words}", found.id, is_judged=by == JUDGE)
    receipt_id = None
    if row.state == "delivered":
        given = _end_delivered(uow, row, grounds, refund_minor)
    elif refund_minor:
        given = give_back(uow, row, refund_minor, grounds)
        forfeit_part(
            uow,
            row,
            dispute_id=found.id,
            part_minor=refund_minor,
            whole_minor=row.captured_minor,
        )
    else:
        given = GivenBack(0, 0)
        receipt_id = _issue_resolved(uow, row, grounds.reason)
    close(uow, row, found, Resolution(by, words, *given, receipt_id))


def put_off(uow: UnitOfWork, *, order_id: str, until: datetime) -> None:
    """Let an order that is delivered wait until then before its deadline settles it."""
    uow.run(_PUT_OFF, order_id=order_id, due=until)


def _end_delivered(uow: UnitOfWork, row: Any, grounds: Grounds, refund_minor: int) -> GivenBack:
    """Void what goes back of an order that is not yet settled, and settle the rest."""
    if not refund_minor and row.accept_by > uow.now:
        # The buyer may still inspect it, and accept or dispute it for another reason.
        put_off(uow, order_id=row.id, until=row.accept_by)
        return GivenBack(0, 0)
    due_minor = earned(row, delivered=row.units_delivered, is_accepted=True)
    captured_minor = max(due_minor - refund_minor, row.captured_minor)
    voided_minor = due_minor - captured_minor
    if refund_minor == stake_of(row):
        given = fail_and_refund(uow, row, grounds)
    else:
        given = _settle_rest(uow, row, grounds, captured_minor, refund_minor - voided_minor)
        if refund_minor:
            forfeit_part(
                uow,
                row,
                dispute_id=row.dispute_id,
                part_minor=refund_minor,
                whole_minor=due_minor,
            )
    return given._replace(refunded_minor=given.refunded_minor + voided_minor)


def _settle_rest(
    uow: UnitOfWork, row: Any, grounds: Grounds, captured_minor: int, rest_minor: int
) -> GivenBack:
    """Settle what a dispute leaves; return what goes back of what the buyer had released."""
    move(row.state, "accept")
    end(uow, row, ending="settled", captured_minor=captured_minor, reason=grounds.reason)
    if not rest_minor:
        return GivenBack(0, 0)
    return give_back(uow, locked(uow, order_id=row.id), rest_minor, grounds)


def _issue_resolved(uow: UnitOfWork, row: Any, reason: str) -> str:
    """Give both a receipt for a dispute about a settled order that moved nothing; return its id."""
    receipt_id = uow.new_id("rcp")
    issue(
        uow,
        row,
        receipt_id,
        outcome="resolved",
        reason=reason,
        captured_minor=row.captured_minor,
        fee_minor=row.fee_minor,
        returned_minor=row.returned_minor,
    )
    body = {
        "outcome": "resolved",
        "receipt_id": receipt_id,
        "currency": row.currency,
        "reason": reason,
    }
    tell_both(uow, row, "receipt.issued", body)
    return receipt_id
