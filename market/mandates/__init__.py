"""Mandates: a principal lets its buyer spend, within limits that the market enforces.

An *open mandate* is the principal's signed text: limits, expiry, the buyer, one currency. Each
order takes its price out of it (``spend``) in the unit of work that holds the money; what was not
used comes back (``give_back``). The counters are the market's own and hold over all sessions and
workers. A limit that is absent does not limit; one that the market does not know is refused.

*Periods* are windows of fixed length, counted from the mandate's creation. Above
``approval_over_minor`` a human must approve the order. A mandate ends by expiry or when it is
*revoked*; money that is already held stays held.
"""

from market.mandates.errors import (
    BadMandate,
    BuyerNotYours,
    MandateCurrency,
    MandateEnded,
    MandateExceeded,
    MandateForbids,
    MandateRequired,
    MandateReused,
    PrincipalsOnly,
)
from market.mandates.service import MAX_LIFE, give, give_back, require_for, revoke, spend
from market.mandates.views import list_mandates, mandate

__all__ = [
    "MAX_LIFE",
    "BadMandate",
    "BuyerNotYours",
    "MandateCurrency",
    "MandateEnded",
    "MandateExceeded",
    "MandateForbids",
    "MandateRequired",
    "MandateReused",
    "PrincipalsOnly",
    "give",
    "give_back",
    "list_mandates",
    "mandate",
    "require_for",
    "revoke",
    "spend",
]
