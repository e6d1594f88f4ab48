"""Reviews: what a buyer says of an order that has ended.

A *review* is a signed commitment, ``good`` or ``bad`` with an optional comment, tied to an order
by its receipt: no receipt, no review, and one review per order. Of an order that ended without
anything delivered there is nothing to say; the ledger has said it. Every review is a fact for
trust, where what the ledger saw weighs more.
"""

from market.reviews.errors import AlreadyReviewed, NothingToReview, OrderNotEnded, ReceiptMismatch
from market.reviews.service import post, reviews_of

__all__ = [
    "AlreadyReviewed",
    "NothingToReview",
    "OrderNotEnded",
    "ReceiptMismatch",
    "post",
    "reviews_of",
]
