"""Reading orders: locked for a verb, or shown to one who takes part."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import and_, bindparam, case, func, or_, select

from market import catalog, sessions
from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.paging import before_of, page_of
from market.base.sql import PerDialect, Sql, among
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.orders.errors import OrderCancelled, OrderNotFound, ReceiptNotFound, WrongState
from market.orders.states import ENDED, move
from market.orders.tables import controls, orders, receipts
from market.protocol.events import Action
from market.protocol.wire import OrderState, OrderView, Page, ReceiptView

_BY_ID = select(orders).where(orders.c.id == bindparam("order_id"))
_FIND: Final = Sql(_BY_ID)
_LOCK: Final = Sql(PerDialect(_BY_ID, _BY_ID.with_for_update()))
MAX_RECEIPTS: Final = 100
"""Receipts of an order that are listed: one of its end, and one of each refund and dispute."""
MAX_AT_ONCE: Final = 1_000
"""Orders of a session that are listed, or intervened in, at once."""

_is_party: Final = or_(
    orders.c.buyer_id == bindparam("agent_id"), orders.c.seller_id == bindparam("agent_id")
)
_of_session = (
    select(orders.c.id)
    .where(orders.c.session_id == bindparam("session_id"))
    .limit(bindparam("limit"))
)
_OF_SESSION: Final = Sql(_of_session.order_by(orders.c.id))
_open_of_session = _of_session.where(
    *(orders.c.state != state for state in sorted(ENDED))
).order_by(case((orders.c.is_paused == bindparam("paused_last"), 1), else_=0), orders.c.id)
_OPEN_OF_SESSION: Final = Sql(_open_of_session)
_OWN_OF_SESSION: Final = Sql(_open_of_session.where(_is_party))
_of_agent = select(orders.c.id).where(_is_party).order_by(orders.c.id).limit(bindparam("limit"))
_WAITING_OF_AGENT: Final = Sql(_of_agent.where(orders.c.state == "awaiting_approval"))
_RUNNING_OF_AGENT: Final = Sql(
    _of_agent.where(
        or_(orders.c.state == "placed", orders.c.state == "started"),
        func.coalesce(orders.c.paused_by, "") != "overseer",
    )
)
_CANCEL: Final = Sql(
    select(controls.c.offset)
    .where(
        controls.c.session_id == bindparam("session_id"),
        controls.c.order_id == bindparam("order_id"),
        controls.c.action == "cancel",
        controls.c.answer == "accepted",
    )
    .limit(1)
)
_IN_SESSION: Final = Sql(
    select(orders.c.id).where(
        orders.c.id == bindparam("order_id"), orders.c.session_id == bindparam("session_id")
    )
)
# A seller knows of an order from its approval on, and never of one that was not approved.
_IS_SELLERS: Final = and_(
    orders.c.seller_id == bindparam("agent_id"),
    sessions.joined(orders.c.session_id, bindparam("agent_id"), orders.c.id),
)
_SELLERS: Final = Sql(select(orders.c.id).where(orders.c.id == bindparam("order_id"), _IS_SELLERS))
_LIST: Final = Sql(
    select(orders)
    .where(
        orders.c.id < bindparam("before"),
        or_(
            bindparam("sees_all") == 1,
            orders.c.buyer_id == bindparam("agent_id"),
            orders.c.principal_id == bindparam("agent_id"),
            _IS_SELLERS,
        ),
        or_(bindparam("state") == "", orders.c.state == bindparam("state")),
        or_(bindparam("session_id") == "", orders.c.session_id == bindparam("session_id")),
    )
    .order_by(orders.c.id.desc())
    .limit(bindparam("limit"))
)
_bought = (
    select(orders.c.id)
    .where(
        orders.c.service_id == bindparam("service_id"),
        orders.c.placed_at >= bindparam("since", type_=UtcDateTime()),
        orders.c.redo_of.is_(None),
    )
    .order_by(orders.c.id)
    .limit(100)
)
_BOUGHT: Final = Sql(among(_bought, orders.c.buyer_id, "buyer_ids"))
_RECEIPTS: Final = Sql(
    select(receipts)
    .where(receipts.c.order_id == bindparam("order_id"))
    .order_by(receipts.c.id)
    .limit(MAX_RECEIPTS)
)
_RECEIPT: Final = Sql(select(receipts).where(receipts.c.id == bindparam("receipt_id")))


def order_row(snapshot: Snapshot, *, order_id: str) -> Any:
    """Return the row of an order, for the rooms above.

    Raises:
        OrderNotFound: there is none.
    """
    row = snapshot.one(_FIND, order_id=order_id)
    if row is None:
        raise _no_such()
    return row


def locked(uow: UnitOfWork, *, order_id: str) -> Any:
    """Return the row of an order and keep other workers from it until this work ends."""
    row = uow.one(_LOCK, order_id=order_id)
    if row is None:
        raise _no_such()
    return row


def sellers(uow: UnitOfWork, *, caller: Caller, order_id: str) -> Any:
    """Return, locked, an order that the caller is to deliver.

    Raises:
        OrderNotFound: there is none, or it is another seller's, or it was not approved.
    """
    row = locked(uow, order_id=order_id)
    if not _is_sellers(uow, row, caller):
        raise _no_such()
    return row


def advance(uow: UnitOfWork, row: Any, verb: str) -> OrderState:
    """Return the state after an act of the worker's.

    Raises:
        OrderCancelled: it was cancelled, perhaps before the worker appeared; by the intervention
            at ``cancel_offset``.
        WrongState: the order cannot make this move from where it is.
    """
    try:
        return move(row.state, verb)
    except WrongState as refusal:
        cancel = None
        if row.state == "cancelled":
            cancel = uow.one(_CANCEL, session_id=row.session_id, order_id=row.id)
        if cancel is None:
            raise
        raise OrderCancelled(
            f"The order was cancelled at offset {cancel.offset} of its session: stop working.",
            state=row.state,
            cancel_offset=cancel.offset,
        ) from refusal


def buyers(uow: UnitOfWork, *, caller: Caller, order_id: str) -> Any:
    """Return, locked, an order that the caller has placed.

    Raises:
        OrderNotFound: there is none, or it is another buyer's.
    """
    row = locked(uow, order_id=order_id)
    if row.buyer_id != caller.agent_id:
        raise _no_such()
    return row


def seen(snapshot: Snapshot, *, caller: Caller, order_id: str) -> Any:
    """Return the row of an order in which the caller takes part, or which it oversees.

    Raises:
        OrderNotFound: there is none.
    """
    row = order_row(snapshot, order_id=order_id)
    is_owner = caller.is_overseer or caller.agent_id in (row.buyer_id, row.principal_id)
    if not (is_owner or _is_sellers(snapshot, row, caller)):
        raise _no_such()
    return row


def order(snapshot: Snapshot, *, caller: Caller, order_id: str) -> OrderView:
    """Return an order as one who takes part sees it.

    Raises:
        OrderNotFound: there is none.
    """
    caller.need("read")
    return view(snapshot, seen(snapshot, caller=caller, order_id=order_id))


def orders_of(
    snapshot: Snapshot,
    *,
    caller: Caller,
    state: str,
    session_id: str,
    cursor: str | None,
    limit: int,
) -> Page[OrderView]:
    """Return the caller's orders, newest first. ``state`` and ``session_id`` filter unless ""."""
    caller.need("read")
    rows = snapshot.all(
        _LIST,
        before=before_of(cursor, "ord"),
        sees_all=int(caller.is_overseer),
        agent_id=caller.agent_id,
        state=state,
        session_id=session_id,
        limit=limit + 1,
    )
    return page_of(
        rows, limit=limit, view=lambda row: view(snapshot, row), key=lambda row: (row.id,)
    )


