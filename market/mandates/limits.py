"""What a mandate allows: pure decisions over its limits and what was spent so far."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from market.mandates.errors import BadMandate, MandateExceeded, MandateForbids
from market.protocol.commitments import Limits
from market.protocol.money import MAX_MINOR, Money


class Used(NamedTuple):
    """What was taken so far; what is called ``period_...``, in the present window alone."""

    spent_minor: int
    period_spent_minor: int
    orders: int
    period_orders: int = 0


def check_limits(limits: Limits) -> None:
    """Refuse limits that contradict themselves.

    Raises:
        BadMandate: a period without what it limits, or the reverse; or no price is allowed.
    """
    has_limit = limits.period_budget_minor is not None or limits.period_max_orders is not None
    if has_limit != (limits.period_seconds is not None):
        raise BadMandate(
            "'period_seconds' is given together with 'period_budget_minor', 'period_max_orders' or"
            " both."
        )
    if (limits.min_price_minor or 0) > (limits.max_price_minor or MAX_MINOR):
        raise BadMandate("'min_price_minor' is above 'max_price_minor'.")


def period_at(now: datetime, *, created_at: datetime, period_seconds: int | None) -> int:
    """Return the number of the window that ``now`` lies in: fixed lengths, from creation on."""
    if period_seconds is None:
        return 0
    return max(0, (now - created_at) // timedelta(seconds=period_seconds))


def check_spend(
    limits: Limits, used: Used, *, seller_id: str, tags: Sequence[str], price: Money
) -> None:
    """Let pass an order that the limits allow.

    A seller or tag that is denied stays denied if it is also allowed. ``tags_allow`` asks for one
    tag of the service, ``tags_deny`` for none.

    Raises:
        MandateForbids: the seller or the kind of service is not allowed, or it costs too little.
        MandateExceeded: it costs too much, or there were enough orders.
    """
    _check_party(limits, seller_id=seller_id, tags=tags)
    for name, most, made in (
        ("max_orders", limits.max_orders, used.orders),
        ("period_max_orders", limits.period_max_orders, used.period_orders),
    ):
        if most is not None and made >= most:
            raise MandateExceeded(
                f"The mandate's '{name}' is {most}, and they are made.",
                limit=name,
                available_minor=0,
            )
    if limits.min_price_minor is not None and price.amount_minor < limits.min_price_minor:
        least = Money(limits.min_price_minor, price.currency)
        raise MandateForbids(
            f"The order costs {price}; the mandate is for orders from {least} on.",
            limit="min_price_minor",
        )
    for name, ceiling, taken in (
        ("max_price_minor", limits.max_price_minor, 0),
        ("budget_minor", limits.budget_minor, used.spent_minor),
        ("period_budget_minor", limits.period_budget_minor, used.period_spent_minor),
    ):
        if ceiling is not None and price.amount_minor > ceiling - taken:
            left = Money(ceiling - taken, price.currency)
            raise MandateExceeded(
                f"The order costs {price}; the mandate's '{name}' leaves {left}.",
                limit=name,
                available_minor=ceiling - taken,
            )


def needs_approval(limits: Limits, amount_minor: int) -> bool:
    """Whether a human must approve an order of this price."""
    return limits.approval_over_minor is not None and amount_minor > limits.approval_over_minor


def _check_party(limits: Limits, *, seller_id: str, tags: Sequence[str]) -> None:
    if seller_id in (limits.sellers_deny or ()):
        raise MandateForbids("The principal denies this seller.", limit="sellers_deny")
    if limits.sellers_allow is not None and seller_id not in limits.sellers_allow:
        raise MandateForbids("The seller is not among those allowed.", limit="sellers_allow")
    if not set(tags).isdisjoint(limits.tags_deny or ()):
        raise MandateForbids("The principal denies services of this kind.", limit="tags_deny")
    if limits.tags_allow is not None and set(tags).isdisjoint(limits.tags_allow):
        raise MandateForbids("No tag of the service is among those allowed.", limit="tags_allow")
