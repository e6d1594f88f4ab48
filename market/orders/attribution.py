"""Attribution: by whose recommendation a buyer came, decided when its order is placed.

The recommendations room tells this one whom a recommendation reached. The first to tell a buyer of
a service has its orders for ``HOLDS``; after that, the next one who tells it.
"""

from datetime import timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, bindparam, case, literal_column, select

from market.base.sql import Sql, upsert
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.orders.tables import referrals

HOLDS: Final = timedelta(days=30)
"""How long after a recommendation its receiver's orders are put down to it."""

_since: Final[ColumnElement[int]] = literal_column("excluded.told_at") - referrals.c.told_at
_is_over = _since > literal_column(str(HOLDS // timedelta(microseconds=1)))
_TELL: Final = Sql(
    upsert(
        referrals,
        keys=["buyer_id", "service_id"],
        set_={
            name: case((_is_over, literal_column(f"excluded.{name}")), else_=referrals.c[name])
            for name in ("referrer_id", "recommendation_id", "told_at")
        },
    )
)
_FIND: Final = Sql(
    select(referrals.c.referrer_id, referrals.c.recommendation_id).where(
        referrals.c.buyer_id == bindparam("buyer_id"),
        referrals.c.service_id == bindparam("service_id"),
        referrals.c.told_at >= bindparam("since", type_=UtcDateTime()),
    )
)


class Referral(NamedTuple):
    """Who sent the buyer of an order, and by which recommendation; None if nobody did."""

    referrer_id: str | None = None
    recommendation_id: str | None = None


def refer(
    uow: UnitOfWork, *, buyer_id: str, service_id: str, referrer_id: str, recommendation_id: str
) -> None:
    """Note that a recommendation of a service reached a buyer whose orders may earn a share."""
    uow.run(
        _TELL,
        buyer_id=buyer_id,
        service_id=service_id,
        referrer_id=referrer_id,
        recommendation_id=recommendation_id,
        told_at=uow.now,
    )


def referral_of(uow: UnitOfWork, quote: Any) -> Referral:
    """Return by whom the buyer of a quote came; looked up only where a share is promised."""
    if not quote.referral_basis_points:
        return Referral()
    row = uow.one(
        _FIND, buyer_id=quote.buyer_id, service_id=quote.service_id, since=uow.now - HOLDS
    )
    return Referral() if row is None else Referral._make(row)