def order_ids(snapshot: Snapshot, *, session_id: str) -> list[str]:
    """Return the first 1,000 orders of a session, oldest first."""
    rows = snapshot.all(_OF_SESSION, session_id=session_id, limit=MAX_AT_ONCE)
    return [row.id for row in rows]


def open_order_ids(
    snapshot: Snapshot, *, session_id: str, action: Action | None = None
) -> list[str]:
    """Return 1,000 orders of a session that have not ended, those for an intervention; by id.

    Those that are paused come last when they are to be paused, and first to be resumed, so that
    the same again reaches the rest of more than 1,000.
    """
    last = int(action != "resume")
    rows = snapshot.all(
        _OPEN_OF_SESSION, session_id=session_id, paused_last=last, limit=MAX_AT_ONCE
    )
    return sorted(row.id for row in rows)


def own_order_ids(
    snapshot: Snapshot, *, session_id: str, agent_id: str, action: Action
) -> list[str]:
    """Return as many of them that an agent placed, or is to deliver."""
    last = int(action != "resume")
    rows = snapshot.all(
        _OWN_OF_SESSION,
        session_id=session_id,
        agent_id=agent_id,
        paused_last=last,
        limit=MAX_AT_ONCE,
    )
    return sorted(row.id for row in rows)


def running_ids_of(snapshot: Snapshot, *, agent_id: str, limit: int) -> list[str]:
    """Return orders of a buyer or seller that run and that no overseer has paused."""
    return [row.id for row in snapshot.all(_RUNNING_OF_AGENT, agent_id=agent_id, limit=limit)]


