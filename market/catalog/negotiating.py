"""Negotiating: a buyer names another price, and the seller answers with a signed offer of its own.

A *counter-offer* belongs to one quote and waits until that quote expires. The seller's answer is an
``offer+jwt`` for at most the quoted amount; out of it comes a new quote, for the same input under
the same manifest, which carries the seller's signature within the market's. An answer above the
quoted amount ends the bargaining: the manifest's price is signed, and nobody pays more (S9).
"""

from datetime import timedelta
from typing import Any, Final, Literal, NamedTuple

import msgspec
from sqlalchemy import bindparam, case, func, select, update

from market import trust
from market.base.caller import Caller, Signed
from market.base.clock import EPOCH, rfc3339, seconds_of
from market.base.sql import PerDialect, Sql, insert, insert_ignore
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.catalog.counters import view
from market.catalog.errors import (
    BadCounter,
    BuyersOnly,
    CounterEnded,
    CounterNotFound,
    CounterOpen,
    OfferMismatch,
    QuoteExpired,
    QuoteNotFound,
    QuoteStale,
    QuoteUsed,
    ServiceNotListed,
    TooManyCounters,
    TooManyRounds,
)
from market.catalog.quotes import read_terms
from market.catalog.tables import counters, quotes, services
from market.protocol.canonical import digest
from market.protocol.commitments import QUOTE, OfferClaims, QuoteClaims
from market.protocol.wire import CounterState, CounterView, MakeCounter

MAX_ROUNDS: Final = 5
"""Counter-offers over one piece of work, from its first quote on."""

MAX_OPEN_OF_BUYER: Final = 20
MAX_OPEN_OF_SELLER: Final = 200
"""Counter-offers of a buyer, and to a seller, that may wait for an answer at once."""

_QUOTE: Final = Sql(select(quotes).where(quotes.c.id == bindparam("quote_id")))
_OFFERED: Final = Sql(
    select(services.c.state, services.c.manifest_digest, services.c.price_until).where(
        services.c.id == bindparam("service_id")
    )
)
_open = case((counters.c.state == "open", 1), else_=0)
_ROUNDS: Final = Sql(
    select(
        func.coalesce(func.max(counters.c.round), 0).label("last"),
        func.coalesce(func.max(_open), 0).label("is_open"),
    ).where(counters.c.root_id == bindparam("root_id"))
)


def _open_of(side: Literal["buyer_id", "seller_id"]) -> Sql:
    return Sql(
        select(func.count().label("number")).where(
            counters.c[side] == bindparam("agent_id"), counters.c.state == "open"
        )
    )


_OPEN_OF_BUYER: Final = _open_of("buyer_id")
_OPEN_OF_SELLER: Final = _open_of("seller_id")
_ADD: Final = Sql(insert_ignore(counters))
_ADD_QUOTE: Final = Sql(insert(quotes))
_find = select(counters).where(counters.c.id == bindparam("counter_id"))
_FIND: Final = Sql(_find)
_LOCK: Final = Sql(PerDialect(_find, _find.with_for_update()))
_END: Final = Sql(
    update(counters)
    .where(counters.c.id == bindparam("counter_id"), counters.c.state == "open")
    .values(
        state=bindparam("new_state"),
        detail=bindparam("why"),
        offer=bindparam("said"),
        answer_quote_id=bindparam("new_quote_id"),
        ended_at=bindparam("now", type_=UtcDateTime()),
    )
)


class Ended(NamedTuple):
    """A counter-offer that has its end; ``is_repeat``: it had this one before."""

    counter: CounterView
    is_repeat: bool


def make_counter(
    uow: UnitOfWork, *, caller: Caller, quote_id: str, request: MakeCounter
) -> CounterView:
    """Name a lower price for the work of a quote; it waits for the seller until the quote expires.

    The quote itself stays good at its own price.

    Raises:
        BuyersOnly, QuoteNotFound, QuoteUsed, QuoteExpired: it is no quote to bargain over.
        BadCounter: the amount is not below the quoted one.
        QuoteStale: the seller has published another version since.
        ServiceNotListed: the service was withdrawn, or its seller is suspended.
        CounterOpen, TooManyRounds, TooManyCounters: as they say.
    """
    caller.need("order")
    if caller.kind != "buyer":
        raise BuyersOnly(f"The caller is registered as a {caller.kind}.")
    row = _bargained(uow, caller, quote_id)
    if request.amount_minor >= row.amount_minor:
        raise BadCounter(
            "Name less than the quote does, or accept it.", amount_minor=row.amount_minor
        )
    _check_offered(uow, row)
    root_id = row.root_id or row.id
    counter_id = uow.new_id("ctr")
    added = uow.run(
        _ADD,
        id=counter_id,
        quote_id=row.id,
        quote_digest=row.digest,
        root_id=root_id,
        round=_next_round(uow, root_id, row),
        session_id=request.session_id,
        service_id=row.service_id,
        slug=row.slug,
        seller_id=row.seller_id,
        buyer_id=row.buyer_id,
        units=row.units,
        quoted_minor=row.amount_minor,
        amount_minor=request.amount_minor,
        currency=row.currency,
        note=request.note,
        state="open",
        detail="",
        offer=None,
        answer_quote_id=None,
        asked_at=uow.now,
        expires_at=row.expires_at,
        ended_at=None,
    )
    if not added:
        raise CounterOpen("Wait for the answer to the one that is open.")
    return view(uow.one(_FIND, counter_id=counter_id))


