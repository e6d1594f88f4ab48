"""Refusals of the catalog."""

from market.base.errors import Conflict, Forbidden, Gone, Invalid, NotFound


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


class QuoteNotFound(NotFound):
    code = "quote_not_found"
    title = "There is no such quote"


class QuoteUsed(Conflict):
    code = "quote_used"
    title = "The quote was used for an order"


class QuoteExpired(Gone):
    code = "quote_expired"
    title = "The quote has expired"
