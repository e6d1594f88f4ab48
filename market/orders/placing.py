"""Placing an order: quote, mandate, hold, log and message in one unit of work."""

from datetime import timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, update

from market import catalog, inbox, ledger, mandates, sessions
from market.base.caller import Caller, Signed
from market.base.clock import rfc3339
from market.base.sql import Sql, insert
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.orders.approvals import Decision, need_decision, use_decision
from market.orders.attribution import referral_of
from market.orders.errors import QuoteMismatch, SelfDealing, WrongState
from market.orders.rows import view
from market.orders.settlement import end
from market.orders.states import move
from market.orders.tables import orders
from market.protocol.commitments import OrderClaims
from market.protocol.events import MARKET
from market.protocol.wire import OpenSession, OrderView, PlaceOrder
from market.sessions import NewEvent

_ADD: Final = Sql(insert(orders))
_APPROVE: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"))
    .values(
        state="placed",
        deliver_by=bindparam("until", type_=UtcDateTime()),
        due_at=bindparam("until", type_=UtcDateTime()),
    )
)


class _Row(NamedTuple):
    """An order as it begins; the fields are the table's columns."""

    id: str
    session_id: str
    quote_id: str
    quote_digest: str
    input_digest: str
    service_id: str
    slug: str
    manifest_digest: str
    buyer_id: str
    principal_id: str | None
    seller_id: str
    mandate_id: str | None
    escrow_id: str
    state: str
    amount_minor: int
    currency: str
    price_per: str
    units: int
    max_chunks: int
    refund_policy: str
    refund_window_seconds: int
    deliver_seconds: int
    first_offset: int
    commitment: str
    placed_at: Any
    deliver_by: Any
    due_at: Any
    is_paused: bool = False
    paused_at: Any = None
    paused_by: str | None = None
    lease_until: Any = None
    fails_at: Any = None
    units_delivered: int = 0
    chunks_delivered: int = 0
    delivery_digest: str = ""
    captured_minor: int = 0
    fee_minor: int = 0
    returned_minor: int = 0
    refunded_minor: int = 0
    delivery_commitment: str | None = None
    accept_by: Any = None
    ended_at: Any = None
    receipt_id: str | None = None
    terms: str | None = None
    referral_basis_points: int = 0
    referrer_id: str | None = None
    recommendation_id: str | None = None
    referral_minor: int = 0
    captures: int = 0
    redo_of: str | None = None
    redo_id: str | None = None
    dispute_id: str | None = None
    rejected: int = 0
    refunds: int = 0
    owed_minor: int = 0
    gate: str | None = None


def place(
    uow: UnitOfWork,
    *,
    caller: Caller,
    request: PlaceOrder,
    signed: Signed[OrderClaims],
    closed: mandates.Closed | None = None,
) -> OrderView:
    """Accept a quote: its price goes into escrow, and the seller is told.

    Above the mandate's ``approval_over`` the order waits for the principal or an overseer; the
    money is held meanwhile, and the seller learns nothing before. ``closed`` is what closes an AP2
    mandate; it is used up with the quote.

    Raises:
        QuoteMismatch: the signed order, or the closed mandate, says something else than the quote.
        catalog's refusals: the quote is unknown, used, or expired.
        mandates' refusals: there is none, or it does not allow this order.
        InsufficientFunds: the wallet holds less; nothing moved.
    """
    caller.need("pay")
    quote = catalog.redeem_quote(uow, quote_id=request.quote_id, buyer_id=caller.agent_id)
    claims = signed.claims
    _check(claims, quote, request.quote_id)
    if quote.gate == "frozen":
        catalog.begin_small_order(uow, seller_id=quote.seller_id)
    if quote.seller_id == caller.agent_id:
        raise SelfDealing("The quote is for a service of the caller's own.")
    approval_over_minor = _spend(uow, caller, claims, quote, closed)
    row = _begin(uow, caller, signed, quote, waits=approval_over_minor is not None)
    if closed is not None:
        mandates.consume(uow, order_id=row.id, closed=closed)
    ledger.hold(
        uow,
        wallet_id=ledger.open_wallet(uow, agent_id=row.buyer_id, currency=row.currency),
        escrow_id=row.escrow_id,
        amount_minor=row.amount_minor,
        order_id=row.id,
    )
    row = _log(uow, row, request.session_id, approval_over_minor)
    uow.run(_ADD, **row._asdict())
    if approval_over_minor is None:
        _tell_seller(uow, row)
    elif row.principal_id is not None:
        _tell_principal(uow, row, approval_over_minor)
    return view(uow, row, quote.input)


def approve(
    uow: UnitOfWork, row: Any, *, actor_id: str, reason: str, decision: Decision | None
) -> None:
    """Let a waiting order go ahead: the seller is told, and its time begins.

    What the human signed stands in the log, so that anyone can check it.
    """
    move(row.state, "approve")
    if row.due_at <= uow.now:
        raise WrongState("The time to approve is over.", state=row.state)
    until = uow.now + timedelta(seconds=row.deliver_seconds)
    uow.run(_APPROVE, order_id=row.id, until=until)
    kept = use_decision(uow, row, need_decision(decision))
    granted = NewEvent("approval.granted", actor_id, {"reason": reason, **kept}, row.id)
    sessions.append(uow, session_id=row.session_id, events=[granted])
    _tell_seller(uow, row)


def deny(
    uow: UnitOfWork,
    row: Any,
    *,
    actor_id: str,
    reason: str,
    kind: str,
    decision: Decision | None = None,
) -> None:
    """End a waiting order; everything goes back.

    ``kind``: by a human's word (``approval.denied``) or for want of one (``approval.expired``).
    """
    move(row.state, "deny")
    kept = use_decision(uow, row, decision)
    said = NewEvent(kind, actor_id, {"reason": reason, **kept}, row.id)
    sessions.append(uow, session_id=row.session_id, events=[said])
    end(uow, row, ending="cancelled", captured_minor=0, reason=kind)


