"""Freezing: a seller that fails again and again gets only small orders until it does well.

A *frozen* seller takes ``SMALL_ORDERS`` orders at a time, none above one typical order. When so
many that were placed meanwhile have ended well, and none badly in between, and it has recovered, it
is frozen no more; an overseer may lift it before. When to freeze, and what is recovered, is decided
above, by the short memory of trust.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, bindparam, case, exists, select, update

from market import identity
from market.base.caller import Caller
from market.base.sql import Sql, upsert
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.catalog.errors import NotFrozen, SellerFrozen
from market.catalog.tables import frozen_sellers
from market.protocol.events import MARKET

FROZEN: Final = "frozen"
"""The flag that a frozen seller has in search and in its trust report."""

SMALL_ORDERS: Final = 3
"""Good orders, one after another, without which no freeze ends; and how many there are at once."""

_now = bindparam("now", type_=UtcDateTime())
_THE_SELLER = update(frozen_sellers).where(frozen_sellers.c.seller_id == bindparam("seller"))
_WHILE_FROZEN = _THE_SELLER.where(frozen_sellers.c.cleared_at.is_(None))
_is_free = frozen_sellers.c.cleared_at.is_not(None)

_FREEZE: Final = Sql(
    upsert(
        frozen_sellers,
        keys=["seller_id"],
        set_={
            "frozen_at": case(
                (_is_free, bindparam("frozen_at", type_=UtcDateTime())),
                else_=frozen_sellers.c.frozen_at,
            ),
            "reason": case((_is_free, bindparam("reason")), else_=frozen_sellers.c.reason),
            "cleared_at": None,
            "cleared_by": None,
            # A freeze that goes on after another failure begins its count anew.
            "good_orders": 0,
        },
    )
)
_FIND: Final = Sql(
    select(frozen_sellers).where(
        frozen_sellers.c.seller_id == bindparam("seller_id"), frozen_sellers.c.cleared_at.is_(None)
    )
)
_BEGIN: Final = Sql(
    _WHILE_FROZEN.where(frozen_sellers.c.open_orders < SMALL_ORDERS).values(
        open_orders=frozen_sellers.c.open_orders + 1
    )
)
_END: Final = Sql(
    _THE_SELLER.values(
        open_orders=frozen_sellers.c.open_orders - 1,
        good_orders=frozen_sellers.c.good_orders + bindparam("good", type_=Integer()),
    )
)
_CLEAR: Final = Sql(
    _WHILE_FROZEN.where(frozen_sellers.c.good_orders >= bindparam("enough")).values(
        cleared_at=_now, cleared_by=bindparam("by"), reason=bindparam("why")
    )
)


def is_frozen(seller_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a seller is frozen, within a statement of this room."""
    return (
        exists()
        .where(frozen_sellers.c.seller_id == seller_id, frozen_sellers.c.cleared_at.is_(None))
        .correlate_except(frozen_sellers)
    )


def freeze(uow: UnitOfWork, *, seller_id: str, reason: str) -> bool:
    """Freeze a seller; return whether it was not frozen before. A repeat begins its count anew."""
    was_frozen = uow.one(_FIND, seller_id=seller_id) is not None
    uow.run(
        _FREEZE,
        seller_id=seller_id,
        frozen_at=uow.now,
        cleared_at=None,
        cleared_by=None,
        reason=reason,
        open_orders=0,
        good_orders=0,
    )
    return not was_frozen


def begin_small_order(uow: UnitOfWork, *, seller_id: str) -> None:
    """Count an order with a frozen seller.

    Raises:
        SellerFrozen: it has as many as it may have at once.
    """
    if uow.run(_BEGIN, seller=seller_id):
        return
    if uow.one(_FIND, seller_id=seller_id) is not None:
        raise SellerFrozen(
            f"This seller is frozen: it has {SMALL_ORDERS} orders at a time, until they end well.",
            max_orders=SMALL_ORDERS,
        )


def end_small_order(uow: UnitOfWork, *, seller_id: str, is_good: bool, has_recovered: bool) -> bool:
    """Count the end of an order that began while the seller was frozen; return if it is free now.

    To be called once for each that ``begin_small_order`` counted. Good orders free nobody who has
    not recovered: three that cost next to nothing say next to nothing.
    """
    uow.run(_END, seller=seller_id, good=int(is_good))
    reason = f"{SMALL_ORDERS} orders in a row ended well"
    return has_recovered and bool(
        uow.run(_CLEAR, seller=seller_id, now=uow.now, enough=SMALL_ORDERS, by=MARKET, why=reason)
    )


def unfreeze(uow: UnitOfWork, *, caller: Caller, seller_id: str, reason: str) -> None:
    """Let a frozen seller take orders as others do, as an overseer.

    Raises:
        OverseersOnly: the caller is none.
        NotFrozen: it is not.
    """
    caller.need("oversee")
    if not caller.is_overseer:
        raise identity.OverseersOnly("A freeze is lifted by overseers.")
    if not uow.run(_CLEAR, seller=seller_id, now=uow.now, enough=0, by=caller.agent_id, why=reason):
        raise NotFrozen("The seller is not frozen.")


def frozen_since(snapshot: Snapshot, *, seller_id: str) -> Any:
    """Return since when a seller is frozen, or None if it is not."""
    row = snapshot.one(_FIND, seller_id=seller_id)
    return None if row is None else row.frozen_at
