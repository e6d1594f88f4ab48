"""A mandate's limits, on both sides of each edge."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from market.base.errors import MarketError
from market.mandates import BadMandate, MandateExceeded, MandateForbids
from market.mandates.limits import Used, check_limits, check_spend, needs_approval, period_at
from market.protocol.commitments import Limits
from market.protocol.money import Money

SELLER = "s" * 43
CREATED = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOTHING = Used(spent_minor=0, period_spent_minor=0, orders=0)


def spend(used: Used = NOTHING, amount_minor: int = 100, **limits: Any) -> None:
    price = Money(amount_minor, "XTS")
    check_spend(Limits(**limits), used, seller_id=SELLER, tags=["csv", "report"], price=price)


def refusal_of(used: Used = NOTHING, amount_minor: int = 100, **limits: Any) -> MarketError:
    with pytest.raises(MarketError) as refusal:
        spend(used, amount_minor, **limits)
    return refusal.value


@pytest.mark.parametrize(
    ("limits", "used", "most"),
    [
        ({"max_price_minor": 100}, NOTHING, 100),
        ({"max_price_minor": 100}, Used(9_000, 9_000, 9), 100),
        ({"budget_minor": 100}, NOTHING, 100),
        ({"budget_minor": 500}, Used(470, 0, 3), 30),
        ({"budget_minor": 500}, Used(500, 0, 3), 0),
        ({"period_budget_minor": 100, "period_seconds": 60}, NOTHING, 100),
        ({"period_budget_minor": 500, "period_seconds": 60}, Used(9_000, 470, 3), 30),
    ],
)
def test_an_amount_limit_passes_its_edge_and_refuses_one_more(
    limits: dict[str, Any], used: Used, most: int
) -> None:
    spend(used, most, **limits)

    refusal = refusal_of(used, most + 1, **limits)

    assert isinstance(refusal, MandateExceeded)
    assert refusal.facts == {"limit": next(iter(limits)), "available_minor": most}


def test_the_number_of_orders_passes_its_edge_and_refuses_one_more() -> None:
    spend(Used(0, 0, 2), max_orders=3)

    refusal = refusal_of(Used(0, 0, 3), max_orders=3)

    assert isinstance(refusal, MandateExceeded)
    assert refusal.facts == {"limit": "max_orders", "available_minor": 0}


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"sellers_allow": [SELLER]},
        {"sellers_deny": ["t" * 43]},
        {"sellers_deny": []},
        {"tags_allow": ["csv", "pdf"]},
        {"tags_deny": ["pdf"]},
    ],
)
def test_sellers_and_tags_that_are_allowed_pass(limits: dict[str, Any]) -> None:
    spend(**limits)


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        ({"sellers_allow": ["t" * 43]}, "sellers_allow"),
        ({"sellers_allow": []}, "sellers_allow"),
        ({"sellers_deny": [SELLER]}, "sellers_deny"),
        ({"sellers_allow": [SELLER], "sellers_deny": [SELLER]}, "sellers_deny"),
        ({"tags_allow": ["pdf"]}, "tags_allow"),
        ({"tags_allow": []}, "tags_allow"),
        ({"tags_deny": ["pdf", "csv"]}, "tags_deny"),
        ({"tags_allow": ["csv"], "tags_deny": ["report"]}, "tags_deny"),
    ],
)
def test_sellers_and_tags_that_are_not_allowed_are_refused(
    limits: dict[str, Any], limit: str
) -> None:
    refusal = refusal_of(**limits)

    assert isinstance(refusal, MandateForbids)
    assert refusal.facts == {"limit": limit}


def test_approval_is_needed_above_the_limit_alone() -> None:
    limits = Limits(approval_over_minor=100)

    assert not needs_approval(limits, 100)
    assert needs_approval(limits, 101)
    assert needs_approval(Limits(approval_over_minor=0), 1)
    assert not needs_approval(Limits(), 10**15)


@pytest.mark.parametrize("limits", [{"period_seconds": 60}, {"period_budget_minor": 100}])
def test_a_period_and_its_budget_are_given_together(limits: dict[str, Any]) -> None:
    with pytest.raises(BadMandate):
        check_limits(Limits(**limits))


@pytest.mark.parametrize(
    ("seconds", "period"), [(0, 0), (59.999999, 0), (60, 1), (119, 1), (120, 2), (-5, 0)]
)
def test_windows_are_counted_from_creation(seconds: float, period: int) -> None:
    now = CREATED + timedelta(seconds=seconds)

    assert period_at(now, created_at=CREATED, period_seconds=60) == period
    assert period_at(now, created_at=CREATED, period_seconds=None) == 0