def _check(claims: OrderClaims, quote: Any, quote_id: str) -> None:
    said = {
        "quote_id": (claims.quote_id, quote_id),
        "quote_digest": (claims.quote_digest, quote.digest),
        "seller_id": (claims.seller_id, quote.seller_id),
        "amount_minor": (claims.amount_minor, quote.amount_minor),
        "currency": (claims.currency, quote.currency),
    }
    for field, (signed, quoted) in said.items():
        if signed != quoted:
            raise QuoteMismatch(
                f"The signed {field} is not the quote's. Sign an order over the quote as it is.",
                field=field,
            )


def _check_closed(closed: mandates.Closed, quote: Any) -> None:
    for field in ("seller_id", "amount_minor", "currency"):
        if getattr(closed, field) != getattr(quote, field):
            raise QuoteMismatch(
                f"The closed mandate's {field} is not the quote's.",
                field=field,
                ap2_error="invalid_mandate",
            )


def _spend(
    uow: UnitOfWork, caller: Caller, claims: OrderClaims, quote: Any, closed: mandates.Closed | None
) -> int | None:
    """Charge the mandate; return the amount over which it wants approval, if this is over it."""
    if closed is not None:
        _check_closed(closed, quote)
    if claims.mandate_id is None:
        mandates.require_for(uow, caller)
        return None
    return mandates.spend(
        uow,
        mandate_id=claims.mandate_id,
        buyer_id=caller.agent_id,
        seller_id=quote.seller_id,
        tags=quote.tags,
        amount_minor=quote.amount_minor,
        currency=quote.currency,
        closed=closed,
    )


def _begin(
    uow: UnitOfWork,
    caller: Caller,
    signed: Signed[OrderClaims],
    quote: Any,
    *,
    waits: bool,
) -> _Row:
    order_id = uow.new_id("ord")
    deliver_by = uow.now + timedelta(seconds=quote.deliver_seconds)
    approve_by = uow.now + timedelta(seconds=uow.settings.approval_ttl_seconds)
    return _Row(
        id=order_id,
        session_id="",
        quote_id=quote.id,
        quote_digest=quote.digest,
        input_digest=quote.input_digest,
        service_id=quote.service_id,
        slug=quote.slug,
        manifest_digest=quote.manifest_digest,
        buyer_id=caller.agent_id,
        principal_id=caller.principal_id,
        seller_id=quote.seller_id,
        mandate_id=signed.claims.mandate_id,
        escrow_id=ledger.open_escrow(uow, order_id=order_id, currency=quote.currency),
        state="awaiting_approval" if waits else "placed",
        amount_minor=quote.amount_minor,
        currency=quote.currency,
        price_per=quote.price_per,
        units=quote.units,
        max_chunks=quote.max_chunks,
        refund_policy=quote.refund,
        refund_window_seconds=quote.refund_window_seconds,
        deliver_seconds=quote.deliver_seconds,
        first_offset=0,
        commitment=signed.token,
        placed_at=uow.now,
        deliver_by=deliver_by,
        due_at=approve_by if waits else deliver_by,
        terms=quote.terms,
        referral_basis_points=quote.referral_basis_points,
        **referral_of(uow, quote)._asdict(),
        gate=quote.gate,
    )


def _log(
    uow: UnitOfWork, row: _Row, session_id: str | None, approval_over_minor: int | None
) -> _Row:
    """Write that the order is placed, and that it waits if it does; return where that stands."""
    body = {
        "quote_id": row.quote_id,
        "service_id": row.service_id,
        "slug": row.slug,
        "seller_id": row.seller_id,
        "amount_minor": row.amount_minor,
        "currency": row.currency,
        "units": row.units,
        "mandate_id": row.mandate_id,
        "deliver_by": rfc3339(row.deliver_by),
    }
    events = [NewEvent("order.placed", row.buyer_id, body, row.id)]
    if approval_over_minor is not None:
        asked = _approval(row, approval_over_minor)
        events.append(NewEvent("approval.requested", MARKET, asked, row.id))
    if session_id is None:
        session_id, placed = sessions.begin(
            uow,
            buyer_id=row.buyer_id,
            principal_id=row.principal_id,
            request=OpenSession(need=f"order of {row.slug}"),
            events=events,
        )
    else:
        sessions.buyers_open_session(uow, buyer_id=row.buyer_id, session_id=session_id)
        placed = sessions.append(uow, session_id=session_id, events=events)
    return row._replace(session_id=session_id, first_offset=placed.first_offset)


def _approval(row: _Row, approval_over_minor: int) -> dict[str, Any]:
    return {
        "amount_minor": row.amount_minor,
        "currency": row.currency,
        "approval_over_minor": approval_over_minor,
        "expires_at": rfc3339(row.due_at),
    }


def _tell_seller(uow: UnitOfWork, row: Any) -> None:
    sessions.join(uow, session_id=row.session_id, agent_id=row.seller_id, order_id=row.id)
    message = {"order_id": row.id, "session_id": row.session_id, "slug": row.slug}
    inbox.deliver(uow, agent_id=row.seller_id, kind="order.placed", body=message)


def _tell_principal(uow: UnitOfWork, row: _Row, approval_over_minor: int) -> None:
    message = {
        "order_id": row.id,
        "session_id": row.session_id,
        **_approval(row, approval_over_minor),
    }
    inbox.deliver(uow, agent_id=str(row.principal_id), kind="approval.requested", body=message)
