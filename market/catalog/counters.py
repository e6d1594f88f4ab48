"""Counter-offers as rows: shown to their two sides, and looked after when their time is over."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete, select

from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.paging import before_of, page_of
from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.catalog.errors import CounterNotFound
from market.catalog.quotes import KEEP_UNUSED, MAX_FORGOTTEN
from market.catalog.tables import counters
from market.protocol.wire import CounterView, Page

MAX_DUE: Final = 100

_FIND: Final = Sql(select(counters).where(counters.c.id == bindparam("counter_id")))
_OF_AGENT: Final = Sql(
    select(counters)
    .where(
        (counters.c.buyer_id == bindparam("agent_id"))
        | (counters.c.seller_id == bindparam("agent_id")),
        (bindparam("state") == "") | (counters.c.state == bindparam("state")),
        counters.c.id < bindparam("before"),
    )
    .order_by(counters.c.id.desc())
    .limit(bindparam("limit"))
)
_DUE: Final = Sql(
    select(counters.c.id)
    .where(
        counters.c.state == "open",
        counters.c.expires_at <= bindparam("now", type_=UtcDateTime()),
    )
    .order_by(counters.c.expires_at)
    .limit(MAX_DUE)
)
_FORGET: Final = Sql(
    delete(counters).where(
        counters.c.id.in_(
            select(counters.c.id)
            .where(
                counters.c.state != "answered",
                counters.c.ended_at < bindparam("before", type_=UtcDateTime()),
            )
            .limit(MAX_FORGOTTEN)
        )
    )
)


def counter_offer(snapshot: Snapshot, *, caller: Caller, counter_id: str) -> CounterView:
    """Return a counter-offer to its buyer or its seller.

    Raises:
        CounterNotFound: there is none in which the caller takes part.
    """
    caller.need("read")
    row = snapshot.one(_FIND, counter_id=counter_id)
    if row is None or caller.agent_id not in (row.buyer_id, row.seller_id):
        raise CounterNotFound("There is no counter-offer of yours under this id.")
    return shown_to(view(row), caller)


def counter_offers(
    snapshot: Snapshot, *, caller: Caller, state: str, cursor: str | None, limit: int
) -> Page[CounterView]:
    """Return the counter-offers the caller made or got, newest first; ``state`` filters."""
    caller.need("read")
    rows = snapshot.all(
        _OF_AGENT,
        agent_id=caller.agent_id,
        state=state,
        before=before_of(cursor, "ctr"),
        limit=limit + 1,
    )
    return page_of(
        rows,
        limit=limit,
        view=lambda row: shown_to(view(row), caller),
        key=lambda row: (row.id,),
    )


def counters_due(snapshot: Snapshot) -> Sequence[str]:
    """Return up to 100 open counter-offers whose time is over, the longest overdue first."""
    return [row.id for row in snapshot.all(_DUE, now=snapshot.now)]


def forget_counters(uow: UnitOfWork) -> int:
    """Remove counter-offers that came to nothing long ago; return how many."""
    return uow.run(_FORGET, before=uow.now - KEEP_UNUSED)


def shown_to(one: CounterView, caller: Caller) -> CounterView:
    """Return a counter-offer as one of its sides sees it: a journey is its buyer's alone."""
    if caller.agent_id == one.buyer_id:
        return one
    return msgspec.structs.replace(one, session_id=None)


def view(row: Any) -> CounterView:
    """Return the public form of a counter-offer's row."""
    return CounterView(
        id=row.id,
        quote_id=row.quote_id,
        service_id=row.service_id,
        slug=row.slug,
        seller_id=row.seller_id,
        buyer_id=row.buyer_id,
        session_id=row.session_id,
        round=row.round,
        units=row.units,
        quoted_minor=row.quoted_minor,
        amount_minor=row.amount_minor,
        currency=row.currency,
        note=row.note,
        state=row.state,
        detail=row.detail,
        offer=row.offer,
        answer_quote_id=row.answer_quote_id,
        quote_digest=row.quote_digest,
        asked_at=rfc3339(row.asked_at),
        expires_at=rfc3339(row.expires_at),
    )
