"""Quotes: the market's signed price for one request, redeemed by one order."""

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete, exists, func, literal_column, select, update

from market.base.caller import Caller
from market.base.clock import rfc3339, seconds_of
from market.base.sql import Sql, insert
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.catalog.caps import cap_of, check_cap, gate_of, order_cap_minor
from market.catalog.contracts import contract_of
from market.catalog.errors import (
    AboveMax,
    BuyersOnly,
    InputDoesNotFit,
    InputNotPlain,
    InputTooLong,
    OwnService,
    PriceExpired,
    PriceTooLarge,
    QuoteExpired,
    QuoteNotFound,
    QuoteUsed,
    ServiceNotFound,
    ServiceNotListed,
)
from market.catalog.tables import quotes, services
from market.protocol.canonical import NotCanonical, canonical, digest, sha256_text
from market.protocol.commitments import QUOTE, QuoteClaims
from market.protocol.manifest import Manifest
from market.protocol.misfits import explain
from market.protocol.money import MAX_MINOR
from market.protocol.pricing import Terms, affordable_units, plain_terms
from market.protocol.wire import AskQuote, QuoteView

MAX_INPUT: Final = 256 * 1024
"""The longest canonical input of a request, in bytes."""

KEEP_UNUSED: Final = timedelta(days=1)
"""How long an expired quote that nobody used can still be read."""

MAX_FORGOTTEN: Final = 1_000
"""Quotes that one turn of forgetting removes at most."""

_FIND_OFFER: Final = Sql(
    select(
        services.c.slug, services.c.seller_id, services.c.seller_principal_id, services.c.state,
        services.c.manifest_digest, services.c.price_until,
        cap_of(services.c.seller_id, services.c.currency).label("cap_minor"),
    ).where(services.c.id == bindparam("service_id"))
)  # fmt: skip
_ADD: Final = Sql(insert(quotes))
_FIND: Final = Sql(
    select(
        quotes.c.id, quotes.c.service_id, quotes.c.seller_id, quotes.c.buyer_id,
        quotes.c.manifest_digest, quotes.c.input_digest, quotes.c.units, quotes.c.amount_minor,
        quotes.c.currency, quotes.c.expires_at, quotes.c.redeemed_at, quotes.c.digest,
        quotes.c.quote, quotes.c.terms, quotes.c.referral_basis_points, quotes.c.origin_id,
        quotes.c.price_per,
    ).where(quotes.c.id == bindparam("quote_id"))
)  # fmt: skip
_INPUT: Final = Sql(select(quotes.c.input).where(quotes.c.id == bindparam("quote_id")))
_KEPT_BY_THE_QUOTE: Final = {"quote", "quoted_at", "redeemed_at"}
_now = bindparam("now", type_=UtcDateTime())
_REDEEM: Final = Sql(
    update(quotes)
    .where(
        quotes.c.id == bindparam("quote_id"),
        quotes.c.buyer_id == bindparam("buyer"),
        quotes.c.redeemed_at.is_(None),
        quotes.c.expires_at > _now,
        exists().where(services.c.id == quotes.c.service_id, services.c.state == "listed"),
        func.coalesce(cap_of(quotes.c.seller_id, quotes.c.currency), quotes.c.amount_minor)
        >= quotes.c.amount_minor,
    )
    .values(redeemed_at=_now)
    .returning(
        *[column for column in quotes.c if column.name not in _KEPT_BY_THE_QUOTE],
        # By name: SQLAlchemy leaves out the tables' names here on SQLite, where they are needed.
        gate_of(literal_column("quotes.seller_id"), literal_column("quotes.currency")).label(
            "gate"
        ),
    )
)
_FORGET: Final = Sql(
    delete(quotes).where(
        quotes.c.id.in_(
            select(quotes.c.id)
            .where(
                quotes.c.redeemed_at.is_(None),
                quotes.c.expires_at < bindparam("before", type_=UtcDateTime()),
            )
            .limit(MAX_FORGOTTEN)
        )
    )
)


