"""Verbs of recommendations."""

from typing import Any, Final

from sqlalchemy import bindparam, select

from market import identity, inbox, orders, sessions
from market.base.caller import Caller, Signed
from market.base.clock import rfc3339
from market.base.errors import NotFound
from market.base.paging import before_of, page_of
from market.base.sql import Sql, insert, insert_ignore
from market.base.work import Snapshot, UnitOfWork
from market.protocol.commitments import RecommendationClaims
from market.protocol.wire import AgentView, Page, RecommendationView
from market.recommendations.errors import (
    NothingToRecommend,
    OtherService,
    OwnRecommendation,
    UnknownRecipient,
)
from market.recommendations.tables import recipients, recommendations

_ADD: Final = Sql(insert(recommendations))
_TELL: Final = Sql(insert_ignore(recipients))
_FIND: Final = Sql(
    select(recommendations).where(recommendations.c.id == bindparam("recommendation_id"))
)
_TOLD_BY: Final = Sql(
    select(recipients.c.recommendation_id).where(
        recipients.c.receipt_id == bindparam("receipt_id"),
        recipients.c.recipient_id == bindparam("recipient_id"),
    )
)
_RECIPIENTS: Final = Sql(
    select(recipients.c.recipient_id)
    .where(recipients.c.recommendation_id == bindparam("recommendation_id"))
    .order_by(recipients.c.recipient_id)
)
_FROM: Final = Sql(
    select(recommendations)
    .where(
        recommendations.c.from_id == bindparam("sender_id"),
        recommendations.c.id < bindparam("before"),
    )
    .order_by(recommendations.c.id.desc())
    .limit(bindparam("limit"))
)


def send(
    uow: UnitOfWork, *, caller: Caller, signed: Signed[RecommendationClaims]
) -> RecommendationView:
    """Put a recommendation into the inboxes of those who were not told on this receipt before.

    If all of them were, nothing happens and the recommendation that told them is returned.

    Raises:
        ReceiptNotFound: the caller holds no such receipt as a buyer.
        OtherService: the receipt is for another service.
        NothingToRecommend: the order ended with nothing delivered.
        OwnRecommendation, UnknownRecipient: a recipient is the caller, or nobody.
    """
    caller.need("review")
    claims = signed.claims
    order = _bought(uow, caller, claims)
    to = sorted(set(claims.recipient_ids))
    recipient = _recipients(uow, caller, to)
    recommendation_id = uow.new_id("rec")
    new = [agent_id for agent_id in to if _tell(uow, claims, agent_id, recommendation_id)]
    if not new:
        told = uow.one(_TOLD_BY, receipt_id=claims.receipt_id, recipient_id=to[0])
        return _found(uow, told.recommendation_id)
    uow.run(
        _ADD,
        id=recommendation_id,
        receipt_id=claims.receipt_id,
        order_id=order.id,
        service_id=order.service_id,
        slug=order.slug,
        from_id=caller.agent_id,
        comment=claims.comment,
        sent_at=uow.now,
        commitment=signed.token,
    )
    view = _found(uow, recommendation_id)
    _refer(uow, caller, view, [recipient[agent_id] for agent_id in new])
    _deliver(uow, claims, view)
    _note(uow, order, view)
    return view


def recommendations_of(
    snapshot: Snapshot, *, caller: Caller, cursor: str | None, limit: int
) -> Page[RecommendationView]:
    """Return what the caller recommended, newest first, with the orders that followed."""
    caller.need("read")
    rows = snapshot.all(
        _FROM, sender_id=caller.agent_id, before=before_of(cursor, "rec"), limit=limit + 1
    )
    return page_of(
        rows, limit=limit, view=lambda row: _view(snapshot, row), key=lambda row: (row.id,)
    )


def _bought(uow: UnitOfWork, caller: Caller, claims: RecommendationClaims) -> Any:
    """The order behind the receipt, if it lets its buyer recommend the service."""
    receipt = orders.receipt(uow, caller=caller, receipt_id=claims.receipt_id)
    order = orders.order_row(uow, order_id=receipt.order_id)
    if order.buyer_id != caller.agent_id:
        raise orders.ReceiptNotFound("There is no receipt of a purchase of yours under this id.")
    if order.service_id != claims.service_id:
        raise OtherService("Name the service that the receipt is for.", service_id=order.service_id)
    if order.state != "settled" and not order.chunks_delivered:
        raise NothingToRecommend(f"The order was {order.state} before anything was delivered.")
    return order


def _recipients(uow: UnitOfWork, caller: Caller, to: list[str]) -> dict[str, AgentView]:
    """Return those who are to be told, all of whom must be others."""
    found = {}
    for agent_id in to:
        if agent_id == caller.agent_id:
            raise OwnRecommendation("Leave yourself out of the recipients.")
        try:
            found[agent_id] = identity.agent(uow, agent_id=agent_id)
        except NotFound as refusal:
            raise UnknownRecipient(
                f"There is no agent {agent_id}.", recipient_id=agent_id
            ) from refusal
    return found


def _refer(uow: UnitOfWork, caller: Caller, view: RecommendationView, new: list[AgentView]) -> None:
    """Let the share that a seller may promise come to the caller, from strangers' orders alone.

    Those who act for the caller's principal are none. The seller's own people cannot be the
    caller: they buy nothing from it, and hold no receipt.
    """
    own = {caller.agent_id, caller.principal_id} - {None}
    for recipient in new:
        if not own & {recipient.id, recipient.principal_id}:
            orders.refer(
                uow,
                buyer_id=recipient.id,
                service_id=view.service_id,
                referrer_id=caller.agent_id,
                recommendation_id=view.id,
            )


def _tell(
    uow: UnitOfWork, claims: RecommendationClaims, agent_id: str, recommendation_id: str
) -> int:
    return uow.run(
        _TELL,
        receipt_id=claims.receipt_id,
        recipient_id=agent_id,
        recommendation_id=recommendation_id,
    )


def _deliver(uow: UnitOfWork, claims: RecommendationClaims, view: RecommendationView) -> None:
    message = {
        "recommendation_id": view.id,
        "service_id": view.service_id,
        "slug": view.slug,
        "from_id": view.from_id,
        "comment": view.comment,
        "receipt_id": claims.receipt_id,
    }
    for agent_id in view.recipient_ids:
        inbox.deliver(uow, agent_id=agent_id, kind="recommendation.received", body=message)


def _note(uow: UnitOfWork, order: Any, view: RecommendationView) -> None:
    if not sessions.is_open(uow, session_id=order.session_id):
        return
    body = {
        "recommendation_id": view.id,
        "service_id": view.service_id,
        "slug": view.slug,
        "recipient_ids": view.recipient_ids,
    }
    event = sessions.NewEvent("recommendation.sent", view.from_id, body, order.id)
    sessions.append(uow, session_id=order.session_id, events=[event])


def _found(snapshot: Snapshot, recommendation_id: str) -> RecommendationView:
    return _view(snapshot, snapshot.one(_FIND, recommendation_id=recommendation_id))


def _view(snapshot: Snapshot, row: Any) -> RecommendationView:
    told = [each.recipient_id for each in snapshot.all(_RECIPIENTS, recommendation_id=row.id)]
    return RecommendationView(
        id=row.id,
        service_id=row.service_id,
        slug=row.slug,
        from_id=row.from_id,
        recipient_ids=told,
        comment=row.comment,
        sent_at=rfc3339(row.sent_at),
        bought_order_ids=orders.bought(
            snapshot, buyer_ids=told, service_id=row.service_id, since=row.sent_at
        ),
    )
