"""What must be true of orders at every commit: each query returns the rows that break it."""

from typing import Final

from sqlalchemy import and_, bindparam, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from market.base.sql import Sql
from market.base.work import Snapshot
from market.orders.states import ENDED
from market.orders.tables import chunks, orders, receipts

_is_ended: ColumnElement[bool] = or_(*(orders.c.state == state for state in sorted(ENDED)))
_SPLIT: Final = Sql(
    select(orders.c.id)
    .where(
        or_(
            and_(
                _is_ended,
                orders.c.captured_minor + orders.c.returned_minor != orders.c.amount_minor,
            ),
            and_(~_is_ended, orders.c.returned_minor != 0),
            orders.c.fee_minor + orders.c.referral_minor > orders.c.captured_minor,
        )
    )
    .limit(bindparam("limit"))
)
_ENDINGS: Final = Sql(
    select(orders.c.id)
    .where(
        or_(
            _is_ended != orders.c.ended_at.is_not(None),
            _is_ended != orders.c.receipt_id.is_not(None),
            _is_ended != orders.c.due_at.is_(None),
        )
    )
    .limit(bindparam("limit"))
)
_RECEIPTS: Final = Sql(
    select(orders.c.id)
    .where(_is_ended, orders.c.receipt_id.not_in(select(receipts.c.id)))
    .limit(bindparam("limit"))
)
_delivered = (
    select(
        chunks.c.order_id,
        func.count().label("count"),
        func.sum(chunks.c.units).label("units"),
        func.max(chunks.c.chunk).label("last"),
    )
    .group_by(chunks.c.order_id)
    .subquery()
)
_CHUNKS: Final = Sql(
    select(orders.c.id)
    .join_from(orders, _delivered, _delivered.c.order_id == orders.c.id, isouter=True)
    .where(
        or_(
            func.coalesce(_delivered.c["count"], 0) != orders.c.chunks_delivered,
            func.coalesce(_delivered.c.units, 0) != orders.c.units_delivered,
            func.coalesce(_delivered.c.last, -1) != orders.c.chunks_delivered - 1,
        )
    )
    .limit(bindparam("limit"))
)
_RULES: Final = {
    "captured and returned do not make up the hold": _SPLIT,
    "the ending, its moment, its receipt or its deadline disagree": _ENDINGS,
    "the receipt is missing": _RECEIPTS,
    "the chunks do not add up to what was counted": _CHUNKS,
}


def check(snapshot: Snapshot) -> list[str]:
    """Return a line for each order that breaks a rule, at most 100 a rule."""
    return [
        f"order {row.id}: {broken}"
        for broken, sql in _RULES.items()
        for row in snapshot.all(sql, limit=100)
    ]
