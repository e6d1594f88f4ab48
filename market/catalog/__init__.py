"""Catalog: what sellers offer, how buyers find it, and what it would cost.

A *manifest* says what a service can do, signed by its seller. A *service* is what is listed under
a manifest's id, in its current *version*; the id belongs to the seller that published it first.
Published versions never change and are addressed by digest; what is made of one (a *contract*:
decoded, schemas compiled) is kept in memory. A service is *listed*, *withdrawn* by its seller, or
*suspended* with its seller.

An *offer* is the standing price; a *quote* is the market's signed price for one input of one
buyer, with an expiry, and is *redeemed* by at most one order. *Search* ranks by text, trust and
price, and shows the parts of every score (``ranking``).
"""

from market.catalog.contracts import Contract, contract_of, manifest_of, output_checker
from market.catalog.errors import (
    BadManifestRefused,
    BuyersOnly,
    InputDoesNotFit,
    InputNotPlain,
    InputTooLong,
    OwnService,
    PriceTooLarge,
    PublishedMeanwhile,
    QuoteExpired,
    QuoteNotFound,
    QuoteUsed,
    SellersOnly,
    ServiceNotFound,
    ServiceNotListed,
    ServiceTaken,
    VersionNotHigher,
)
from market.catalog.finding import search
from market.catalog.quotes import (
    KEEP_UNUSED,
    MAX_INPUT,
    forget_quotes,
    quote,
    quoted_input,
    read_quote,
    redeem_quote,
)
from market.catalog.ranking import MAX_CANDIDATES, WEIGHTS, SearchQuery
from market.catalog.service import (
    publish,
    reinstate_seller,
    service,
    suspend_seller,
    trust_report,
    withdraw,
)

__all__ = [
    "KEEP_UNUSED",
    "MAX_CANDIDATES",
    "MAX_INPUT",
    "WEIGHTS",
    "BadManifestRefused",
    "BuyersOnly",
    "Contract",
    "InputDoesNotFit",
    "InputNotPlain",
    "InputTooLong",
    "OwnService",
    "PriceTooLarge",
    "PublishedMeanwhile",
    "QuoteExpired",
    "QuoteNotFound",
    "QuoteUsed",
    "SearchQuery",
    "SellersOnly",
    "ServiceNotFound",
    "ServiceNotListed",
    "ServiceTaken",
    "VersionNotHigher",
    "contract_of",
    "forget_quotes",
    "manifest_of",
    "output_checker",
    "publish",
    "quote",
    "quoted_input",
    "read_quote",
    "redeem_quote",
    "reinstate_seller",
    "search",
    "service",
    "suspend_seller",
    "trust_report",
    "withdraw",
]
