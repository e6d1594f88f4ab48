"""Mandates: a principal lets its buyer spend, within limits that the market enforces.

An *open mandate* is the principal's signed text: limits, expiry, the buyer, one currency. Each
order takes its price out of it (``spend``) in the unit of work that holds the money; what was not
used comes back (``give_back``). The counters are the market's own and hold over all sessions and
workers. A limit that is absent does not limit; one that the market does not know is refused.

*Periods* are windows of fixed length, counted from the mandate's creation. Above
``approval_over_minor`` a human must approve the order. A mandate ends by expiry or when it is
*revoked*; money that is already held stays held.

A mandate may come in the wire form of AP2 0.2 (``give_ap2``). Its constraints become limits as far
as limits can say them; each order then closes it (``read_presented``, ``consume``), and what limits
cannot say is checked against the principal's own text.
"""

from market.mandates.ap2 import (
    OpenedAp2,
    References,
    consume,
    give_ap2,
    open_ap2,
    open_mandate,
    references_of,
)
from market.mandates.closing import Closed, OpenMandate, read_presented
from market.mandates.deriving import instrument_of, pisp_of
from market.mandates.errors import (
    Ap2Refused,
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
    "Ap2Refused",
    "BadMandate",
    "BuyerNotYours",
    "Closed",
    "MandateCurrency",
    "MandateEnded",
    "MandateExceeded",
    "MandateForbids",
    "MandateRequired",
    "MandateReused",
    "OpenMandate",
    "OpenedAp2",
    "PrincipalsOnly",
    "References",
    "consume",
    "give",
    "give_ap2",
    "give_back",
    "instrument_of",
    "list_mandates",
    "mandate",
    "open_ap2",
    "open_mandate",
    "pisp_of",
    "read_presented",
    "references_of",
    "require_for",
    "revoke",
    "spend",
]
