"""From AP2's constraints to the limits that the market counts against. Pure."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from market.base.clock import EPOCH
from market.protocol import ap2_constraints as rules
from market.protocol.ap2 import Ap2Error, Instrument, Merchant, OpenCheckout, OpenPayment, Pisp
from market.protocol.ap2_constraints import of_type
from market.protocol.commitments import Limits
from market.protocol.ids import AgentId
from market.protocol.money import EXPONENTS
from market.protocol.sdjwt import Token

DAY: Final = 86_400
PERIODS: Final[dict[rules.Frequency, int | None]] = {
    "ON_DEMAND": None,
    "DAILY": DAY,
    "WEEKLY": 7 * DAY,
    "BIWEEKLY": 14 * DAY,
    "MONTHLY": 30 * DAY,
    "QUARTERLY": 91 * DAY,
    "ANNUALLY": 365 * DAY,
}
"""Seconds in which one payment may be made: windows of fixed length from its creation on."""

Item = TypeVar("Item")


def instrument_of(issuer: str) -> Instrument:
    """Return the one payment instrument of a market: the buyer's wallet there."""
    return Instrument(id=f"{issuer}/v1/wallet", type="wallet")


def pisp_of(issuer: str) -> Pisp:
    """Return who initiates payments at a market: itself."""
    domain = urlsplit(issuer).netloc
    return Pisp(legal_name="agent-market", brand_name="agent-market", domain_name=domain)


def currency_of(payment: OpenPayment) -> str:
    """Return the currency of an open payment mandate.

    Raises:
        Ap2Error: it has none, several, or one that is not known here.
    """
    constraints = rules.payment_constraints(payment)
    named = {each.currency for each in of_type(constraints, rules.AmountRange)}
    named |= {each.currency for each in of_type(constraints, rules.Budget)}
    if payment.payment_amount is not None:
        named.add(payment.payment_amount.currency)
    if len(named) != 1 or not named <= set(EXPONENTS):
        raise Ap2Error(
            "invalid_mandate",
            "an amount_range, a budget or a payment_amount must name one currency, of "
            + ", ".join(EXPONENTS),
        )
    return named.pop()


def limits_of(payment: OpenPayment, checkout: OpenCheckout | None) -> Limits:
    """Return the limits that say the same as the constraints, as far as limits can.

    Raises:
        Ap2Error: a constraint is not known, or nothing at all could be bought.
    """
    constraints = rules.payment_constraints(payment)
    ranges = of_type(constraints, rules.AmountRange)
    budgets = of_type(constraints, rules.Budget)
    preset = payment.payment_amount
    fixed = [preset.amount] if preset is not None else []
    recurrence = _recurrence(constraints, has_sums=bool(ranges and budgets))
    seconds = PERIODS[recurrence.frequency] if recurrence is not None else None
    least = max([each.min for each in ranges] + fixed, default=0)
    return _limits(
        min_price_minor=least or None,
        max_price_minor=min([each.max for each in ranges] + fixed, default=None),
        budget_minor=min((each.max for each in budgets), default=None),
        max_orders=recurrence.max_occurrences if recurrence is not None else 1,
        period_seconds=seconds,
        period_max_orders=None if seconds is None else 1,
        sellers_allow=_sellers(payment, constraints, checkout),
    )


def check_ours(payment: OpenPayment, *, issuer: str, open_checkout: Token | None) -> None:
    """Refuse a mandate under which nothing could ever be paid at this market.

    Raises:
        Ap2Error: it asks for another instrument or initiator, or another checkout mandate.
    """
    constraints = rules.payment_constraints(payment)
    ours, pisp = instrument_of(issuer), pisp_of(issuer)
    paid_with = [payment.payment_instrument] if payment.payment_instrument is not None else []
    ids = [{each.id for each in paid_with}] if paid_with else []
    ids += [
        {each.id for each in rule.allowed}
        for rule in of_type(constraints, rules.AllowedInstruments)
    ]
    if any(ours.id not in allowed for allowed in ids):
        raise Ap2Error("invalid_mandate", f"the instrument of this market is {ours.id!r}")
    pisps = [rule.allowed for rule in of_type(constraints, rules.AllowedPisps)]
    pisps += [[payment.pisp]] if payment.pisp is not None else []
    if any(pisp not in allowed for allowed in pisps):
        raise Ap2Error(
            "invalid_mandate", f"the initiator of payments here is {msgspec.to_builtins(pisp)}"
        )
    for rule in of_type(constraints, rules.Reference):
        known = rules.hashes_of(open_checkout) if open_checkout is not None else ()
        if rule.conditional_transaction_id not in known:
            raise Ap2Error("invalid_mandate", "send the open checkout mandate that it refers to")


def ends_at(payment: OpenPayment, checkout: OpenCheckout | None) -> int:
    """Return when the mandate ends, in seconds since 1970: by the first of all that end it.

    Raises:
        Ap2Error: nothing ends it.
    """
    ends = [each.exp for each in (payment, checkout) if each is not None and each.exp is not None]
    if payment.exp is None:
        raise Ap2Error("invalid_mandate", "an open payment mandate must expire (exp)")
    for rule in of_type(rules.payment_constraints(payment), rules.ExecutionDate):
        if rule.not_after is not None:
            last = rules.moment(rule.not_after, is_end=True)
            ends.append(max(0, (last - EPOCH) // timedelta(seconds=1)))
    return min(ends)


def _recurrence(
    constraints: Sequence[rules.PaymentConstraint], *, has_sums: bool
) -> rules.AgentRecurrence | None:
    found = of_type(constraints, rules.AgentRecurrence)
    if len(found) > 1:
        raise Ap2Error("unresolved_constraint", "one payment.agent_recurrence is understood")
    if found and not has_sums:
        raise Ap2Error(
            "invalid_mandate",
            "payment.agent_recurrence needs a payment.amount_range and a payment.budget",
        )
    return found[0] if found else None


def _sellers(
    payment: OpenPayment,
    constraints: Sequence[rules.PaymentConstraint],
    checkout: OpenCheckout | None,
) -> list[str] | None:
    lists: list[list[Merchant]] = [
        each.allowed for each in of_type(constraints, rules.AllowedPayees)
    ]
    if payment.payee is not None:
        lists.append([payment.payee])
    if checkout is not None:
        merchants = of_type(rules.checkout_constraints(checkout), rules.AllowedMerchants)
        lists += [each.allowed for each in merchants]
    if not lists:
        return None
    allowed = _intersection([each.id for each in merchants] for merchants in lists)
    # Who is no agent of any market cannot sell here.
    return [each for each in allowed if _is_agent(each)]


def _intersection(lists: Iterable[Iterable[Item]]) -> list[Item]:
    first, *rest = (dict.fromkeys(each) for each in lists)
    return [item for item in first if all(item in other for other in rest)]


def _is_agent(text: str) -> bool:
    try:
        msgspec.convert(text, AgentId)
    except msgspec.ValidationError:
        return False
    return True


def _limits(**members: object) -> Limits:
    try:
        limits = msgspec.convert(members, Limits, strict=True)
    except msgspec.ValidationError as error:
        raise Ap2Error("invalid_mandate", f"nothing could be bought: {error}") from error
    if (limits.min_price_minor or 0) > (limits.max_price_minor or limits.min_price_minor or 0):
        raise Ap2Error("invalid_mandate", "nothing could be bought: min is above max")
    return limits
