"""Verbs of reviews."""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import bindparam, select, update

from market import catalog, orders, sessions, trust
from market.base.caller import Caller, Signed
from market.base.clock import rfc3339
from market.base.paging import before_of, page_of
from market.base.sql import Sql, insert
from market.base.work import Snapshot, UnitOfWork
from market.protocol.commitments import ReviewClaims
from market.protocol.wire import Page, ReviewVersionView, ReviewView
from market.reviews.errors import (
    AlreadyReviewed,
    NothingToReview,
    OrderNotEnded,
    ReceiptMismatch,
    ReviewNotFound,
)
from market.reviews.tables import review_versions, reviews

CHANGEABLE: Final = timedelta(hours=24)
"""How long a buyer may say something else."""

MAX_VERSIONS: Final = 20

_ADD: Final = Sql(insert(reviews))
_CHANGE: Final = Sql(
    update(reviews)
    .where(reviews.c.order_id == bindparam("of_order"))
    .values(
        {
            name: bindparam(f"new_{name}", type_=reviews.c[name].type)
            for name in ("receipt_id", "verdict", "comment", "tags", "commitment", "version")
        }
    )
)
_ADD_VERSION: Final = Sql(insert(review_versions))
_VERSIONS: Final = Sql(
    select(review_versions)
    .where(review_versions.c.review_id == bindparam("review_id"))
    .order_by(review_versions.c.version)
)
_OF_ORDER: Final = Sql(select(reviews).where(reviews.c.order_id == bindparam("order_id")))
_OF_SERVICE: Final = Sql(
    select(reviews)
    .where(reviews.c.service_id == bindparam("service_id"), reviews.c.id < bindparam("before"))
    .order_by(reviews.c.id.desc())
    .limit(bindparam("limit"))
)


def post(uow: UnitOfWork, *, caller: Caller, signed: Signed[ReviewClaims]) -> ReviewView:
    """Keep a buyer's review of its order, tell trust, and note it in the journey if that is open.

    For a day the buyer may say something else: the latest version counts, and all are kept. Saying
    the same again changes nothing.

    Raises:
        OrderNotFound: the caller placed no such order.
        OrderNotEnded, NothingToReview: there is nothing to say of it, yet or ever.
        ReceiptMismatch: the receipt is not one of this order's.
        AlreadyReviewed: its day is over, or it was changed too often.
    """
    caller.need("review")
    claims = signed.claims
    # Locked, so that refunds and other versions of the review do not come between.
    order = orders.locked(uow, order_id=claims.order_id)
    if order.buyer_id != caller.agent_id:
        raise orders.OrderNotFound("There is no order under this id that you take part in.")
    first = uow.one(_OF_ORDER, order_id=order.id)
    if first is not None and _says(first, claims):
        return _view(first)
    _check(uow, caller, order, claims)
    if first is not None:
        _check_changeable(uow, first)
    said = {
        "receipt_id": claims.receipt_id,
        "verdict": claims.verdict,
        "comment": claims.comment,
        "tags": claims.tags,
        "commitment": signed.token,
        "version": first.version + 1 if first else 1,
    }
    if first is not None:
        uow.run(
            _CHANGE, of_order=order.id, **{f"new_{name}": value for name, value in said.items()}
        )
    else:
        uow.run(
            _ADD,
            id=uow.new_id("rev"),
            order_id=order.id,
            service_id=order.service_id,
            seller_id=order.seller_id,
            buyer_id=order.buyer_id,
            posted_at=uow.now,
            **said,
        )
    kept = uow.one(_OF_ORDER, order_id=order.id)
    _keep_version(uow, order, kept)
    return _view(kept)


def versions_of(snapshot: Snapshot, *, review_id: str) -> list[ReviewVersionView]:
    """Return everything that was said in a review, the first version first.

    Raises:
        ReviewNotFound: there is no such review.
    """
    rows = snapshot.all(_VERSIONS, review_id=review_id)
    if not rows:
        raise ReviewNotFound("There is no review under this id.")
    return [
        ReviewVersionView(
            version=row.version,
            verdict=row.verdict,
            comment=row.comment,
            tags=row.tags,
            posted_at=rfc3339(row.posted_at),
            commitment=row.commitment,
        )
        for row in rows
    ]


def reviews_of(
    snapshot: Snapshot, *, service_id: str, cursor: str | None, limit: int
) -> Page[ReviewView]:
    """Return what buyers said of a service, newest first. Reviews are public.

    Raises:
        ServiceNotFound: there is no such service.
    """
    catalog.service(snapshot, service_id=service_id)
    rows = snapshot.all(
        _OF_SERVICE, service_id=service_id, before=before_of(cursor, "rev"), limit=limit + 1
    )
    return page_of(rows, limit=limit, view=_view, key=lambda row: (row.id,))


def _says(review: Any, claims: ReviewClaims) -> bool:
    said = (review.receipt_id, review.verdict, review.comment, review.tags)
    return said == (claims.receipt_id, claims.verdict, claims.comment, claims.tags)


def _check_changeable(uow: UnitOfWork, review: Any) -> None:
    if uow.now > review.posted_at + CHANGEABLE:
        raise AlreadyReviewed("A review may change for 24 hours.", review_id=review.id)
    if review.version >= MAX_VERSIONS:
        raise AlreadyReviewed(f"A review has at most {MAX_VERSIONS} versions.", review_id=review.id)


def _keep_version(uow: UnitOfWork, order: Any, review: Any) -> None:
    """Keep what is said now beside what was said before; tell trust and the journey."""
    uow.run(
        _ADD_VERSION,
        review_id=review.id,
        version=review.version,
        verdict=review.verdict,
        comment=review.comment,
        tags=review.tags,
        posted_at=uow.now,
        commitment=review.commitment,
    )
    trust.record(
        uow,
        kind="review.good" if review.verdict == "good" else "review.bad",
        order_id=order.id,
        service_id=order.service_id,
        seller_id=order.seller_id,
        buyer_id=order.buyer_id,
        currency=order.currency,
        version=review.version,
    )
    if review.verdict == "bad":
        orders.freeze_if_failing(uow, seller_id=order.seller_id)
    _note(uow, order, review)


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
