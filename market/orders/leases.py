"""Leases: an order's worker gives signs of life, or loses the order after a warning in the log.

A started order has a lease. Starting, a chunk, an answer and a heartbeat renew it, which writes
``lease_until`` and clears ``fails_at``, and nothing else: ``due_at``, by which chores find orders,
follows only when it is reached, so that a chunk touches no index. A lease that runs out is
``order.stalled``; when it has run out once more, the order fails and everything goes back.
"""

from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import bindparam, case, select, update

from market import sessions
from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.sql import PerDialect, Sql
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.orders.rows import advance, sellers
from market.orders.settlement import end
from market.orders.tables import orders
from market.protocol.events import MARKET
from market.protocol.wire import LeaseView
from market.sessions import NewEvent

MAX_RENEWED: Final = 1_000
"""Orders whose renewed leases one turn takes note of, at most."""

_RENEW: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"))
    .values(lease_until=bindparam("until", type_=UtcDateTime()), fails_at=None)
)
_STALL: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"))
    .values(
        fails_at=bindparam("fails", type_=UtcDateTime()),
        due_at=bindparam("due", type_=UtcDateTime()),
    )
)
_LOOK_AT: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"))
    .values(due_at=bindparam("due", type_=UtcDateTime()))
)
_renewed = (
    select(orders.c.id)
    .where(
        orders.c.due_at <= bindparam("now", type_=UtcDateTime()),
        orders.c.state == "started",
        orders.c.is_paused == 0,
        orders.c.lease_until > bindparam("now", type_=UtcDateTime()),
        orders.c.deliver_by > bindparam("now", type_=UtcDateTime()),
    )
    .order_by(orders.c.due_at)
    .limit(MAX_RENEWED)
)
_earlier = case(
    (orders.c.lease_until < orders.c.deliver_by, orders.c.lease_until), else_=orders.c.deliver_by
)
_FOLLOW: Final = Sql(
    PerDialect(
        update(orders).where(orders.c.id.in_(_renewed)).values(due_at=_earlier),
        update(orders)
        .where(orders.c.id.in_(_renewed.with_for_update(skip_locked=True)))
        .values(due_at=_earlier),
    )
)


def lease_until(uow: UnitOfWork) -> datetime:
    """Return until when a sign of life that is given now lasts."""
    return uow.now + timedelta(seconds=uow.settings.lease_seconds)


def renew(uow: UnitOfWork, row: Any) -> None:
    """Take an act of an order's worker as its sign of life."""
    if row.state == "started":
        uow.run(_RENEW, order_id=row.id, until=lease_until(uow))


def heartbeat(uow: UnitOfWork, *, caller: Caller, order_id: str) -> LeaseView:
    """Say that work on a started order goes on, when there is nothing else to say.

    Raises:
        OrderNotFound: the caller has no such order to deliver.
        OrderCancelled: it was cancelled meanwhile; ``cancel_offset`` says where.
        WrongState: it is not started, or has ended.
    """
    caller.need("order")
    row = sellers(uow, caller=caller, order_id=order_id)
    advance(uow, row, "heartbeat")
    renew(uow, row)
    return LeaseView(
        order_id=row.id,
        state=row.state,
        is_paused=row.is_paused,
        lease_seconds=uow.settings.lease_seconds,
        lease_until=rfc3339(lease_until(uow)),
    )


def follow_leases(uow: UnitOfWork) -> int:
    """Put off the deadlines of orders whose workers gave a sign of life; return how many."""
    return uow.run(_FOLLOW, now=uow.now)


def look_after(uow: UnitOfWork, row: Any) -> Literal["nothing", "stalled", "failed"]:
    """Do what the reached deadline of an order that waits for its seller means."""
    runs = row.state == "started" and not row.is_paused and row.lease_until is not None
    if row.deliver_by <= uow.now:
        end(uow, row, ending="failed", captured_minor=0, reason="not delivered in time")
        return "failed"
    if not runs or row.lease_until > uow.now:
        until = min(row.deliver_by, row.lease_until) if runs else row.deliver_by
        uow.run(_LOOK_AT, order_id=row.id, due=until)
        return "nothing"
    if row.fails_at is None:
        _stall(uow, row)
        return "stalled"
    if row.fails_at > uow.now:
        uow.run(_LOOK_AT, order_id=row.id, due=min(row.deliver_by, row.fails_at))
        return "nothing"
    end(uow, row, ending="failed", captured_minor=0, reason="the seller gave no sign of life")
    return "failed"


def _stall(uow: UnitOfWork, row: Any) -> None:
    # From now, not from when it ran out: a market that was down gives its workers time to return.
    fails_at = lease_until(uow)
    uow.run(_STALL, order_id=row.id, fails=fails_at, due=min(row.deliver_by, fails_at))
    body = {"lease_until": rfc3339(row.lease_until), "fails_at": rfc3339(fails_at)}
    sessions.append(
        uow,
        session_id=row.session_id,
        events=[NewEvent("order.stalled", MARKET, body, row.id)],
    )
