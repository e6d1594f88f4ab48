"""AP2 0.2 documents: open and closed checkout and payment mandates, checkouts, receipts. Pure.

An *open* mandate is the principal's: rules, and the P-256 key of the agent that may act on them. A
*closed* one is that agent's, joined to the open one (``protocol.sdjwt``): one checkout, or its
payment. The merchant's *checkout* is a JWT that both name by its hash. Amounts are integers in
minor units. Members that nobody here knows are refused in mandates: they may be meant to restrict.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from market.protocol.canonical import sha256_text
from market.protocol.disclosing import BadChain, Salt
from market.protocol.money import MAX_MINOR, Currency
from market.protocol.sdjwt import Opened, delegate, issue, new_salt, read_chain, read_root
from market.protocol.signing import SigningKey, VerifyingKey
from market.protocol.text import Digest, Seconds

CHECKOUT: Final = "checkout+jwt"
CHECKOUT_RECEIPT: Final = "checkout-receipt+jwt"
PAYMENT_RECEIPT: Final = "payment-receipt+jwt"

ONE_BY_ONE: Final = ("allowed", "acceptable_items")
"""Lists of open mandates whose elements are disclosed one by one."""

Ap2Code = Literal[
    "invalid_credential", "unresolved_constraint", "invalid_mandate", "mandates_not_supported"
]
Name = Annotated[str, Meta(min_length=1, max_length=300)]
Minor = Annotated[int, Meta(ge=0, le=MAX_MINOR, description="minor units")]
Quantity = Annotated[int, Meta(ge=1, le=2**40)]


class Ap2Error(ValueError):
    """A mandate is refused, under the name that AP2 has for it.

    ``invalid_credential``: a signature, key, hash, audience or time is wrong;
    ``unresolved_constraint``: a constraint is not known here, so that a person must decide;
    ``invalid_mandate``: it is not of its form, or does not authorise this;
    ``mandates_not_supported``: mandates of this kind are not taken.
    """

    def __init__(self, code: Ap2Code, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code: Ap2Code = code
        self.reason = reason


class _Open(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What AP2 describes without forbidding more."""


class Merchant(_Open, frozen=True, kw_only=True):
    """Who sells. Only ``id`` says who it is; the rest anybody can write."""

    id: Name
    name: Name
    website: Name | None = None


class Amount(_Open, frozen=True, kw_only=True):
    amount: Minor
    currency: Currency


class Instrument(_Open, frozen=True, kw_only=True):
    """What is paid with; known by its ``id``."""

    id: Name
    type: Name
    description: Name | None = None


class Pisp(_Open, frozen=True, kw_only=True):
    """Who initiates the payment."""

    legal_name: Name
    brand_name: Name
    domain_name: Name


class Holder(_Open, frozen=True, kw_only=True):
    """The key of whom a mandate is for (RFC 7800)."""

    jwk: dict[str, Any]


class _Mandate(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="vct",
):
    iat: Seconds | None = None
    exp: Seconds | None = None


Constraints = Annotated[list[dict[str, Any]], Meta(max_length=50)]


class OpenCheckout(_Mandate, frozen=True, kw_only=True, tag="mandate.checkout.open.1"):
    """What may be bought. ``ap2_constraints`` reads the constraints."""

    constraints: Constraints
    cnf: Holder


class OpenPayment(_Mandate, frozen=True, kw_only=True, tag="mandate.payment.open.1"):
    """What may be paid. Members that a closed mandate has, too, must be the same there."""

    constraints: Constraints
    cnf: Holder
    payee: Merchant | None = None
    payment_amount: Amount | None = None
    payment_instrument: Instrument | None = None
    pisp: Pisp | None = None
    execution_date: Name | None = None
    risk_data: dict[str, Any] | None = None


class ClosedCheckout(_Mandate, frozen=True, kw_only=True, tag="mandate.checkout.1"):
    """The agent takes one checkout. ``checkout_hash`` is the hash of ``checkout_jwt``."""

    checkout_jwt: str
    checkout_hash: Digest


class ClosedPayment(_Mandate, frozen=True, kw_only=True, tag="mandate.payment.1"):
    """The agent pays for one checkout. ``transaction_id`` is the checkout's hash."""

    transaction_id: Digest
    payee: Merchant
    payment_amount: Amount
    payment_instrument: Instrument
    pisp: Pisp | None = None
    execution_date: Name | None = None
    risk_data: dict[str, Any] | None = None


class Item(_Open, frozen=True, kw_only=True):
    id: Name
    title: Name
    price: Minor | None = None


class Total(_Open, frozen=True, kw_only=True):
    type: Literal["subtotal", "total"]
    amount: Minor


class LineItem(_Open, frozen=True, kw_only=True):
    id: Name
    item: Item
    quantity: Quantity
    totals: list[Total] = []


