"""Giving a mandate in the wire form of AP2, and looking one up to close it."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, select

from market import identity
from market.base.caller import Caller
from market.base.clock import seconds_of
from market.base.errors import NotFound
from market.base.sql import Sql, insert
from market.base.work import Snapshot, UnitOfWork
from market.mandates.closing import Closed, OpenMandate, not_ap2, refused
from market.mandates.deriving import check_ours, currency_of, ends_at, limits_of
from market.mandates.service import Terms, check_buyer, check_end, keep
from market.mandates.tables import closed as closed_mandates
from market.mandates.views import visible
from market.protocol.ap2 import Ap2Error, OpenCheckout, OpenPayment, read_open
from market.protocol.canonical import sha256_text
from market.protocol.disclosing import BadChain
from market.protocol.sdjwt import Opened, holder_of, split_chain
from market.protocol.signing import BadSignature, VerifyingKey, read_header
from market.protocol.wire import GiveAp2Mandate, MandateView

_CLOSE = Sql(insert(closed_mandates))
_CLOSED = Sql(
    select(closed_mandates.c.checkout_reference, closed_mandates.c.payment_reference).where(
        closed_mandates.c.order_id == bindparam("order_id")
    )
)


class OpenedAp2(NamedTuple):
    """Open mandates whose signatures hold, and what they come to."""

    terms: Terms
    agent_kid: str
    principal_key: VerifyingKey
    payment: str
    checkout: str | None


def open_ap2(caller: Caller, request: GiveAp2Mandate, *, now: datetime) -> OpenedAp2:
    """Return what a principal signed, checked as far as it can be without the database.

    Raises:
        Ap2Refused: not its signature, not of its form, or nothing could be bought with it here.
    """
    try:
        return _open(caller, request, seconds_of(now))
    except BadChain as error:
        raise refused("invalid_credential", str(error)) from error
    except Ap2Error as error:
        raise refused(error.code, error.reason) from error


def give_ap2(uow: UnitOfWork, *, caller: Caller, opened: OpenedAp2) -> MandateView:
    """Let a buyer spend, within AP2's constraints. The same text again returns the first mandate.

    Raises:
        BuyerNotYours: the buyer does not act for the caller.
        Ap2Refused: the key that may close it is none of the buyer's.
        BadMandate: it would live too long.
        MandateReused: it was given before, beside another open checkout mandate.
    """
    caller.need("pay")
    check_buyer(uow, caller, opened.terms.buyer_id)
    check_end(uow, opened.terms.exp)
    if opened.agent_kid not in identity.active_keys(uow, agent_id=opened.terms.buyer_id):
        raise refused("invalid_credential", "cnf.jwk is no active key of the buyer's")
    return keep(
        uow,
        principal_id=caller.agent_id,
        terms=opened.terms,
        text=opened.payment,
        principal_jwk=opened.principal_key.jwk,
        agent_kid=opened.agent_kid,
        open_checkout=opened.checkout,
    )


def open_mandate(snapshot: Snapshot, *, caller: Caller, mandate_id: str | None) -> OpenMandate:
    """Return an AP2 mandate that the caller may see, to close it.

    Raises:
        NotFound: there is none, or it is not the caller's to see.
        Ap2Refused: it is a mandate of the market's own form, or none is named.
    """
    if mandate_id is None:
        raise not_ap2()
    row = visible(snapshot, caller, mandate_id)
    if row.agent_kid is None:
        raise not_ap2()
    return OpenMandate(
        mandate_id=row.id,
        principal_key=VerifyingKey(row.principal_jwk),
        agent_kid=row.agent_kid,
        payment=row.mandate,
        checkout=row.open_checkout,
    )


def consume(uow: UnitOfWork, *, order_id: str, closed: Closed) -> None:
    """Use up a closed mandate for an order: a quote, and so what closes over it, is good once."""
    uow.run(
        _CLOSE,
        order_id=order_id,
        mandate_id=closed.mandate_id,
        quote_id=closed.quote_id,
        payment=closed.payment_text,
        payment_reference=closed.payment_reference,
        checkout=closed.checkout_text,
        checkout_reference=closed.checkout_reference,
    )


class References(NamedTuple):
    """By which hashes receipts refer to the closed mandates of an order."""

    checkout: str
    payment: str


def references_of(snapshot: Snapshot, *, order_id: str) -> References:
    """Return what receipts for an order refer to.

    Raises:
        NotFound: the order is not under an AP2 mandate.
    """
    row = snapshot.one(_CLOSED, order_id=order_id)
    if row is None:
        raise NotFound("The order is not under an AP2 mandate.")
    return References(row.checkout_reference, row.payment_reference)


def _open(caller: Caller, request: GiveAp2Mandate, now: int) -> OpenedAp2:
    key = _signer(caller.keys, request.payment)
    opened, payment = read_open(request.payment, key=key, now=now, form=OpenPayment)
    kid = holder_of(opened).kid
    _check_issuer(opened, caller)
    checkout = token = None
    if request.checkout is not None:
        beside, checkout = read_open(request.checkout, key=key, now=now, form=OpenCheckout)
        _check_issuer(beside, caller)
        token = beside.token
        if holder_of(beside).kid != kid:
            raise Ap2Error("invalid_mandate", "both mandates must name the same key (cnf.jwk)")
    check_ours(payment, issuer=caller.issuer, open_checkout=token)
    terms = Terms(
        buyer_id=request.buyer_id,
        # A mandate is known by what is signed, and not by one of its possible signatures.
        jti=sha256_text(opened.token.jwt.rpartition(".")[0].encode()),
        currency=currency_of(payment),
        limits=limits_of(payment, checkout),
        exp=ends_at(payment, checkout),
    )
    return OpenedAp2(terms, kid, key, request.payment, request.checkout)


def _signer(keys: Mapping[str, VerifyingKey], chain: str) -> VerifyingKey:
    """Return which of a principal's keys signed a mandate, by its ``kid``."""
    try:
        kid = read_header(split_chain(chain)[0].jwt)["kid"]
    except BadSignature as error:
        raise BadChain(str(error)) from error
    key = keys.get(kid)
    if key is None or key.algorithm != "ES256":
        raise BadChain("it is not signed by an active P-256 key of the caller (kid)")
    return key


def _check_issuer(opened: Opened, caller: Caller) -> None:
    """Refuse another's name. AP2 asks for none: the key that is named is one agent's alone."""
    if opened.claims.get("iss", caller.agent_id) != caller.agent_id:
        raise Ap2Error("invalid_credential", "it names another agent as its maker (iss)")
