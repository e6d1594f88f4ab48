"""Mandates beyond their sums: whose orders they paid for, until when, and in which window."""

from typing import Any, Final

from sqlalchemy import BigInteger, and_, case, func, or_, select, type_coerce

from market.audit.findings import MAX_ROWS, Finding
from market.base.sql import Sql, sum_of
from market.base.work import Snapshot
from market.mandates.tables import mandates
from market.orders.tables import orders

SKEW_MICROS: Final = 30_000_000
"""How far the clocks of two workers may lie apart: a mandate's row is the first to know."""


def _micros(column: Any) -> Any:
    return type_coerce(column, BigInteger)


_placed, _created = _micros(orders.c.placed_at), _micros(mandates.c.created_at)
_ended = func.coalesce(_micros(mandates.c.revoked_at), _micros(mandates.c.expires_at))
_UNALLOWED: Final = Sql(
    select(
        orders.c.id,
        orders.c.mandate_id,
        orders.c.buyer_id,
        orders.c.currency,
        mandates.c.buyer_id.label("its_buyer_id"),
        mandates.c.currency.label("its_currency"),
        (_placed - _ended).label("late_micros"),
    )
    .outerjoin_from(orders, mandates, mandates.c.id == orders.c.mandate_id)
    .where(
        orders.c.mandate_id.is_not(None),
        or_(
            mandates.c.id.is_(None),
            mandates.c.buyer_id != orders.c.buyer_id,
            mandates.c.currency != orders.c.currency,
            _placed > _ended + SKEW_MICROS,
        ),
    )
    .limit(MAX_ROWS)
)
_length = mandates.c.period_seconds * 1_000_000
_begins = _created + mandates.c.period * _length
_used = orders.c.amount_minor - orders.c.returned_minor
_in_window = and_(_placed >= _begins, _placed < _begins + _length)
_nearly = and_(_placed >= _begins - SKEW_MICROS, _placed < _begins + _length)
_WINDOW = [
    mandates.c.id,
    mandates.c.period,
    mandates.c.period_spent_minor,
    mandates.c.period_orders,
]
_least = sum_of(case((_in_window, _used), else_=0))
_most = sum_of(case((_nearly, orders.c.amount_minor), else_=0))
_fewest = sum_of(case((_in_window, 1), else_=0))
_at_most = sum_of(case((_nearly, 1), else_=0))
_WINDOWS: Final = Sql(
    select(
        *_WINDOW,
        _least.label("least_minor"),
        _most.label("most_minor"),
        _fewest.label("fewest"),
        _at_most.label("at_most"),
    )
    .outerjoin_from(mandates, orders, orders.c.mandate_id == mandates.c.id)
    .where(mandates.c.period_seconds.is_not(None))
    .group_by(*_WINDOW)
    .having(
        or_(
            mandates.c.period_spent_minor < _least,
            mandates.c.period_spent_minor > _most,
            mandates.c.period_orders < _fewest,
            mandates.c.period_orders > _at_most,
        )
    )
    .limit(MAX_ROWS)
)


def unallowed(snapshot: Snapshot) -> list[Finding]:
    """Orders under a mandate of another buyer, in another currency, or that had ended."""
    return [
        Finding(
            rule="mandates",
            where=f"order {row.id}",
            detail=f"expected a mandate of {row.buyer_id} in {row.currency}, in force when it was "
            f"placed; found {row.mandate_id} of {row.its_buyer_id} in {row.its_currency}, "
            f"{max(0, row.late_micros or 0) // 1_000_000} s after its end",
        )
        for row in snapshot.all(_UNALLOWED)
    ]


def windows(snapshot: Snapshot) -> list[Finding]:
    """Counters of a period that are not what the orders of that period cost.

    An order at the very start of a window may be counted in it though its worker's clock was
    behind, and nothing of it came back to that window: hence from and to.
    """
    return [
        Finding(
            rule="mandates",
            where=f"mandate {row.id}",
            detail=f"expected {row.least_minor} to {row.most_minor} spent by {row.fewest} to "
            f"{row.at_most} orders in period {row.period}, found {row.period_spent_minor} by "
            f"{row.period_orders}",
        )
        for row in snapshot.all(_WINDOWS)
    ]
