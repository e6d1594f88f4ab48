"""What a mandate's row means now, and who may see it."""

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, or_, select

from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.errors import NotFound
from market.base.paging import before_of, page_of
from market.base.sql import Sql
from market.base.work import Snapshot
from market.mandates.limits import Used, period_at
from market.mandates.tables import mandates
from market.protocol.wire import MandateView, Page

_FIND = Sql(select(mandates).where(mandates.c.id == bindparam("id")))
_PAGE = (
    select(mandates)
    .where(mandates.c.id < bindparam("before"))
    .order_by(mandates.c.id.desc())
    .limit(bindparam("limit"))
)
_ALL = Sql(_PAGE)
_OWN = Sql(
    _PAGE.where(
        or_(
            mandates.c.principal_id == bindparam("agent_id"),
            mandates.c.buyer_id == bindparam("agent_id"),
        )
    )
)


def mandate(snapshot: Snapshot, *, caller: Caller, mandate_id: str) -> MandateView:
    """Return a mandate with what was spent under it, to its parties and overseers.

    Raises:
        NotFound: there is none, or it is not the caller's to see.
    """
    return view(visible(snapshot, caller, mandate_id), snapshot.now)


def list_mandates(
    snapshot: Snapshot, *, caller: Caller, cursor: str | None = None, limit: int = 100
) -> Page[MandateView]:
    """Return the mandates that the caller gave or got, newest first; to overseers, all."""
    before = before_of(cursor, "mdt")
    if caller.is_overseer:
        rows = snapshot.all(_ALL, before=before, limit=limit + 1)
    else:
        rows = snapshot.all(_OWN, agent_id=caller.agent_id, before=before, limit=limit + 1)
    return page_of(
        rows, limit=limit, view=lambda row: view(row, snapshot.now), key=lambda row: (row.id,)
    )


def visible(snapshot: Snapshot, caller: Caller, mandate_id: str) -> Any:
    """Return the row of a mandate that the caller may see.

    Raises:
        NotFound: there is none, or it is not the caller's to see.
    """
    row = snapshot.one(_FIND, id=mandate_id)
    if row is None:
        raise no_such()
    if caller.agent_id not in (row.principal_id, row.buyer_id) and not caller.is_overseer:
        raise no_such()
    return row


def no_such() -> NotFound:
    """Return the one answer for what is not there and for what is not yours."""
    return NotFound("There is no such mandate.")


def period_of(row: Any, moment: datetime) -> int:
    """Return the number of the window of a mandate that ``moment`` lies in."""
    return period_at(moment, created_at=row.created_at, period_seconds=row.period_seconds)


def used_of(row: Any, now: datetime) -> Used:
    """Return what was spent under a mandate, as the window of ``now`` sees it."""
    is_present = row.period >= period_of(row, now)
    return Used(
        row.spent_minor,
        row.period_spent_minor if is_present else 0,
        row.orders,
        row.period_orders if is_present else 0,
    )


def view(row: Any, now: datetime) -> MandateView:
    """Return a mandate's row as it is shown."""
    used = used_of(row, now)
    return MandateView(
        id=row.id,
        principal_id=row.principal_id,
        buyer_id=row.buyer_id,
        currency=row.currency,
        limits=row.limits,
        spent_minor=used.spent_minor,
        period_spent_minor=used.period_spent_minor,
        orders=used.orders,
        period_orders=used.period_orders,
        created_at=rfc3339(row.created_at),
        expires_at=rfc3339(row.expires_at),
        revoked_at=rfc3339(row.revoked_at) if row.revoked_at else None,
        form="market" if row.agent_kid is None else "ap2",
        mandate=row.mandate,
        open_checkout=row.open_checkout,
    )
