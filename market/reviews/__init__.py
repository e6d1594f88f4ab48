"""Reviews: what a buyer says of an order that has ended.

A *review* is a signed commitment, ``good`` or ``bad`` with an optional comment, tied to an order
by its receipt: no receipt, no review, and one review per order, which may change for a day; every
version is kept. Of an order that ended without
anything delivered there is nothing to say; the ledger has said it. Every review is a fact for
trust, where what the ledger saw weighs more.
"""

from market.reviews.errors import (
    AlreadyReviewed,
    NothingToReview,
    OrderNotEnded,
    ReceiptMismatch,
    ReviewNotFound,
)
from market.reviews.service import MAX_VERSIONS, post, reviews_of, versions_of

__all__ = [
    "MAX_VERSIONS",
    "AlreadyReviewed",
    "NothingToReview",
    "OrderNotEnded",
    "ReceiptMismatch",
    "ReviewNotFound",
    "post",
    "reviews_of",
    "versions_of",
]
