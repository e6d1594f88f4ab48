"""A closed AP2 mandate: read before the writer is asked, checked against the open one after."""

from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

from market.base.caller import Caller
from market.base.clock import seconds_of
from market.mandates.deriving import instrument_of, pisp_of
from market.mandates.errors import Ap2Refused
from market.mandates.limits import Used
from market.protocol.ap2 import (
    Ap2Code,
    Ap2Error,
    Checkout,
    ClosedCheckout,
    ClosedPayment,
    OpenCheckout,
    OpenPayment,
    hash_of,
    read_checkout,
    read_closed,
    read_open,
)
from market.protocol.ap2_constraints import Spent, check_checkout, check_payment
from market.protocol.sdjwt import Opened, Token
from market.protocol.signing import VerifyingKey
from market.protocol.wire import Ap2Closed

OpenForm = TypeVar("OpenForm", OpenCheckout, OpenPayment)
ClosedForm = TypeVar("ClosedForm", ClosedCheckout, ClosedPayment)

_SAYINGS: Final[dict[Ap2Code, str]] = {
    "invalid_credential": "The mandate does not hold",
    "unresolved_constraint": "A person must decide",
    "invalid_mandate": "The mandate does not authorise this",
    "mandates_not_supported": "Such mandates are not taken here",
}


class OpenMandate(NamedTuple):
    """An AP2 mandate as it is kept: who signed it, who may close it, and what it says."""

    mandate_id: str
    principal_key: VerifyingKey
    agent_kid: str
    payment: str
    checkout: str | None


class Closed(NamedTuple):
    """A closed mandate whose signatures hold, for one checkout; its rules are still to be asked."""

    mandate_id: str
    quote_id: str
    seller_id: str
    amount_minor: int
    currency: str
    open_payment: OpenPayment
    open_checkout: OpenCheckout | None
    open_checkout_token: Token | None
    payment: ClosedPayment
    checkout: Checkout
    payment_text: str
    payment_reference: str
    checkout_text: str
    checkout_reference: str


def refused(code: Ap2Code, reason: str) -> Ap2Refused:
    """Return the refusal that bears AP2's own name for it."""
    return Ap2Refused(f"{_SAYINGS[code]}: {reason}.", ap2_error=code)


def read_presented(
    kept: OpenMandate,
    sent: Ap2Closed,
    *,
    quote_id: str,
    caller: Caller,
    market_key: VerifyingKey,
    now: datetime,
) -> Closed:
    """Return what an agent sent to close a mandate, once every signature and hash in it holds.

    The quote's id is the nonce, and the market the audience.

    Raises:
        Ap2Refused: not so; ``ap2_error`` says in AP2's words why.
    """
    reading = _Reading(kept, quote_id, caller.issuer, market_key, seconds_of(now))
    try:
        if kept.agent_kid not in caller.keys:
            raise Ap2Error("invalid_credential", "the agent's key is active no more")
        return reading.closed(sent)
    except Ap2Error as error:
        raise refused(error.code, error.reason) from error


def check_form(row: Any, closed: Closed | None, used: Used, *, now: datetime, issuer: str) -> None:
    """Let pass an order under a mandate of AP2's that closes it, and no other.

    Raises:
        Ap2Refused: it does not, or the mandate is of the market's own form.
    """
    if row.agent_kid is None:
        raise not_ap2()
    if closed is None or closed.mandate_id != row.id:
        raise refused("invalid_mandate", "an order under it must close it (ap2)")
    check_closed(closed, used, now=now, issuer=issuer)


def not_ap2() -> Ap2Refused:
    """Return the refusal of closed mandates where the market's own form is used."""
    return refused("mandates_not_supported", "the order is not under an AP2 mandate")


def check_closed(closed: Closed, used: Used, *, now: datetime, issuer: str) -> None:
    """Let pass a closed mandate that its open one allows, after what was ``used`` of it.

    Raises:
        Ap2Refused: a rule of the principal's says otherwise.
    """
    try:
        check_payment(
            closed.open_payment,
            closed.payment,
            open_checkout=closed.open_checkout_token,
            spent=Spent(used.spent_minor, used.orders),
            now=now,
        )
        if closed.open_checkout is not None:
            check_checkout(closed.open_checkout, closed.checkout)
        _check_ours(closed.payment, issuer)
    except Ap2Error as error:
        raise refused(error.code, error.reason) from error


