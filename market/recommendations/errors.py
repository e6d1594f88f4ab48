"""Refusals of recommendations."""

from market.base.errors import Conflict, Invalid


class OtherService(Invalid):
    code = "receipt_for_other_service"
    title = "The receipt is for another service"


class UnknownRecipient(Invalid):
    code = "unknown_recipient"
    title = "A recipient is no agent of this market"


class OwnRecommendation(Invalid):
    code = "own_recommendation"
    title = "An agent does not recommend to itself"


class NothingToRecommend(Conflict):
    code = "nothing_to_recommend"
    title = "Nothing was delivered"