def answer_counter(
    uow: UnitOfWork, *, caller: Caller, counter_id: str, signed: Signed[OfferClaims]
) -> Ended:
    """Answer a counter-offer as its seller: the buyer gets a new quote at the signed amount.

    One above the quoted amount is recorded as ``refused``, with a fact against the seller. The
    same answer again changes nothing.

    Raises:
        CounterNotFound: none of the caller's to answer.
        CounterEnded: it has its answer, or its time is over.
        OfferMismatch: the offer is for another quote, or is over already.
        QuoteStale, ServiceNotListed: the seller offers this no more.
    """
    caller.need("order")
    row = _sellers(uow, caller, counter_id)
    if row.offer == signed.token:
        return Ended(view(row), is_repeat=True)
    _check_open(uow, row)
    quote = uow.one(_QUOTE, quote_id=row.quote_id)
    until = _check_offer(uow, signed.claims, row, quote)
    if signed.claims.amount_minor > quote.amount_minor:
        return Ended(_refuse(uow, row, signed), is_repeat=False)
    quote_id = _requote(uow, quote, signed, until)
    ended = _end(uow, row, "answered", detail="", offer=signed.token, answer_quote_id=quote_id)
    return Ended(ended, is_repeat=False)


def decline_counter(uow: UnitOfWork, *, caller: Caller, counter_id: str, reason: str) -> Ended:
    """Say no to a counter-offer as its seller; the quote stands. A repeat changes nothing.

    Raises:
        CounterNotFound: none of the caller's to answer.
        CounterEnded: it has its answer, or its time is over.
    """
    caller.need("order")
    row = _sellers(uow, caller, counter_id)
    if row.state == "declined":
        return Ended(view(row), is_repeat=True)
    _check_open(uow, row)
    return Ended(_end(uow, row, "declined", detail=reason), is_repeat=False)


def expire_counter(uow: UnitOfWork, *, counter_id: str) -> CounterView | None:
    """End a counter-offer whose time is over; None if someone was faster."""
    row = uow.one(_LOCK, counter_id=counter_id)
    if row is None or row.state != "open" or row.expires_at > uow.now:
        return None
    return _end(uow, row, "expired", detail="The seller did not answer in time.")


def _end(
    uow: UnitOfWork,
    row: Any,
    state: CounterState,
    *,
    detail: str,
    offer: str | None = None,
    answer_quote_id: str | None = None,
) -> CounterView:
    """Give a counter-offer its one end."""
    is_first = uow.run(
        _END,
        counter_id=row.id,
        new_state=state,
        why=detail,
        said=offer,
        new_quote_id=answer_quote_id,
        now=uow.now,
    )
    assert is_first, "the row is locked, and was open"
    return view(uow.one(_FIND, counter_id=row.id))


def _bargained(uow: UnitOfWork, caller: Caller, quote_id: str) -> Any:
    """Return a quote that its buyer may still bargain over."""
    row = uow.one(_QUOTE, quote_id=quote_id)
    if row is None or row.buyer_id != caller.agent_id:
        raise QuoteNotFound("There is no quote of yours under this id.")
    if row.redeemed_at is not None:
        raise QuoteUsed("It was paid for at its price.", quote_id=quote_id)
    if row.expires_at <= uow.now:
        raise QuoteExpired(
            "Ask for a new quote.", quote_id=quote_id, expired_at=rfc3339(row.expires_at)
        )
    return row


def _check_offered(uow: UnitOfWork, quote: Any) -> Any:
    """Return the service of a quote, if it is still offered in the version that was quoted."""
    offered = uow.one(_OFFERED, service_id=quote.service_id)
    if offered.state != "listed":
        raise ServiceNotListed("The service was withdrawn.", service_id=quote.service_id)
    if offered.manifest_digest != quote.manifest_digest:
        raise QuoteStale(
            "The seller has published another version; bargain over a new quote.",
            manifest_digest=offered.manifest_digest,
        )
    return offered