class _Reading(NamedTuple):
    """Reads one closed mandate."""

    kept: OpenMandate
    quote_id: str
    issuer: str
    market_key: VerifyingKey
    now: int

    def closed(self, sent: Ap2Closed) -> Closed:
        """Return what was sent, in one piece."""
        opened, open_payment = self._open(self.kept.payment, OpenPayment)
        open_checkout, token, checkout_jwt, reference = self._checkout(sent)
        checkout = read_checkout(
            checkout_jwt, key=self.market_key, issuer=self.issuer, now=self.now
        )
        leaf, payment = self._close(sent.payment, opened, ClosedPayment)
        agreed = (
            ("quote", checkout.id, self.quote_id),
            ("transaction_id", payment.transaction_id, hash_of(checkout_jwt)),
            ("payee", payment.payee.id, checkout.merchant.id),
            ("amount", payment.payment_amount.amount, checkout.amount),
            ("currency", payment.payment_amount.currency, checkout.currency),
        )
        for name, said, meant in agreed:
            if said != meant:
                raise Ap2Error("invalid_mandate", f"its {name} is not the checkout's")
        return Closed(
            mandate_id=self.kept.mandate_id,
            quote_id=checkout.id,
            seller_id=checkout.merchant.id,
            amount_minor=checkout.amount,
            currency=checkout.currency,
            open_payment=open_payment,
            open_checkout=open_checkout,
            open_checkout_token=token,
            payment=payment,
            checkout=checkout,
            payment_text=sent.payment,
            payment_reference=leaf.jwt_hash,
            checkout_text=sent.checkout or checkout_jwt,
            checkout_reference=reference,
        )

    def _checkout(self, sent: Ap2Closed) -> tuple[OpenCheckout | None, Token | None, str, str]:
        """Return the open checkout mandate if there is one, the checkout, and what names it."""
        if self.kept.checkout is None:
            if sent.checkout is not None or sent.checkout_jwt is None:
                raise Ap2Error("invalid_mandate", "without an open one, send the bare checkout_jwt")
            return None, None, sent.checkout_jwt, hash_of(sent.checkout_jwt)
        if sent.checkout is None or sent.checkout_jwt is not None:
            raise Ap2Error("invalid_mandate", "send the checkout mandate's chain, and it alone")
        opened, mandate = self._open(self.kept.checkout, OpenCheckout)
        leaf, closed = self._close(sent.checkout, opened, ClosedCheckout)
        if closed.checkout_hash != hash_of(closed.checkout_jwt):
            raise Ap2Error("invalid_credential", "checkout_hash is not the checkout's")
        return mandate, opened.token, closed.checkout_jwt, leaf.jwt_hash

    def _open(self, text: str, form: type[OpenForm]) -> tuple[Opened, OpenForm]:
        return read_open(text, key=self.kept.principal_key, now=self.now, form=form)

    def _close(
        self, chain: str, opened: Opened, form: type[ClosedForm]
    ) -> tuple[Token, ClosedForm]:
        """Return the last token of a chain that begins with the mandate as the principal gave it.

        The agent may have withheld some of it: the rules are read from what the market keeps.
        """
        first, leaf, closed = read_closed(
            chain,
            key=self.kept.principal_key,
            aud=self.issuer,
            nonce=self.quote_id,
            now=self.now,
            form=form,
        )
        if first.token.jwt != opened.token.jwt:
            raise Ap2Error("invalid_credential", "it closes another mandate")
        return leaf.token, closed


def _check_ours(payment: ClosedPayment, issuer: str) -> None:
    ours = instrument_of(issuer)
    if payment.payment_instrument.id != ours.id:
        raise Ap2Error("invalid_mandate", f"the instrument of this market is {ours.id!r}")
    if payment.pisp is not None and payment.pisp != pisp_of(issuer):
        raise Ap2Error("invalid_mandate", "payments here are initiated by the market itself")
