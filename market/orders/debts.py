"""What sellers still owe by disputes, and which of it an overseer awarded."""

from typing import Any, Final

from sqlalchemy import bindparam, select, update

from market.base.sql import Sql, sum_of
from market.base.work import Snapshot, UnitOfWork
from market.orders.dispute_rows import of_order
from market.orders.disputing import Decider
from market.orders.tables import disputes, orders

JUDGE: Final[Decider] = "overseer"
"""Who decides as a third: neither a party, nor the log, which two that agree can make say much."""

_PAID: Final = Sql(
    update(disputes)
    .where(disputes.c.order_id == bindparam("order_id"), disputes.c.owed_minor > 0)
    .values(refunded_minor=disputes.c.refunded_minor + disputes.c.owed_minor, owed_minor=0)
)
_JUDGED_ELSEWHERE: Final = Sql(
    select(sum_of(disputes.c.owed_minor).label("minor"))
    .join_from(disputes, orders, orders.c.id == disputes.c.order_id)
    .where(
        disputes.c.seller_id == bindparam("seller_id"),
        disputes.c.order_id != bindparam("order_id"),
        disputes.c.currency == bindparam("currency"),
        disputes.c.decided_by == JUDGE,
        disputes.c.owed_minor > 0,
        orders.c.owed_minor > 0,
    )
)


def owed_disputes(snapshot: Snapshot, *, order_id: str) -> list[Any]:
    """Return the disputes of an order by which something is still owed, oldest first."""
    return [row for row in of_order(snapshot, order_id=order_id) if row.owed_minor]


def judged_elsewhere_minor(snapshot: Snapshot, row: Any) -> int:
    """Return what an order's seller owes by an overseer's word, for all its other orders."""
    found = snapshot.one(
        _JUDGED_ELSEWHERE, seller_id=row.seller_id, order_id=row.id, currency=row.currency
    )
    return int(found.minor)


def paid(uow: UnitOfWork, *, order_id: str) -> None:
    """Write that what was owed by the disputes of an order has gone back."""
    uow.run(_PAID, order_id=order_id)
