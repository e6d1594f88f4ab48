"""Evaluating one offer: its manifest against the need, and its price for the real workload."""

from collections.abc import Awaitable, Callable

from buyer_agents.client import MarketClient
from buyer_agents.errors import Refused
from buyer_agents.needs import Candidate, Need, Offer
from market.protocol.canonical import digest
from market.protocol.events import Reason
from market.protocol.manifest import BadManifest, check_manifest, compile_schema
from market.protocol.misfits import explain
from market.protocol.money import Money
from market.protocol.signing import BadSignature
from market.protocol.wire import QuoteView, ServiceView

_INVALID = 422

Bargained = Callable[[QuoteView], Awaitable[QuoteView]]
"""Tries to have a quote's work for less; returns what came of it."""


class Unfit(Exception):
    """The offer does not serve the need; ``amount_minor`` is its price, if it came to a quote."""

    def __init__(self, reason: Reason, detail: str, amount_minor: int | None = None) -> None:
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail
        self.amount_minor = amount_minor


class Outdated(Unfit):
    """The quote is for another version of the manifest than was read."""


async def appraise(
    market: MarketClient,
    candidate: Candidate,
    need: Need,
    *,
    session_id: str,
    bargained: Bargained,
) -> Offer:
    """Return the candidate with its manifest and a binding quote for the need's input.

    ``bargained`` may find a better quote for the same work.

    Raises:
        Unfit: the manifest does not fit the need, or the price is too high.
    """
    service = await market.service(candidate.service_id, session_id=session_id)
    _check_fit(service, need)
    try:
        quote = await _quote(market, service, need, session_id)
    except Outdated:
        # A seller that follows demand has just published another version: once more.
        service = await market.service(candidate.service_id, session_id=session_id)
        _check_fit(service, need)
        quote = await _quote(market, service, need, session_id)
    quote = await bargained(quote)
    if need.max_price_minor is not None and quote.amount_minor > need.max_price_minor:
        price = Money(quote.amount_minor, quote.currency)
        limit = Money(need.max_price_minor, need.currency)
        raise Unfit("price", f"{price} is above {limit}", quote.amount_minor)
    return Offer(
        found=candidate.found, amount_minor=quote.amount_minor, service=service, quote=quote
    )


def _check_fit(service: ServiceView, need: Need) -> None:
    try:
        manifest = check_manifest(service.manifest)
    except BadManifest as error:
        raise Unfit("capability", f"its manifest is wrong: {error}") from error
    checker = compile_schema(manifest.input, "input")
    if not checker.is_valid(dict(need.input)):
        raise Unfit("schema_mismatch", f"input: {explain(checker, dict(need.input))}")
    offered = manifest.output.get("properties", {})
    missing = [name for name in need.wants if name not in offered]
    if missing:
        raise Unfit("schema_mismatch", f"its output has no {', '.join(missing)}")
    if need.max_p95_ms is not None and manifest.limits.p95_ms > need.max_p95_ms:
        raise Unfit("latency", f"it promises {manifest.limits.p95_ms} ms, not {need.max_p95_ms}")


async def _quote(
    market: MarketClient, service: ServiceView, need: Need, session_id: str
) -> QuoteView:
    try:
        quote = await market.ask_quote(service.id, need.input, session_id=session_id)
        claims = await market.read_quote(quote)
    except Refused as refused:
        is_about_input = refused.status == _INVALID
        raise Unfit("schema_mismatch" if is_about_input else "other", str(refused)) from refused
    except BadSignature as error:
        raise Unfit("identity", str(error)) from error
    terms = (claims.input_digest, claims.currency)
    if terms != (digest(dict(need.input)), need.currency):
        raise Unfit("other", "the quote is for another input or currency")
    if claims.manifest_digest != service.manifest_digest:
        raise Outdated("other", "the quote is for another version of the manifest")
    return quote