class Checkout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a merchant offers to sell, at which price, until ``exp``: a checkout of UCP, signed.

    ``id`` names the quote that it is over.
    """

    iss: str
    iat: Seconds
    exp: Seconds
    id: str
    merchant: Merchant
    line_items: Annotated[list[LineItem], Meta(max_length=50)]
    status: Literal["ready_for_complete"]
    currency: Currency
    totals: list[Total]
    links: list[dict[str, str]]
    expires_at: str

    @property
    def amount(self) -> int:
        """What it costs in all."""
        return next((each.amount for each in self.totals if each.type == "total"), -1)


class CheckoutReceipt(_Open, frozen=True, kw_only=True):
    """The merchant's word on a closed checkout mandate, whose hash is ``reference``."""

    status: Literal["Success", "Error"]
    iss: str
    iat: Seconds
    reference: Digest
    order_id: str | None = None
    error: str | None = None
    error_description: str | None = None


class PaymentReceipt(CheckoutReceipt, frozen=True, kw_only=True):
    """The processor's word on a closed payment mandate."""

    payment_id: str
    psp_confirmation_id: str | None = None
    network_confirmation_id: str | None = None


Form = TypeVar("Form", OpenCheckout, OpenPayment, ClosedCheckout, ClosedPayment)


def sign_open(
    mandate: OpenCheckout | OpenPayment, *, key: SigningKey, issuer: str, salt: Salt = new_salt
) -> str:
    """Return an open mandate signed by its principal, ``issuer``, with every disclosure."""
    tree = msgspec.to_builtins(mandate)
    return issue(tree, key=key, claims={"iss": issuer}, elements=ONE_BY_ONE, salt=salt)


def close(
    open_mandate: str,
    mandate: ClosedCheckout | ClosedPayment,
    *,
    key: SigningKey,
    aud: str,
    nonce: str,
    iat: int,
    salt: Salt = new_salt,
) -> str:
    """Return the chain of an open mandate and a closed one, signed by the agent's ``key``."""
    return delegate(
        open_mandate,
        msgspec.to_builtins(mandate),
        key=key,
        aud=aud,
        nonce=nonce,
        iat=iat,
        members=("checkout_jwt",),
        salt=salt,
    )


def close_checkout(checkout_jwt: str) -> ClosedCheckout:
    """Return the closed mandate for a checkout."""
    return ClosedCheckout(checkout_jwt=checkout_jwt, checkout_hash=hash_of(checkout_jwt))


def hash_of(text: str) -> str:
    """Return the hash by which AP2 names a text: SHA-256, base64url."""
    return sha256_text(text.encode())


def read_open(text: str, *, key: VerifyingKey, now: int, form: type[Form]) -> tuple[Opened, Form]:
    """Return an open mandate that ``key`` signed, which discloses everything.

    Raises:
        Ap2Error: not so.
    """
    try:
        opened = read_root(text, key=key, now=now)
    except BadChain as error:
        raise Ap2Error("invalid_credential", str(error)) from error
    if opened.withheld:
        raise Ap2Error("invalid_mandate", "an open mandate must disclose all of its rules")
    return opened, _form(opened.mandate, form)


def read_closed(
    text: str, *, key: VerifyingKey, aud: str, nonce: str, now: int, form: type[Form]
) -> tuple[Opened, Opened, Form]:
    """Return the open token, the closed one, and the closed mandate of a chain of two.

    Raises:
        Ap2Error: it is no such chain from ``key``, or not for this audience and nonce.
    """
    try:
        tokens = read_chain(text, key=key, aud=aud, nonce=nonce, now=now)
    except BadChain as error:
        raise Ap2Error("invalid_credential", str(error)) from error
    if len(tokens) != 2:
        raise Ap2Error("mandates_not_supported", "mandates that were passed on are not taken")
    return tokens[0], tokens[1], _form(tokens[1].mandate, form)


def read_checkout(text: str, *, key: VerifyingKey, issuer: str, now: int) -> Checkout:
    """Return a checkout that ``key`` signed for ``issuer``, while it holds.

    Raises:
        Ap2Error: not so.
    """
    try:
        checkout = key.read(text, typ=CHECKOUT, claims=Checkout)
    except ValueError as error:
        raise Ap2Error(
            "invalid_credential", f"the checkout is not the market's: {error}"
        ) from error
    if checkout.iss != issuer:
        raise Ap2Error("invalid_credential", "the checkout is another market's (iss)")
    if checkout.exp <= now:
        raise Ap2Error("invalid_mandate", "the checkout has expired; ask for a new quote")
    return checkout


def _form(tree: Mapping[str, Any], form: type[Form]) -> Form:
    expected = form.__struct_config__.tag
    if tree.get("vct") != expected:
        raise Ap2Error("mandates_not_supported", f"its vct is not {expected!r}")
    try:
        return msgspec.convert(dict(tree), form, strict=True)
    except msgspec.ValidationError as error:
        raise Ap2Error("invalid_mandate", f"it is not of its form: {error}") from error
