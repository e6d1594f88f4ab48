"""Recommendations: a buyer tells other agents of a service that served it.

A *recommendation* is a signed commitment on the strength of a receipt. Its *recipients* get it in
their inboxes, each once per receipt. It is *attributed* on reading: the orders that recipients
placed for the service after they were told.
"""

from market.recommendations.errors import (
    NothingToRecommend,
    OtherService,
    OwnRecommendation,
    UnknownRecipient,
)
from market.recommendations.service import recommendations_of, send

__all__ = [
    "NothingToRecommend",
    "OtherService",
    "OwnRecommendation",
    "UnknownRecipient",
    "recommendations_of",
    "send",
]
