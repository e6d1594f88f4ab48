"""Capturing: money out of escrow as it is earned, in one part or in many.

Each capture is numbered, and has a transaction of its own; together they never take more than the
hold. What a part leaves to the house and to a recommender is found so that all parts together
leave what one capture would.
"""

from typing import Any, Final

from sqlalchemy import bindparam, update

from market import catalog, inbox, ledger, sessions
from market.base.caller import Caller
from market.base.sql import Sql
from market.base.work import UnitOfWork
from market.orders.errors import OrderPaused, ReleaseTooLarge
from market.orders.rows import buyers, locked, view
from market.orders.states import move
from market.orders.tables import orders
from market.protocol.events import MARKET
from market.protocol.pricing import Split, earned_minor, next_part
from market.protocol.wire import OrderView, ReleasePayment
from market.sessions import NewEvent

_CAPTURED: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"))
    .values(
        captured_minor=bindparam("captured"),
        fee_minor=bindparam("fee"),
        referral_minor=bindparam("referral"),
        captures=bindparam("part"),
    )
)


def release(
    uow: UnitOfWork, *, caller: Caller, order_id: str, request: ReleasePayment
) -> OrderView:
    """Pay for what is delivered so far, while the order runs. A repeat moves nothing more.

    Raises:
        OrderNotFound: the caller has no such order.
        WrongState: nothing runs: it has not begun, or has ended.
        OrderPaused: no money moves now.
        ReleaseTooLarge: more units are named than were delivered.
    """
    caller.need("order")
    row = buyers(uow, caller=caller, order_id=order_id)
    move(row.state, "release")
    if row.is_paused:
        raise OrderPaused("Resume the order, or cancel it.")
    sessions.check_running(uow, session_id=row.session_id)
    units = row.units_delivered if request.units is None else request.units
    if units > row.units_delivered:
        raise ReleaseTooLarge(
            f"{row.units_delivered} units are delivered so far.",
            units=units,
            units_delivered=row.units_delivered,
        )
    captured_minor = earned(row, delivered=units, is_accepted=False)
    if captured_minor > row.captured_minor:
        _release(uow, row, captured_minor)
    return view(uow, locked(uow, order_id=order_id))


def earned(row: Any, *, delivered: int, is_accepted: bool) -> int:
    """Return what a delivery of so many units may capture in all, by the terms that were bought."""
    return earned_minor(
        catalog.read_terms(row),
        amount_minor=row.amount_minor,
        units=row.units,
        delivered=delivered,
        is_accepted=is_accepted,
    )


def capture(uow: UnitOfWork, row: Any, captured_minor: int) -> Split:
    """Pay what is missing to ``captured_minor``; return what each has of it then.

    The order's row is left to the caller.
    """
    before = Split(
        row.fee_minor,
        row.referral_minor,
        row.captured_minor - row.fee_minor - row.referral_minor,
    )
    if captured_minor <= row.captured_minor:
        return before
    part = next_part(
        before,
        captured_minor,
        fee_basis_points=uow.settings.fee_basis_points,
        referral_basis_points=row.referral_basis_points if row.referrer_id else 0,
    )
    ledger.capture(
        uow,
        escrow_id=row.escrow_id,
        seller_wallet_id=ledger.open_wallet(uow, agent_id=row.seller_id, currency=row.currency),
        captured_minor=sum(part),
        fee_minor=part.fee_minor,
        order_id=row.id,
        part=row.captures + 1,
        others=_shared(uow, row, part),
    )
    return Split._make(map(sum, zip(before, part, strict=True)))


def _shared(uow: UnitOfWork, row: Any, part: Split) -> list[tuple[str, int]]:
    """Return the account of the recommender with its share, and tell it; nothing without one."""
    if not part.referral_minor:
        return []
    message = {
        "recommendation_id": row.recommendation_id,
        "service_id": row.service_id,
        "slug": row.slug,
        "amount_minor": part.referral_minor,
        "currency": row.currency,
    }
    inbox.deliver(uow, agent_id=row.referrer_id, kind="referral.paid", body=message)
    wallet_id = ledger.open_wallet(uow, agent_id=row.referrer_id, currency=row.currency)
    return [(wallet_id, part.referral_minor)]


def _release(uow: UnitOfWork, row: Any, captured_minor: int) -> None:
    after = capture(uow, row, captured_minor)
    part = row.captures + 1
    uow.run(
        _CAPTURED,
        order_id=row.id,
        captured=captured_minor,
        fee=after.fee_minor,
        referral=after.referral_minor,
        part=part,
    )
    body = {
        "part": part,
        "units": row.units_delivered,
        "captured_minor": captured_minor,
        "fee_minor": after.fee_minor,
        "referral_minor": after.referral_minor,
        "currency": row.currency,
    }
    released = NewEvent("order.released", MARKET, body, row.id)
    sessions.append(uow, session_id=row.session_id, events=[released])
    message = {"order_id": row.id, "session_id": row.session_id, **body}
    inbox.deliver(uow, agent_id=row.seller_id, kind="payment.released", body=message)
