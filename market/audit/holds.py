"""Holds that are open past their time: money that should have gone to somebody by now."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, func, select

from market.audit.findings import MAX_ROWS, Finding
from market.base.clock import rfc3339
from market.base.once import answers
from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import Snapshot
from market.ledger.tables import transactions
from market.orders.tables import orders

SWEEP: Final = timedelta(seconds=60)
"""How long after its time an order may be open: the chores look each second, 100 orders a turn."""

_LAST_TRANSACTION: Final = Sql(
    select(transactions.c.recorded_at.label("at")).order_by(transactions.c.id.desc()).limit(1)
)
_LAST_ANSWER: Final = Sql(select(func.max(answers.c.answered_at, type_=UtcDateTime()).label("at")))
_OVERDUE: Final = Sql(
    select(orders.c.id, orders.c.state, orders.c.amount_minor, orders.c.due_at)
    .where(orders.c.due_at < bindparam("before", type_=UtcDateTime()))
    .order_by(orders.c.due_at)
    .limit(MAX_ROWS)
)


def overdue(snapshot: Snapshot) -> list[Finding]:
    """Return orders that were still open when the store last wrote, long after their time.

    A store that nobody serves is as old as its last write: what fell due since is no breach. One
    that was served again after a long rest is given its first turns.
    """
    lived_until = _last_write(snapshot)
    if lived_until is None:
        return []
    return [
        Finding(
            rule="holds",
            where=f"order {row.id}",
            detail=f"expected to have ended at {rfc3339(row.due_at)}, found {row.state} with "
            f"{row.amount_minor} held at {rfc3339(lived_until)}",
        )
        for row in snapshot.all(_OVERDUE, before=lived_until - SWEEP)
    ]


def _last_write(snapshot: Snapshot) -> datetime | None:
    rows = [snapshot.one(_LAST_TRANSACTION), snapshot.one(_LAST_ANSWER)]
    moments = [row.at for row in rows if row is not None and row.at is not None]
    return max(moments, default=None)