def waiting_ids_of(snapshot: Snapshot, *, agent_id: str, limit: int) -> list[str]:
    """Return orders of a buyer or seller that wait for approval."""
    return [row.id for row in snapshot.all(_WAITING_OF_AGENT, agent_id=agent_id, limit=limit)]


def is_in_session(snapshot: Snapshot, *, order_id: str, session_id: str) -> bool:
    """Whether an order belongs to a session."""
    found = snapshot.one(_IN_SESSION, order_id=order_id, session_id=session_id)
    return found is not None


def bought(
    snapshot: Snapshot, *, buyer_ids: list[str], service_id: str, since: datetime
) -> list[str]:
    """Return up to 100 orders that these buyers placed for a service from a moment on."""
    rows = snapshot.all(_BOUGHT, buyer_ids=buyer_ids, service_id=service_id, since=since)
    return [row.id for row in rows]


def receipts_of(snapshot: Snapshot, *, caller: Caller, order_id: str) -> list[ReceiptView]:
    """Return the receipts of an order, oldest first.

    Raises:
        OrderNotFound: there is no order in which the caller takes part.
    """
    caller.need("read")
    seen(snapshot, caller=caller, order_id=order_id)
    return [_receipt_view(row) for row in snapshot.all(_RECEIPTS, order_id=order_id)]


def receipt(snapshot: Snapshot, *, caller: Caller, receipt_id: str) -> ReceiptView:
    """Return one receipt.

    Raises:
        ReceiptNotFound: there is none for an order in which the caller takes part.
    """
    caller.need("read")
    row = snapshot.one(_RECEIPT, receipt_id=receipt_id)
    try:
        if row is not None:
            seen(snapshot, caller=caller, order_id=row.order_id)
            return _receipt_view(row)
    except OrderNotFound:
        pass
    raise ReceiptNotFound("There is no receipt under this id that you may see.")


def view(snapshot: Snapshot, row: Any, request: dict[str, Any] | None = None) -> OrderView:
    """Return the public form of an order's row; ``request`` is its input where it is at hand."""
    if request is None:
        request = catalog.quoted_input(snapshot, quote_id=row.quote_id)
    return OrderView(
        id=row.id,
        session_id=row.session_id,
        service_id=row.service_id,
        slug=row.slug,
        manifest_digest=row.manifest_digest,
        buyer_id=row.buyer_id,
        seller_id=row.seller_id,
        mandate_id=row.mandate_id,
        state=row.state,
        is_paused=row.is_paused,
        amount_minor=row.amount_minor,
        currency=row.currency,
        units=row.units,
        units_delivered=row.units_delivered,
        chunks_delivered=row.chunks_delivered,
        captured_minor=row.captured_minor,
        fee_minor=row.fee_minor,
        returned_minor=row.returned_minor,
        refunded_minor=row.refunded_minor,
        terms=catalog.read_terms(row),
        referrer_id=row.referrer_id,
        referral_minor=row.referral_minor,
        input=request,
        delivery_digest=row.delivery_digest or None,
        placed_at=rfc3339(row.placed_at),
        deliver_by=rfc3339(row.deliver_by),
        accept_by=rfc3339(row.accept_by) if row.accept_by else None,
        ended_at=rfc3339(row.ended_at) if row.ended_at else None,
        receipt_id=row.receipt_id,
        redo_of=row.redo_of,
        redo_id=row.redo_id,
        dispute_id=row.dispute_id,
        owed_minor=row.owed_minor,
    )


def _no_such() -> OrderNotFound:
    """Return the one answer for what is not there and for what is not yours."""
    return OrderNotFound("There is no order under this id that you take part in.")


def _is_sellers(snapshot: Snapshot, row: Any, caller: Caller) -> bool:
    """Whether the caller is the seller of an order, and knows of it."""
    if row.seller_id != caller.agent_id or row.state == "awaiting_approval":
        return False
    # Only a cancelled one may have been cancelled before it was approved.
    return row.state != "cancelled" or (
        snapshot.one(_SELLERS, order_id=row.id, agent_id=caller.agent_id) is not None
    )


def _receipt_view(row: Any) -> ReceiptView:
    return ReceiptView(
        id=row.id,
        order_id=row.order_id,
        outcome=row.outcome,
        issued_at=rfc3339(row.issued_at),
        receipt=row.receipt,
    )
