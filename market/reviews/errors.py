"""Refusals of reviews."""

from market.base.errors import Conflict, Invalid, NotFound


class OrderNotEnded(Conflict):
    code = "order_not_ended"
    title = "The order has not ended"


class NothingToReview(Conflict):
    code = "nothing_to_review"
    title = "Nothing was delivered"


class ReceiptMismatch(Invalid):
    code = "receipt_mismatch"
    title = "The receipt is not the order's"


class AlreadyReviewed(Conflict):
    code = "already_reviewed"
    title = "The order has a review that stands"


class ReviewNotFound(NotFound):
    code = "review_not_found"
    title = "There is no such review"
