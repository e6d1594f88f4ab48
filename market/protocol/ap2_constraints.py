"""The constraints of AP2 0.2 open mandates: read, and checked against what is to be bought.

Pure. A constraint that is not known, or says more than is known, fails. Several of one type all
hold. A list of what is allowed that is empty allows nothing: an agent that discloses no element
must not gain by it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from market.protocol.ap2 import (
    Amount,
    Ap2Error,
    Checkout,
    ClosedPayment,
    Instrument,
    Item,
    LineItem,
    Merchant,
    Minor,
    Name,
    OpenCheckout,
    OpenPayment,
    Pisp,
    Quantity,
)
from market.protocol.matching import Place, all_fit
from market.protocol.money import Currency
from market.protocol.sdjwt import Token
from market.protocol.text import Digest

Frequency = Literal["ON_DEMAND", "DAILY", "WEEKLY", "BIWEEKLY", "MONTHLY", "QUARTERLY", "ANNUALLY"]


class _Constraint(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="type",
):
    """A rule. Unlike AP2's schemas it forbids unknown members: they would be unknown rules."""


class AmountRange(_Constraint, frozen=True, kw_only=True, tag="payment.amount_range"):
    currency: Currency
    max: Minor
    min: Minor = 0


class Budget(_Constraint, frozen=True, kw_only=True, tag="payment.budget"):
    """What all payments may come to: here in minor units, like every amount."""

    max: Minor
    currency: Currency


class AgentRecurrence(_Constraint, frozen=True, kw_only=True, tag="payment.agent_recurrence"):
    """The mandate is good for more than one payment: at most one in each period."""

    frequency: Frequency
    max_occurrences: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class AllowedPayees(_Constraint, frozen=True, kw_only=True, tag="payment.allowed_payees"):
    allowed: Annotated[list[Merchant], Meta(max_length=100)]


class AllowedInstruments(
    _Constraint, frozen=True, kw_only=True, tag="payment.allowed_payment_instruments"
):
    allowed: Annotated[list[Instrument], Meta(max_length=100)]


class AllowedPisps(_Constraint, frozen=True, kw_only=True, tag="payment.allowed_pisps"):
    allowed: Annotated[list[Pisp], Meta(max_length=100)]


class ExecutionDate(_Constraint, frozen=True, kw_only=True, tag="payment.execution_date"):
    """Dates or RFC 3339 moments; a last day counts to its end, in UTC."""

    not_before: Name | None = None
    not_after: Name | None = None


class Reference(_Constraint, frozen=True, kw_only=True, tag="payment.reference"):
    """Good only beside the open checkout mandate with this hash."""

    conditional_transaction_id: Digest


class AllowedMerchants(_Constraint, frozen=True, kw_only=True, tag="checkout.allowed_merchants"):
    allowed: Annotated[list[Merchant], Meta(max_length=100)]


