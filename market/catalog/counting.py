"""Counting what one agent has in the catalog, for its quotas."""

from typing import Final

from sqlalchemy import bindparam, func, select

from market.base.counting import few, up_to_few
from market.base.errors import QuotaExceeded
from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import Snapshot
from market.catalog.tables import quotes, services

_UNUSED: Final = (quotes.c.buyer_id == bindparam("buyer_id"), quotes.c.redeemed_at.is_(None))
_QUOTES: Final = Sql(
    select(func.count().label("total"))
    .select_from(quotes)
    .where(*_UNUSED, quotes.c.expires_at > bindparam("now", type_=UtcDateTime()))
)
_FEW: Final = up_to_few(select(quotes.c.id).where(*_UNUSED))
_SERVICES: Final = Sql(
    select(func.count().label("total"))
    .select_from(services)
    .where(services.c.seller_id == bindparam("of_seller"))
)


def count_open_quotes(snapshot: Snapshot, agent_id: str) -> int:
    """Return how many quotes a buyer has that were not taken up and have not expired."""
    return int(snapshot.one(_QUOTES, buyer_id=agent_id, now=snapshot.now).total)


def few_open_quotes(snapshot: Snapshot, agent_id: str) -> int | None:
    """Return how many quotes a buyer may have open at most, if these are few: a quick look."""
    return few(snapshot, _FEW, buyer_id=agent_id)


def count_services(snapshot: Snapshot, agent_id: str) -> int:
    """Return how many services a seller has published, withdrawn ones among them."""
    return int(snapshot.one(_SERVICES, of_seller=agent_id).total)


def need_room_for_service(snapshot: Snapshot, seller_id: str) -> None:
    """Let pass a seller that may publish one service more.

    Raises:
        QuotaExceeded: it has as many as it may.
    """
    limit, used = snapshot.settings.max_services, count_services(snapshot, seller_id)
    if used >= limit:
        raise QuotaExceeded(
            f"A seller has at most {limit} services; publish new versions of them.",
            quota="services",
            limit=limit,
            used=used,
        )
