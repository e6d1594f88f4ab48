"""Deadlines: what happens to an order when nobody does anything. Any worker's chores may ask."""

from contextlib import suppress
from typing import Any, Final, Literal

from sqlalchemy import bindparam, select

from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.orders.answers import answer
from market.orders.control import cancel_paused
from market.orders.deciding import expire_dispute
from market.orders.errors import ControlNotFound
from market.orders.leases import look_after
from market.orders.placing import deny
from market.orders.redoing import wait_for_redo
from market.orders.rows import locked
from market.orders.settlement import settle
from market.orders.tables import controls, orders
from market.protocol.events import MARKET

Happened = Literal[
    "nothing", "approval_expired", "stalled", "failed", "accepted", "pause_ended", "dispute_ended",
]  # fmt: skip

_DUE: Final = Sql(
    select(orders.c.id)
    .where(orders.c.due_at <= bindparam("now", type_=UtcDateTime()))
    .order_by(orders.c.due_at)
    .limit(100)
)
_UNANSWERED: Final = Sql(
    select(controls)
    .where(controls.c.answer_by <= bindparam("now", type_=UtcDateTime()))
    .order_by(controls.c.answer_by)
    .limit(100)
)


def due(snapshot: Snapshot) -> list[str]:
    """Return up to 100 orders whose present deadline has passed, the longest overdue first."""
    return [row.id for row in snapshot.all(_DUE, now=snapshot.now)]


def expire(uow: UnitOfWork, *, order_id: str) -> Happened:
    """Do what an order's passed deadline means; nothing if someone was faster.

    Unapproved: cancelled. Without a sign of life: stalled, then failed. Undelivered: failed,
    everything back. Paused too long: cancelled, what came is paid. Uninspected: accepted, but for
    one that is disputed, which waits for that, or that is being delivered again.
    """
    row = locked(uow, order_id=order_id)
    if row.due_at is None or row.due_at > uow.now:
        return "nothing"
    if row.state == "awaiting_approval":
        deny(uow, row, actor_id=MARKET, reason="nobody answered", kind="approval.expired")
        return "approval_expired"
    if row.state == "delivered":
        return _expire_delivered(uow, row)
    if row.paused_at is not None:
        cancel_paused(uow, row)
        return "pause_ended"
    return look_after(uow, row)


def _expire_delivered(uow: UnitOfWork, row: Any) -> Happened:
    if row.dispute_id is not None:
        return expire_dispute(uow, dispute_id=row.dispute_id)
    if row.redo_id is not None:
        wait_for_redo(uow, row)
        return "nothing"
    settle(uow, row, actor_id=MARKET, by="deadline")
    return "accepted"


def answer_unanswered(uow: UnitOfWork) -> int:
    """Answer ``too_late`` for workers that let a steer's deadline pass; return how many."""
    answered = 0
    for row in uow.all(_UNANSWERED, now=uow.now):
        # One that was answered in this moment, by the worker or by another of ours, has its answer.
        with suppress(ControlNotFound):
            answer(uow, row, MARKET, "too_late", "The worker did not answer in time.")
            answered += 1
    return answered
