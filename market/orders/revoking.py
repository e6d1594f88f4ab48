"""A mandate that was revoked: said in the journeys that spent under it, and nothing is awaited."""

from contextlib import suppress
from typing import Any, Final

from sqlalchemy import bindparam, select

from market import sessions
from market.base.caller import Caller
from market.base.sql import Sql
from market.base.work import UnitOfWork
from market.orders.placing import deny
from market.orders.rows import locked
from market.orders.tables import orders
from market.protocol.events import MARKET
from market.protocol.wire import MandateView
from market.sessions import NewEvent

MAX_TOLD: Final = 1_000
"""Open sessions that one revocation is written to, and orders that it denies; the newest."""

_of_mandate = (
    orders.c.buyer_id == bindparam("buyer_id"),
    orders.c.mandate_id == bindparam("mandate_id"),
)
_WAITING: Final = Sql(
    select(orders.c.id)
    .where(*_of_mandate, orders.c.state == "awaiting_approval")
    .order_by(orders.c.id.desc())
    .limit(MAX_TOLD)
)
_SESSIONS: Final = Sql(
    select(orders.c.session_id)
    .where(*_of_mandate, sessions.still_open(orders.c.session_id))
    .distinct()
    .order_by(orders.c.session_id.desc())
    .limit(MAX_TOLD)
)


def tell_revoked(uow: UnitOfWork, *, caller: Caller, mandate: MandateView, reason: str) -> int:
    """Write ``mandate.revoked`` to the buyer's open sessions with an order under the mandate.

    Orders under it that wait for an approval are denied by the market. What runs goes on: its
    money was held before. Returns how many sessions were told.
    """
    which = {"buyer_id": mandate.buyer_id, "mandate_id": mandate.id}
    # Orders before the log, and by id: so everybody takes these locks who needs several.
    waiting = [locked(uow, order_id=row.id) for row in reversed(uow.all(_WAITING, **which))]
    told = [row.session_id for row in uow.all(_SESSIONS, **which)]
    for session_id in sorted(told):
        event = NewEvent("mandate.revoked", caller.agent_id, _body(mandate, reason))
        # One that another worker closes in this moment has seen its last event.
        with suppress(sessions.SessionClosed):
            sessions.append(uow, session_id=session_id, events=[event])
    for row in waiting:
        _deny(uow, row)
    return len(told)


def _deny(uow: UnitOfWork, row: Any) -> None:
    if row.state == "awaiting_approval":  # nobody was faster
        reason = "the mandate was revoked"
        deny(uow, row, actor_id=MARKET, reason=reason, kind="approval.denied")


def _body(mandate: MandateView, reason: str) -> dict[str, Any]:
    return {
        "mandate_id": mandate.id,
        "reason": reason,
        "currency": mandate.currency,
        "spent_minor": mandate.spent_minor,
        "orders": mandate.orders,
    }