def quote(uow: UnitOfWork, *, caller: Caller, ask: AskQuote) -> QuoteView:
    """Return a signed price for exactly this input, under the manifest as it now stands.

    It can be redeemed by one order of this buyer, until it expires. Noting it in the session that
    ``ask`` may name is left to the caller of this verb.

    Raises:
        BuyersOnly: the caller is no buyer.
        ServiceNotFound: there is no such service.
        ServiceNotListed: it was withdrawn, or its seller is suspended.
        OwnService: buyer and seller act for one principal.
        InputNotPlain, InputTooLong, InputDoesNotFit: the input cannot be ordered.
        PriceTooLarge: it would cost more than an amount can be.
        PriceExpired: the price of the current version has run out.
        AboveMax: it is more than the caller would pay at most.
        OrderCapExceeded: the seller may not get an order of this size now.
    """
    caller.need("order")
    if caller.kind != "buyer":
        raise BuyersOnly(f"The caller is registered as a {caller.kind}.")
    offer = _offer(uow, caller, ask.service_id)
    contract = contract_of(uow, manifest_digest=offer.manifest_digest)
    input_digest = _checked_input(contract.input, ask.input)
    manifest = contract.manifest
    terms, units = _terms(manifest, ask)
    check_cap(offer.cap_minor, amount_minor=terms.list_minor, currency=manifest.price.currency)
    expires_at = uow.now + timedelta(seconds=uow.settings.quote_ttl_seconds)
    if offer.price_until is not None:
        expires_at = min(expires_at, offer.price_until)
    claims = QuoteClaims(
        iss=uow.settings.issuer,
        aud=uow.settings.issuer,
        iat=seconds_of(uow.now),
        exp=seconds_of(expires_at),
        quote_id=uow.new_id("qte"),
        service_id=ask.service_id,
        seller_id=offer.seller_id,
        buyer_id=caller.agent_id,
        manifest_digest=offer.manifest_digest,
        input_digest=input_digest,
        units=units,
        amount_minor=terms.list_minor,
        currency=manifest.price.currency,
        terms=terms,
        referral_basis_points=manifest.policies.referral_basis_points,
    )
    _keep(uow, claims, manifest, slug=offer.slug, request=ask.input, expires_at=expires_at)
    return read_quote(uow, caller=caller, quote_id=claims.quote_id)


def read_quote(snapshot: Snapshot, *, caller: Caller, quote_id: str) -> QuoteView:
    """Return a quote to the buyer it was made for.

    Raises:
        QuoteNotFound: there is none of the caller's under this id.
    """
    row = snapshot.one(_FIND, quote_id=quote_id)
    if row is None or row.buyer_id != caller.agent_id:
        raise QuoteNotFound("There is no quote of yours under this id.")
    return QuoteView(
        id=row.id,
        service_id=row.service_id,
        seller_id=row.seller_id,
        buyer_id=row.buyer_id,
        manifest_digest=row.manifest_digest,
        input_digest=row.input_digest,
        units=row.units,
        amount_minor=row.amount_minor,
        currency=row.currency,
        expires_at=rfc3339(row.expires_at),
        digest=row.digest,
        quote=row.quote,
        terms=read_terms(row),
        referral_basis_points=row.referral_basis_points,
        origin_quote_id=row.origin_id,
    )


def read_terms(row: Any) -> Terms:
    """Return the terms of a quote's or an order's row."""
    if row.terms is None:
        return plain_terms(row.price_per, amount_minor=row.amount_minor, units=row.units)
    return msgspec.json.decode(row.terms, type=Terms)


def quoted_input(snapshot: Snapshot, *, quote_id: str) -> dict[str, Any]:
    """Return the input that a quote was made for, for the room that shows the order.

    Raises:
        QuoteNotFound: there is no such quote.
    """
    row = snapshot.one(_INPUT, quote_id=quote_id)
    if row is None:
        raise QuoteNotFound("There is no quote under this id.")
    request: dict[str, Any] = row.input
    return request


def redeem_quote(uow: UnitOfWork, *, quote_id: str, buyer_id: str) -> Any:
    """Use up a quote and return its row, with all that an order takes over from it.

    A newer version of the service does not matter: the quote holds until it expires.

    Raises:
        QuoteNotFound: there is none for this buyer.
        QuoteUsed: an order has it already.
        QuoteExpired: its time is over.
        ServiceNotListed: the seller withdrew the service, or is suspended.
        OrderCapExceeded: the seller may not get an order of this size now.
    """
    row = uow.one(_REDEEM, quote_id=quote_id, buyer=buyer_id, now=uow.now)
    if row is not None:
        return row
    found = uow.one(_FIND, quote_id=quote_id)
    if found is None or found.buyer_id != buyer_id:
        raise QuoteNotFound("There is no quote of yours under this id.")
    if found.redeemed_at is not None:
        raise QuoteUsed("Ask for a new quote to order again.", quote_id=quote_id)
    if found.expires_at <= uow.now:
        raise QuoteExpired(
            "Ask for a new quote.", quote_id=quote_id, expired_at=rfc3339(found.expires_at)
        )
    cap_minor = order_cap_minor(uow, seller_id=found.seller_id, currency=found.currency)
    check_cap(cap_minor, amount_minor=found.amount_minor, currency=found.currency)
    raise ServiceNotListed("The service was withdrawn.", service_id=found.service_id)