class Requirement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to ``quantity`` pieces, each of one of the acceptable items."""

    id: Name
    acceptable_items: Annotated[list[Item], Meta(max_length=100)]
    quantity: Quantity


class LineItems(_Constraint, frozen=True, kw_only=True, tag="checkout.line_items"):
    items: Annotated[list[Requirement], Meta(min_length=1, max_length=50)]


PaymentConstraint = (
    AmountRange
    | Budget
    | AgentRecurrence
    | AllowedPayees
    | AllowedInstruments
    | AllowedPisps
    | ExecutionDate
    | Reference
)
CheckoutConstraint = AllowedMerchants | LineItems

Of = TypeVar("Of", bound=_Constraint)


class Spent(NamedTuple):
    """What was paid under a mandate before. The ledger knows it, no document does."""

    amount_minor: int
    payments: int


def payment_constraints(mandate: OpenPayment) -> list[PaymentConstraint]:
    """Return the rules of an open payment mandate.

    Raises:
        Ap2Error: one is not known, or not of its form.
    """
    return [_read(tree, _PAYMENT) for tree in mandate.constraints]


def checkout_constraints(mandate: OpenCheckout) -> list[CheckoutConstraint]:
    """Return the rules of an open checkout mandate.

    Raises:
        Ap2Error: one is not known, or not of its form.
    """
    return [_read(tree, _CHECKOUT) for tree in mandate.constraints]


def of_type(constraints: Iterable[_Constraint], kind: type[Of]) -> list[Of]:
    """Return the constraints of one type."""
    return [each for each in constraints if isinstance(each, kind)]


def check_payment(
    mandate: OpenPayment,
    closed: ClosedPayment,
    *,
    open_checkout: Token | None,
    spent: Spent,
    now: datetime,
) -> None:
    """Let pass a payment that an open mandate allows, after what was ``spent`` before.

    Raises:
        Ap2Error: a rule, or a member that both mandates have, says otherwise.
    """
    _check_preset(mandate, closed)
    constraints = payment_constraints(mandate)
    for constraint in constraints:
        _check_sums(constraint, closed.payment_amount, spent)
        _check_parties(constraint, closed)
        if isinstance(constraint, ExecutionDate):
            _check_date(constraint, now)
        if isinstance(constraint, Reference):
            reference = constraint.conditional_transaction_id
            is_bound = open_checkout is not None and reference in hashes_of(open_checkout)
            _need(is_bound, "it is bound to another open checkout mandate")
    if not of_type(constraints, AgentRecurrence):
        _need(spent.payments == 0, "it is good for one payment, and that was made")
    if closed.execution_date is not None:
        _need(moment(closed.execution_date) <= now, "payments are made at once, not later")


def check_checkout(mandate: OpenCheckout, checkout: Checkout) -> None:
    """Let pass a checkout that an open mandate allows.

    Raises:
        Ap2Error: a rule says otherwise.
    """
    for constraint in checkout_constraints(mandate):
        match constraint:
            case AllowedMerchants(allowed=allowed):
                _need(
                    _is_among(checkout.merchant, allowed), "the merchant is not among those allowed"
                )
            case LineItems(items=requirements):
                _need(
                    fits(checkout.line_items, requirements),
                    "the items cannot all be assigned to what may be bought",
                )


def hashes_of(open_checkout: Token) -> tuple[str, str, str]:
    """Return by which hashes ``payment.reference`` may name an open checkout mandate.

    AP2 says "hash" and not of what: the token with its disclosures, as RFC 9901 hashes it, the
    same without the last ``~``, or its signed part. Each of them names this one document.
    """
    bare = Token(open_checkout.text[:-1], ())
    return open_checkout.sd_hash, bare.jwt_hash, open_checkout.jwt_hash


def fits(items: Sequence[LineItem], requirements: Sequence[Requirement]) -> bool:
    """Whether every piece of ``items`` can be assigned to a requirement that accepts it.

    Requirements may stay unfilled, but something must be bought.
    """
    pieces: dict[str, int] = {}
    for line in items:
        pieces[line.item.id] = pieces.get(line.item.id, 0) + line.quantity
    places = [
        Place(frozenset(each.id for each in requirement.acceptable_items), requirement.quantity)
        for requirement in requirements
    ]
    return bool(pieces) and all_fit(pieces, places)


def _is_among(merchant: Merchant, allowed: Iterable[Merchant]) -> bool:
    return merchant.id in {each.id for each in allowed}


def _check_preset(mandate: OpenPayment, closed: ClosedPayment) -> None:
    if mandate.payee is not None:
        _need(mandate.payee.id == closed.payee.id, "the mandate names another payee")
    for name in ("payment_amount", "payment_instrument", "pisp", "execution_date"):
        preset = getattr(mandate, name)
        _need(
            preset is None or preset == getattr(closed, name), f"the mandate names another {name}"
        )


def _check_sums(constraint: PaymentConstraint, paid: Amount, spent: Spent) -> None:
    match constraint:
        case AmountRange(currency=currency, min=least, max=most):
            _need(paid.currency == currency, "the amount's currency differs")
            _need(least <= paid.amount <= most, f"{paid.amount} is not from {least} to {most}")
        case Budget(max=most, currency=currency):
            _need(paid.currency == currency, "the budget's currency differs")
            total = spent.amount_minor + paid.amount
            _need(total <= most, f"{total} would be spent of a budget of {most}")
        case AgentRecurrence(max_occurrences=count):
            _need(count is None or spent.payments < count, f"all {count} payments were made")


def _check_parties(constraint: PaymentConstraint, closed: ClosedPayment) -> None:
    match constraint:
        case AllowedPayees(allowed=payees):
            _need(_is_among(closed.payee, payees), "the payee is not among those allowed")
        case AllowedInstruments(allowed=instruments):
            known = closed.payment_instrument.id in {each.id for each in instruments}
            _need(known, "the payment instrument is not among those allowed")
        case AllowedPisps(allowed=pisps):
            _need(closed.pisp in pisps, "the payment's initiator is not among those allowed")


def _check_date(constraint: ExecutionDate, now: datetime) -> None:
    if constraint.not_before is not None:
        _need(now >= moment(constraint.not_before), "it is too early for this payment")
    if constraint.not_after is not None:
        _need(now <= moment(constraint.not_after, is_end=True), "it is too late for this payment")


def moment(text: str, *, is_end: bool = False) -> datetime:
    """Return the moment that a date or RFC 3339 text means; of a day its end if ``is_end``.

    Raises:
        Ap2Error: the text is neither.
    """
    try:
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        is_day = len(text) == len("2026-11-22")
        return found + timedelta(days=1, microseconds=-1) if is_end and is_day else found
    except (ValueError, OverflowError) as error:
        raise Ap2Error("invalid_mandate", f"{text!r} is no date") from error


def _need(holds: bool, reason: str) -> None:
    if not holds:
        raise Ap2Error("invalid_mandate", reason)


def _read(tree: Mapping[str, Any], known: Mapping[str, type[Of]]) -> Of:
    name = tree.get("type")
    kind = known.get(name) if isinstance(name, str) else None
    if kind is None:
        raise Ap2Error("unresolved_constraint", f"the constraint {name!r} is not known here")
    try:
        return msgspec.convert(dict(tree), kind, strict=True)
    except msgspec.ValidationError as error:
        raise Ap2Error("unresolved_constraint", f"{name}: {error}") from error


_PAYMENT: Final[dict[str, type[PaymentConstraint]]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        AmountRange, Budget, AgentRecurrence, AllowedPayees, AllowedInstruments, AllowedPisps,
        ExecutionDate, Reference,
    )
}  # fmt: skip
_CHECKOUT: Final[dict[str, type[CheckoutConstraint]]] = {
    str(kind.__struct_config__.tag): kind for kind in (AllowedMerchants, LineItems)
}
