"""Refunds: money that goes back after a capture, in parts, and what a seller still owes of them.

A part goes back as it came: the house gives its share of the fee, one who recommended its share of
the referral, the seller the rest; all parts together give back exactly what each of them got. What
a seller gives of its own free will comes from its wallet alone. A refund that was *decided* may
draw on its bond for what the wallet lacks: at once if an overseer decided it, else when no other
order hangs on the bond (``hanging``). Until both together cover it, the seller *owes* it.
"""

from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import bindparam, select, update

from market import ledger, trust
from market.base.caller import Caller
from market.base.sql import Sql, insert
from market.base.work import Snapshot, UnitOfWork
from market.orders.covering import is_covered, parts_of, referrer_covers
from market.orders.debts import JUDGE, owed_disputes, paid
from market.orders.errors import TooManyRefunds, WrongState
from market.orders.gates import forfeit, forfeit_part, freeze_if_failing
from market.orders.issuing import issue, note, tell_both
from market.orders.rows import locked, sellers, view
from market.orders.tables import orders, refunds
from market.protocol.events import MARKET
from market.protocol.money import Money
from market.protocol.pricing import Split
from market.protocol.wire import GiveRefund, OrderView
from market.sessions import NewEvent

MAX_REFUNDS: Final = 20
"""Parts in which one order is refunded on request; what is decided against a seller always is."""

MAX_OWED: Final = 100
"""Orders with a refund still owed that are listed at once."""

Cause = Literal["support", "seller", "dispute", "redo", "owed"]

_PAY: Final = Sql(
    update(orders)
    .where(
        orders.c.id == bindparam("order_id"),
        orders.c.refunded_minor + orders.c.owed_minor + bindparam("part") - bindparam("owed_part")
        <= orders.c.captured_minor,
        orders.c.owed_minor >= bindparam("owed_part"),
    )
    .values(
        refunded_minor=orders.c.refunded_minor + bindparam("part"),
        owed_minor=orders.c.owed_minor - bindparam("owed_part"),
        refunds=orders.c.refunds + 1,
        receipt_id=bindparam("new_receipt_id"),
    )
)
_OWE: Final = Sql(
    update(orders)
    .where(
        orders.c.id == bindparam("order_id"),
        orders.c.refunded_minor + orders.c.owed_minor + bindparam("part")
        <= orders.c.captured_minor,
    )
    .values(owed_minor=orders.c.owed_minor + bindparam("part"))
)
_ADD: Final = Sql(insert(refunds))
_OWED: Final = Sql(
    select(orders.c.id)
    .where(orders.c.owed_minor > 0, orders.c.id > bindparam("after"))
    .order_by(orders.c.id)
    .limit(MAX_OWED)
)


class Grounds(NamedTuple):
    """Why something is refunded. ``is_judged``: an overseer said so, and no agreement of the two.

    ``dispute_id``: the dispute by which it is.
    """

    cause: Cause
    reason: str
    dispute_id: str | None = None
    is_judged: bool = False


class GivenBack(NamedTuple):
    """What became of a refund: moved now, or owed by the seller."""

    refunded_minor: int
    owed_minor: int


def refundable_minor(row: Any) -> int:
    """Return what is left of a payment: captured, and neither refunded nor owed yet."""
    return int(row.captured_minor - row.refunded_minor - row.owed_minor)


def refund(uow: UnitOfWork, *, caller: Caller, order_id: str, request: GiveRefund) -> OrderView:
    """Give back a payment, or a part of it, of one's own free will as its seller.

    Raises:
        OrderNotFound: the caller is not its seller.
        WrongState: nothing was paid for it yet.
        RefundExceeded: less than that is left of the payment.
        RefundNotCovered: the wallet holds less; nothing moved, and nothing is owed.
        TooManyRefunds: it went back in as many parts as may be.
    """
    caller.need("order")
    row = sellers(uow, caller=caller, order_id=order_id)
    if not row.captured_minor or row.ended_at is None:
        raise WrongState(
            f"The order is {row.state}: nothing was paid for it that could go back.",
            state=row.state,
        )
    check_number(row)
    amount_minor = request.amount_minor or refundable_minor(row)
    check_left(row, amount_minor)
    _pay(uow, row, amount_minor, Grounds("seller", request.reason))
    return view(uow, locked(uow, order_id=order_id))


def give_back(uow: UnitOfWork, row: Any, amount_minor: int, grounds: Grounds) -> GivenBack:
    """Refund what was decided against a seller; what it cannot cover, it owes.

    Raises:
        RefundExceeded: less than that is left of the payment.
    """
    check_left(row, amount_minor)
    if is_covered(uow, row, amount_minor, is_judged=grounds.is_judged):
        _pay(uow, row, amount_minor, grounds)
        return GivenBack(amount_minor, 0)
    if not uow.run(_OWE, order_id=row.id, part=amount_minor):
        raise exceeded(row, amount_minor, refundable_minor(row))
    body = {"owed_minor": amount_minor, "currency": row.currency, "reason": grounds.reason}
    note(uow, row, NewEvent("refund.owed", MARKET, body, row.id))
    tell_both(uow, row, "refund.owed", body)
    _record(uow, row, amount_minor)
    return GivenBack(0, amount_minor)


def owed(snapshot: Snapshot, *, after: str) -> list[str]:
    """Return up to 100 orders of which a refund is owed, those behind the id ``after``."""
    return [row.id for row in snapshot.all(_OWED, after=after)]