def forget_quotes(uow: UnitOfWork) -> int:
    """Remove quotes that expired unused long ago; return how many. Orders keep theirs."""
    return uow.run(_FORGET, before=uow.now - KEEP_UNUSED)


def _keep(
    uow: UnitOfWork,
    claims: QuoteClaims,
    manifest: Manifest,
    *,
    slug: str,
    request: dict[str, Any],
    expires_at: datetime,
) -> None:
    uow.run(
        _ADD,
        id=claims.quote_id,
        service_id=claims.service_id,
        slug=slug,
        seller_id=claims.seller_id,
        buyer_id=claims.buyer_id,
        manifest_digest=claims.manifest_digest,
        input=request,
        input_digest=claims.input_digest,
        units=claims.units,
        amount_minor=claims.amount_minor,
        currency=claims.currency,
        price_per=manifest.price.per,
        deliver_seconds=manifest.limits.deliver_seconds,
        max_chunks=manifest.limits.max_chunks,
        tags=manifest.tags,
        refund=manifest.policies.refund,
        refund_window_seconds=manifest.policies.refund_window_seconds,
        digest=digest(msgspec.to_builtins(claims)),
        quote=uow.signer.sign(claims, typ=QUOTE),
        quoted_at=uow.now,
        expires_at=expires_at,
        redeemed_at=None,
        terms=msgspec.json.encode(claims.terms).decode(),
        referral_basis_points=claims.referral_basis_points,
        origin_id=None,
        root_id=None,
    )


def _offer(uow: UnitOfWork, caller: Caller, service_id: str) -> Any:
    offer = uow.one(_FIND_OFFER, service_id=service_id)
    if offer is None:
        raise ServiceNotFound("There is no service under this id.")
    if offer.state != "listed":
        raise ServiceNotListed("The service was withdrawn.", service_id=service_id)
    if offer.price_until is not None and offer.price_until <= uow.now:
        raise PriceExpired(
            "Wait for the seller to publish a new price.",
            service_id=service_id,
            expired_at=rfc3339(offer.price_until),
        )
    if caller.principal_id is not None and caller.principal_id == offer.seller_principal_id:
        raise OwnService("A principal's buyers do not buy from its sellers.")
    return offer


def _terms(manifest: Manifest, ask: AskQuote) -> tuple[Terms, int]:
    """Return the terms for a request and its units: where these are a cap, as many as may be."""
    units = manifest.units_of(ask.input)
    if manifest.measure is not None and manifest.measure.is_cap:
        units = min(units, ask.max_units or units)
        if ask.max_minor is not None:
            units = affordable_units(manifest.price, ask.max_minor, at_most=units)
    terms = manifest.terms(max(units, 1))
    if terms.list_minor > MAX_MINOR:
        raise PriceTooLarge(f"{units} units cost more than one order may.", units=units)
    is_dear = ask.max_minor is not None and terms.list_minor > ask.max_minor
    if is_dear or (ask.max_units is not None and units > ask.max_units):
        raise AboveMax(
            "It costs more than the caller would pay at most.",
            amount_minor=terms.list_minor,
            units=max(units, 1),
        )
    return terms, units


def _checked_input(checker: Any, request: dict[str, Any]) -> str:
    """Return the digest of an input that can be ordered."""
    try:
        text = canonical(request)
    except NotCanonical as error:
        raise InputNotPlain(f"The input is refused: {error}.", path=f"${error.path}") from error
    if len(text) > MAX_INPUT:
        raise InputTooLong(
            f"The input has {len(text)} bytes.", input_bytes=len(text), max_bytes=MAX_INPUT
        )
    if not checker.is_valid(request):
        raise InputDoesNotFit(f"The input does not fit: {explain(checker, request)}.")
    return sha256_text(text)
