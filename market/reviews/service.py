"""Verbs of reviews."""

from typing import Any, Final

from sqlalchemy import bindparam, select

from market import catalog, orders, sessions, trust
from market.base.caller import Caller, Signed
from market.base.clock import rfc3339
from market.base.paging import decode_cursor, page_of
from market.base.sql import Sql, insert_ignore
from market.base.work import Snapshot, UnitOfWork
from market.protocol.commitments import ReviewClaims
from market.protocol.wire import Page, ReviewView
from market.reviews.errors import (
    AlreadyReviewed,
    NothingToReview,
    OrderNotEnded,
    ReceiptMismatch,
)
from market.reviews.tables import reviews

LAST_ID: Final = "rev_z"
"""Greater than every review id, in every collation: where a list that begins with the newest
starts.
"""

_ADD: Final = Sql(insert_ignore(reviews))
_OF_ORDER: Final = Sql(select(reviews).where(reviews.c.order_id == bindparam("order_id")))
_OF_SERVICE: Final = Sql(
    select(reviews)
    .where(reviews.c.service_id == bindparam("service_id"), reviews.c.id < bindparam("before"))
    .order_by(reviews.c.id.desc())
    .limit(bindparam("limit"))
)


def post(uow: UnitOfWork, *, caller: Caller, signed: Signed[ReviewClaims]) -> ReviewView:
    """Keep a buyer's review of its order, tell trust, and note it in the journey if that is open.

    Saying the same again returns the first review.

    Raises:
        OrderNotFound: the caller placed no such order.
        OrderNotEnded, NothingToReview: there is nothing to say of it, yet or ever.
        ReceiptMismatch: the receipt is not one of this order's.
        AlreadyReviewed: the caller has said something else.
    """
    caller.need("review")
    claims = signed.claims
    order = orders.order_row(uow, order_id=claims.order_id)
    if order.buyer_id != caller.agent_id:
        raise orders.OrderNotFound("There is no order under this id that you take part in.")
    first = uow.one(_OF_ORDER, order_id=order.id)
    if first is not None:
        return _repeated(first, claims)
    _check(uow, caller, order, claims)
    review_id = uow.new_id("rev")
    is_added = uow.run(
        _ADD,
        id=review_id,
        order_id=order.id,
        receipt_id=claims.receipt_id,
        service_id=order.service_id,
        seller_id=order.seller_id,
        buyer_id=order.buyer_id,
        verdict=claims.verdict,
        comment=claims.comment,
        tags=claims.tags,
        posted_at=uow.now,
        commitment=signed.token,
        version=1,
    )
    kept = uow.one(_OF_ORDER, order_id=order.id)
    if not is_added:
        return _repeated(kept, claims)
    trust.record(
        uow,
        kind="review.good" if claims.verdict == "good" else "review.bad",
        order_id=order.id,
        service_id=order.service_id,
        seller_id=order.seller_id,
        buyer_id=order.buyer_id,
    )
    if claims.verdict == "bad":
        orders.freeze_if_failing(uow, seller_id=order.seller_id)
    _note(uow, order, kept)
    return _view(kept)


def reviews_of(
    snapshot: Snapshot, *, service_id: str, cursor: str | None, limit: int
) -> Page[ReviewView]:
    """Return what buyers said of a service, newest first. Reviews are public.

    Raises:
        ServiceNotFound: there is no such service.
    """
    catalog.service(snapshot, service_id=service_id)
    key = decode_cursor(cursor, (str,))
    rows = snapshot.all(
        _OF_SERVICE, service_id=service_id, before=key[0] if key else LAST_ID, limit=limit + 1
    )
    return page_of(rows, limit=limit, view=_view, key=lambda row: (row.id,))


def _repeated(first: Any, claims: ReviewClaims) -> ReviewView:
    said = (first.receipt_id, first.verdict, first.comment, first.tags)
    if said != (claims.receipt_id, claims.verdict, claims.comment, claims.tags):
        raise AlreadyReviewed("An order has one review.", review_id=first.id)
    return _view(first)


def _check(uow: UnitOfWork, caller: Caller, order: Any, claims: ReviewClaims) -> None:
    if order.receipt_id is None:
        raise OrderNotEnded(f"The order is {order.state}; wait for its receipt.", state=order.state)
    if order.redo_of is not None:
        raise NothingToReview("It delivers another order again: review that one.")
    receipts = orders.receipts_of(uow, caller=caller, order_id=order.id)
    if claims.receipt_id not in {receipt.id for receipt in receipts}:
        raise ReceiptMismatch("Name the receipt of this order.", receipt_id=claims.receipt_id)
    if order.state != "settled" and not order.chunks_delivered:
        raise NothingToReview(f"The order was {order.state} before anything was delivered.")


def _note(uow: UnitOfWork, order: Any, review: Any) -> None:
    if not sessions.is_open(uow, session_id=order.session_id):
        return
    body = {
        "review_id": review.id,
        "service_id": review.service_id,
        "verdict": review.verdict,
        "comment": review.comment,
        "tags": review.tags,
    }
    event = sessions.NewEvent("review.posted", review.buyer_id, body, order.id)
    sessions.append(uow, session_id=order.session_id, events=[event])


def _view(row: Any) -> ReviewView:
    return ReviewView(
        id=row.id,
        order_id=row.order_id,
        service_id=row.service_id,
        seller_id=row.seller_id,
        buyer_id=row.buyer_id,
        verdict=row.verdict,
        comment=row.comment,
        tags=row.tags,
        posted_at=rfc3339(row.posted_at),
        commitment=row.commitment,
        version=row.version,
    )