def _next_round(uow: UnitOfWork, root_id: str, quote: Any) -> int:
    rounds = uow.one(_ROUNDS, root_id=root_id)
    if rounds.is_open:
        raise CounterOpen("Wait for the answer to the one that is open.")
    if rounds.last >= MAX_ROUNDS:
        raise TooManyRounds(f"There are at most {MAX_ROUNDS} rounds.", max_rounds=MAX_ROUNDS)
    for agent_id, sql, most in (
        (quote.buyer_id, _OPEN_OF_BUYER, MAX_OPEN_OF_BUYER),
        (quote.seller_id, _OPEN_OF_SELLER, MAX_OPEN_OF_SELLER),
    ):
        if uow.one(sql, agent_id=agent_id).number >= most:
            raise TooManyCounters("Wait until some of the open ones are answered.", max_open=most)
    return int(rounds.last) + 1


def _sellers(uow: UnitOfWork, caller: Caller, counter_id: str) -> Any:
    """Return, locked, a counter-offer that the caller is to answer."""
    row = uow.one(_LOCK, counter_id=counter_id)
    if row is None or row.seller_id != caller.agent_id:
        raise CounterNotFound("There is no counter-offer of yours under this id.")
    return row


def _check_open(uow: UnitOfWork, row: Any) -> None:
    if row.state != "open" or row.expires_at <= uow.now:
        state = "expired" if row.state == "open" else row.state
        raise CounterEnded(f"The counter-offer is {state}.", state=state)


def _check_offer(uow: UnitOfWork, claims: OfferClaims, row: Any, quote: Any) -> Any:
    """Return until when an offer holds that is for this counter-offer."""
    said = {
        "counter_id": (claims.counter_id, row.id),
        "quote_id": (claims.quote_id, quote.id),
        "quote_digest": (claims.quote_digest, quote.digest),
        "currency": (claims.currency, quote.currency),
    }
    for field, (signed, meant) in said.items():
        if signed != meant:
            raise OfferMismatch(f"The signed {field} is not that of the quote.", field=field)
    offered = _check_offered(uow, quote)
    ends = [
        EPOCH + timedelta(seconds=claims.exp),
        uow.now + timedelta(seconds=uow.settings.quote_ttl_seconds),
    ]
    if offered.price_until is not None:
        ends.append(offered.price_until)
    until = min(ends)
    if until <= uow.now:
        raise OfferMismatch("The offer is over already.", field="exp")
    return until


def _refuse(uow: UnitOfWork, row: Any, signed: Signed[OfferClaims]) -> CounterView:
    """S9: the price is signed; one who asks for more has that counted against it."""
    trust.record_price_change(
        uow,
        service_id=row.service_id,
        seller_id=row.seller_id,
        manifest_digest=row.id,
        is_raise=True,
    )
    detail = f"The seller asked for {signed.claims.amount_minor}, above the quoted amount."
    return _end(uow, row, "refused", detail=detail, offer=signed.token)


def _requote(uow: UnitOfWork, quote: Any, signed: Signed[OfferClaims], until: Any) -> str:
    """Keep a new quote for what another one is for, at the amount that its seller signed."""
    claims = QuoteClaims(
        iss=uow.settings.issuer,
        aud=uow.settings.issuer,
        iat=seconds_of(uow.now),
        exp=seconds_of(until),
        quote_id=uow.new_id("qte"),
        service_id=quote.service_id,
        seller_id=quote.seller_id,
        buyer_id=quote.buyer_id,
        manifest_digest=quote.manifest_digest,
        input_digest=quote.input_digest,
        units=quote.units,
        amount_minor=signed.claims.amount_minor,
        currency=quote.currency,
        terms=read_terms(quote),
        referral_basis_points=quote.referral_basis_points,
        origin_quote_id=quote.id,
        offer=signed.token,
    )
    copied = quote._asdict() | {
        "id": claims.quote_id,
        "amount_minor": claims.amount_minor,
        "terms": msgspec.json.encode(claims.terms).decode(),
        "digest": digest(msgspec.to_builtins(claims)),
        "quote": uow.signer.sign(claims, typ=QUOTE),
        "quoted_at": uow.now,
        "expires_at": until,
        "redeemed_at": None,
        "origin_id": quote.id,
        "root_id": quote.root_id or quote.id,
    }
    uow.run(_ADD_QUOTE, **copied)
    return claims.quote_id
