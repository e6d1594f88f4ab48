"""Catalog: what sellers offer, how buyers find it, and what it would cost.

A *manifest* says what a service can do, signed by its seller. A *service* is what is listed under
a manifest's id, in its current *version*; the id belongs to the seller that published it first.
Published versions never change and are addressed by digest; what is made of one (a *contract*:
decoded, schemas compiled) is kept in memory. A service is *listed*, *withdrawn* by its seller, or
*suspended* with its seller.

An *offer* is the standing price; a *quote* is the market's signed price for one input of one
buyer, with an expiry, and is *redeemed* by at most one order. *Search* ranks by text, trust and
price, and shows the parts of every score (``ranking``). A *counter-offer* is a lower price that a
buyer names for a quote's work; the seller answers with a signed offer, or not (``negotiating``).
"""

from market.catalog.caps import (
    OrderLimits,
    order_cap_minor,
    order_limits_of,
    set_order_limits,
)
from market.catalog.contracts import Contract, contract_of, manifest_of, output_checker
from market.catalog.counters import (
    counter_offer,
    counter_offers,
    counters_due,
    forget_counters,
    shown_to,
)
from market.catalog.counting import count_open_quotes, count_services, few_open_quotes
from market.catalog.errors import (
    AboveMax,
    BadCounter,
    BadManifestRefused,
    BuyersOnly,
    CounterEnded,
    CounterNotFound,
    CounterOpen,
    InputDoesNotFit,
    InputNotPlain,
    InputTooLong,
    NotFrozen,
    OfferMismatch,
    OrderCapExceeded,
    OwnService,
    PriceExpired,
    PriceTooLarge,
    PublishedMeanwhile,
    QuoteExpired,
    QuoteNotFound,
    QuoteStale,
    QuoteUsed,
    SellerFrozen,
    SellersOnly,
    ServiceNotFound,
    ServiceNotListed,
    ServiceTaken,
    TooManyCounters,
    TooManyRounds,
    VersionNotHigher,
)
from market.catalog.finding import quick_search, search
from market.catalog.freezing import (
    SMALL_ORDERS,
    begin_small_order,
    end_small_order,
    freeze,
    frozen_since,
    unfreeze,
)
from market.catalog.negotiating import (
    MAX_OPEN_OF_BUYER,
    MAX_OPEN_OF_SELLER,
    MAX_ROUNDS,
    answer_counter,
    decline_counter,
    expire_counter,
    make_counter,
)
from market.catalog.quotes import (
    KEEP_UNUSED,
    MAX_INPUT,
    forget_quotes,
    quote,
    quoted_input,
    read_quote,
    read_terms,
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
    "MAX_OPEN_OF_BUYER",
    "MAX_OPEN_OF_SELLER",
    "MAX_ROUNDS",
    "SMALL_ORDERS",
    "WEIGHTS",
    "AboveMax",
    "BadCounter",
    "BadManifestRefused",
    "BuyersOnly",
    "Contract",
    "CounterEnded",
    "CounterNotFound",
    "CounterOpen",
    "InputDoesNotFit",
    "InputNotPlain",
    "InputTooLong",
    "NotFrozen",
    "OfferMismatch",
    "OrderCapExceeded",
    "OrderLimits",
    "OwnService",
    "PriceExpired",
    "PriceTooLarge",
    "PublishedMeanwhile",
    "QuoteExpired",
    "QuoteNotFound",
    "QuoteStale",
    "QuoteUsed",
    "SearchQuery",
    "SellerFrozen",
    "SellersOnly",
    "ServiceNotFound",
    "ServiceNotListed",
    "ServiceTaken",
    "TooManyCounters",
    "TooManyRounds",
    "VersionNotHigher",
    "answer_counter",
    "begin_small_order",
    "contract_of",
    "count_open_quotes",
    "count_services",
    "counter_offer",
    "counter_offers",
    "counters_due",
    "decline_counter",
    "end_small_order",
    "expire_counter",
    "few_open_quotes",
    "forget_counters",
    "forget_quotes",
    "freeze",
    "frozen_since",
    "make_counter",
    "manifest_of",
    "order_cap_minor",
    "order_limits_of",
    "output_checker",
    "publish",
    "quick_search",
    "quote",
    "quoted_input",
    "read_quote",
    "read_terms",
    "redeem_quote",
    "reinstate_seller",
    "search",
    "service",
    "set_order_limits",
    "shown_to",
    "suspend_seller",
    "trust_report",
    "unfreeze",
    "withdraw",
]