def pay_owed(uow: UnitOfWork, *, order_id: str) -> bool:
    """Pay what a seller owes of an order's refunds, if it can by now; say whether it did."""
    row = locked(uow, order_id=order_id)
    if not row.owed_minor:
        return False
    by = owed_disputes(uow, order_id=order_id)
    judged_minor = sum(one.owed_minor for one in by if one.decided_by == JUDGE)
    if not is_covered(uow, row, row.owed_minor, is_judged=judged_minor >= row.owed_minor):
        return False
    grounds = Grounds("owed", "a refund that was owed")
    _pay(uow, row, row.owed_minor, grounds, owed_minor=row.owed_minor)
    paid(uow, order_id=order_id)
    _forfeit_late(uow, row, by)
    return True


def check_number(row: Any) -> None:
    """Let pass an order that may be refunded in one more part.

    Raises:
        TooManyRefunds: it may not.
    """
    if row.refunds >= MAX_REFUNDS:
        raise TooManyRefunds(
            f"An order is refunded in at most {MAX_REFUNDS} parts.", max_refunds=MAX_REFUNDS
        )


def check_left(row: Any, amount_minor: int) -> None:
    """Let pass an amount that is left of what was captured.

    Raises:
        RefundExceeded: it is not.
    """
    if not 0 < amount_minor <= refundable_minor(row):
        raise exceeded(row, amount_minor, refundable_minor(row))


def exceeded(row: Any, amount_minor: int, left_minor: int) -> ledger.RefundExceeded:
    """Return the refusal of a refund that is more than what is left."""
    return ledger.RefundExceeded(
        f"{Money(left_minor, row.currency)} of the payment is left.",
        amount_minor=amount_minor,
        refundable_minor=left_minor,
    )


def _forfeit_late(uow: UnitOfWork, row: Any, by: list[Any]) -> None:
    """Let the bond answer for what was owed till now, where it has not done so before."""
    if row.state == "failed":
        forfeit(uow, row)
        return
    for one in by:
        # What a dispute voided beside what it left owed is what it took from the whole.
        whole_minor = row.captured_minor + one.refunded_minor
        forfeit_part(
            uow,
            row,
            dispute_id=one.id,
            part_minor=one.refund_minor,
            whole_minor=whole_minor,
        )


def _pay(
    uow: UnitOfWork,
    row: Any,
    amount_minor: int,
    grounds: Grounds,
    *,
    owed_minor: int = 0,
) -> None:
    """Move a part back, with its receipt, its row, its event and its messages."""
    parts = parts_of(row, amount_minor)
    moved = _move(uow, row, amount_minor, parts, draws_bond=grounds.cause != "seller")
    receipt_id = uow.new_id("rcp")
    issue(
        uow,
        row,
        receipt_id,
        outcome="refunded",
        reason=grounds.reason,
        captured_minor=row.captured_minor,
        fee_minor=row.fee_minor,
        returned_minor=row.returned_minor,
        refunded_minor=amount_minor,
        fee_returned_minor=parts.fee_minor,
    )
    # The row is locked, and what is left was checked: the condition is the last line.
    if not uow.run(
        _PAY,
        order_id=row.id,
        part=amount_minor,
        owed_part=owed_minor,
        new_receipt_id=receipt_id,
    ):
        raise exceeded(row, amount_minor, refundable_minor(row))
    uow.run(
        _ADD,
        order_id=row.id,
        number=row.refunds + 1,
        amount_minor=amount_minor,
        fee_minor=parts.fee_minor,
        cause=grounds.cause,
        dispute_id=grounds.dispute_id,
        receipt_id=receipt_id,
        transaction_id=moved.id,
        refunded_at=uow.now,
    )
    _tell(uow, row, amount_minor, parts.fee_minor, receipt_id, grounds.reason)
    _record(uow, row, amount_minor - owed_minor)


def _move(
    uow: UnitOfWork, row: Any, amount_minor: int, parts: Split, *, draws_bond: bool
) -> ledger.Transaction:
    """Move a part back on the ledger, from all who had got some of it."""
    others = []
    if parts.referral_minor and referrer_covers(uow, row, parts.referral_minor):
        referrer = ledger.open_wallet(uow, agent_id=row.referrer_id, currency=row.currency)
        others = [(referrer, parts.referral_minor)]
    moved = ledger.refund(
        uow,
        seller_wallet_id=ledger.open_wallet(uow, agent_id=row.seller_id, currency=row.currency),
        wallet_id=ledger.open_wallet(uow, agent_id=row.buyer_id, currency=row.currency),
        amount_minor=amount_minor,
        order_id=row.id,
        fee_minor=parts.fee_minor,
        number=row.refunds + 1,
        others=others,
        draws_bond=draws_bond,
    )
    assert moved is not None
    return moved


def _tell(
    uow: UnitOfWork, row: Any, amount_minor: int, fee_minor: int, receipt_id: str, reason: str
) -> None:
    body = {
        "refunded_minor": amount_minor,
        "fee_returned_minor": fee_minor,
        "currency": row.currency,
        "receipt_id": receipt_id,
        "reason": reason,
    }
    note(uow, row, NewEvent("order.refunded", MARKET, body, row.id))
    tell_both(uow, row, "receipt.issued", {"outcome": "refunded", **body})


def _record(uow: UnitOfWork, row: Any, amount_minor: int) -> None:
    """Tell trust how much is now decided against the seller: what went back, and what it owes.

    That sum only grows, so it serves as the version of what counts; a debt that is paid is no news.
    """
    total_minor = row.refunded_minor + row.owed_minor + amount_minor
    trust.record(
        uow,
        kind="order.refunded",
        order_id=row.id,
        service_id=row.service_id,
        seller_id=row.seller_id,
        buyer_id=row.buyer_id,
        amount_minor=total_minor,
        currency=row.currency,
        version=total_minor,
    )
    freeze_if_failing(uow, seller_id=row.seller_id)
