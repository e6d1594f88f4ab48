"""What waits for an approval: the list of a principal, and of those who oversee all."""

from typing import Any, Final

from sqlalchemy import bindparam, select
from sqlalchemy import literal_column as literal

from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.paging import decode_cursor, page_of
from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import Snapshot
from market.orders.tables import orders
from market.protocol.wire import ApprovalView, Page

_waiting = (
    select(orders)
    .where(
        # As the index says it: a parameter would not be seen to be the same.
        orders.c.state == literal("'awaiting_approval'"),
        orders.c.id > bindparam("after"),
        orders.c.due_at > bindparam("now", type_=UtcDateTime()),
    )
    .order_by(orders.c.id)
    .limit(bindparam("limit"))
)
_ALL: Final = Sql(_waiting)
_OWN: Final = Sql(_waiting.where(orders.c.principal_id == bindparam("agent_id")))


def awaiting_approval(
    snapshot: Snapshot, *, caller: Caller, cursor: str | None, limit: int
) -> Page[ApprovalView]:
    """Return the orders that wait for the caller to approve or deny them, the oldest first.

    Those are what its buyers placed above the limit of a mandate of its own; to overseers, all.
    Whoever approves nothing gets an empty list.
    """
    caller.need("read")
    key = decode_cursor(cursor, (str,))
    page = {"after": key[0] if key else "", "now": snapshot.now, "limit": limit + 1}
    if caller.is_overseer:
        rows = snapshot.all(_ALL, **page)
    else:
        rows = snapshot.all(_OWN, agent_id=caller.agent_id, **page)
    return page_of(rows, limit=limit, view=_view, key=lambda row: (row.id,))


def _view(row: Any) -> ApprovalView:
    return ApprovalView(
        order_id=row.id,
        session_id=row.session_id,
        mandate_id=row.mandate_id,
        principal_id=row.principal_id,
        buyer_id=row.buyer_id,
        seller_id=row.seller_id,
        service_id=row.service_id,
        slug=row.slug,
        units=row.units,
        amount_minor=row.amount_minor,
        currency=row.currency,
        placed_at=rfc3339(row.placed_at),
        expires_at=rfc3339(row.due_at),
    )
