"""Refusals of the catalog."""

from market.base.errors import Conflict, Forbidden, Gone, Invalid, Limited, NotFound


class SellersOnly(Forbidden):
    code = "sellers_only"
    title = "Only a seller publishes services"


class BuyersOnly(Forbidden):
    code = "buyers_only"
    title = "Only a buyer asks for quotes"


class OwnService(Forbidden):
    code = "own_service"
    title = "Buyer and seller act for the same principal"


class BadManifestRefused(Invalid):
    code = "bad_manifest"
    title = "The manifest cannot be published"


class ServiceTaken(Conflict):
    code = "service_taken"
    title = "Another seller has published a service under this id"


class VersionNotHigher(Conflict):
    code = "version_not_higher"
    title = "A new version must be higher than the published one"


class PublishedMeanwhile(Conflict):
    code = "published_meanwhile"
    title = "The service was published by someone else at the same moment"


class ServiceNotFound(NotFound):
    code = "service_not_found"
    title = "There is no such service"


class ServiceNotListed(Gone):
    code = "service_not_listed"
    title = "The service is no longer offered"


class InputNotPlain(Invalid):
    code = "input_not_plain"
    title = "The input has no agreed JSON form"


class InputTooLong(Invalid):
    code = "input_too_long"
    title = "The input is too long"


class InputDoesNotFit(Invalid):
    code = "input_does_not_fit"
    title = "The input does not fit the service's schema"


class PriceTooLarge(Invalid):
    code = "price_too_large"
    title = "The price is above the largest amount"


class PriceExpired(Gone):
    code = "price_expired"
    title = "The price of the service has run out"


class AboveMax(Conflict):
    code = "above_max"
    title = "The price is above what the buyer would pay at most"


class BadCounter(Invalid):
    code = "bad_counter"
    title = "A counter-offer names less than the quote"


class CounterNotFound(NotFound):
    code = "counter_not_found"
    title = "There is no such counter-offer"


class CounterOpen(Conflict):
    code = "counter_open"
    title = "A counter-offer for this work waits for its answer"


class CounterEnded(Conflict):
    code = "counter_ended"
    title = "The counter-offer has its answer, or its time is over"


class TooManyRounds(Conflict):
    code = "too_many_rounds"
    title = "This work was bargained over often enough"


class TooManyCounters(Limited):
    code = "too_many_counters"
    title = "Too many counter-offers wait for an answer"


class OfferMismatch(Invalid):
    code = "offer_mismatch"
    title = "The signed offer does not match the counter-offer"


class QuoteStale(Conflict):
    code = "quote_stale"
    title = "The seller has published another version since the quote"


class QuoteNotFound(NotFound):
    code = "quote_not_found"
    title = "There is no such quote"


class QuoteUsed(Conflict):
    code = "quote_used"
    title = "The quote was used for an order"


class QuoteExpired(Gone):
    code = "quote_expired"
    title = "The quote has expired"


class OrderCapExceeded(Conflict):
    code = "order_cap_exceeded"
    title = "The order is larger than the seller may get now"


class SellerFrozen(Conflict):
    code = "seller_frozen"
    title = "The seller is frozen, and has as many orders as it may"


class NotFrozen(Conflict):
    code = "not_frozen"
    title = "The seller is not frozen"
