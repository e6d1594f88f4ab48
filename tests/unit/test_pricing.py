"""Prices: every form, what a part of a delivery earns, and where the money goes. Pure."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.protocol.manifest import BadManifest, Manifest, check_manifest
from market.protocol.money import MAX_MINOR
from market.protocol.pricing import (
    Price,
    Split,
    affordable_units,
    compared_minor,
    earned_minor,
    given_back,
    next_part,
    plain_terms,
    price_minor,
    price_words,
    split,
    terms_of,
)

XTS = {"currency": "XTS"}
CALL = {"per": "call", "amount": "0.40", **XTS}
UNIT = {"per": "unit", "amount": "0.001", **XTS}
TIERS = {
    "per": "tiers",
    "tiers": [
        {"up_to": 10, "amount": "0.03"},
        {"up_to": 100, "amount": "0.02"},
        {"amount": "0.01"},
    ],
    **XTS,
}
FLAT = {"per": "flat", "amount": "0.50", "includes": 20, "beyond": "0.01", **XTS}
INPUT = {"unit": "page", "counts": "items", "of": "pages"}
DELIVERED = {"unit": "token", "counts": "delivered", "at_most": 1_000}


def price(tree: dict[str, Any]) -> Price:
    return msgspec.convert(tree, Price)


def manifest(tree: dict[str, Any], **changes: Any) -> Manifest:
    return check_manifest(
        {
            "manifest": 1,
            "id": "acme-pdf",
            "summary": "Extract tables.",
            "tags": ["pdf"],
            "price": tree,
            "measure": INPUT,
            "input": {"type": "object"},
            "output": {"type": "object"},
        }
        | changes
    )


@pytest.mark.parametrize(
    ("tree", "units", "minor"),
    [
        (CALL, 1, 400_000),
        (CALL, 500, 400_000),
        (UNIT, 7, 7_000),
        (TIERS, 1, 30_000),
        (TIERS, 10, 300_000),
        (TIERS, 11, 320_000),
        (TIERS, 100, 2_100_000),
        (TIERS, 101, 2_110_000),
        (FLAT, 1, 500_000),
        (FLAT, 20, 500_000),
        (FLAT, 21, 510_000),
        (FLAT, 120, 1_500_000),
    ],
)
def test_each_form_has_its_sum(tree: dict[str, Any], units: int, minor: int):
    assert price_minor(price(tree), units) == minor


@pytest.mark.parametrize(
    ("tree", "minor"), [(CALL, 400_000), (UNIT, 1_000), (TIERS, 30_000), (FLAT, 500_000)]
)
def test_prices_are_compared_by_the_most_that_one_unit_can_cost(tree: dict[str, Any], minor: int):
    """S17: a first tier for nothing does not make the whole look cheap."""
    dear_behind = [{"up_to": 1, "amount": "0.000001"}, {"amount": "9"}]

    assert compared_minor(price(tree)) == minor
    assert compared_minor(price(TIERS | {"tiers": dear_behind})) == 9_000_000
    assert compared_minor(price(FLAT | {"beyond": "3"})) == 3_000_000


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (UNIT | {"amount": "0"}, "above zero"),
        (CALL | {"amount": "-1"}, "amount"),
        (CALL | {"per": "month"}, "price.per"),
        (CALL | {"valid_until": "soon"}, "valid_until"),
        (CALL | {"valid_seconds": 0}, "valid_seconds"),
        (CALL | {"includes": 2}, "includes"),
        (TIERS | {"tiers": []}, "tiers"),
        (TIERS | {"tiers": [{"up_to": 10, "amount": "1"}]}, "the last has none"),
        (TIERS | {"tiers": [{"amount": "1"}, {"amount": "1"}]}, "above the one before"),
        (
            TIERS | {"tiers": [{"up_to": 5, "amount": "1"}] * 2 + [{"amount": "1"}]},
            "above the one before",
        ),
        (TIERS | {"tiers": [{"up_to": 0, "amount": "1"}, {"amount": "1"}]}, "up_to"),
        (TIERS | {"tiers": [{"up_to": 5, "amount": "0"}, {"amount": "1"}]}, r"tiers\[0\].amount"),
        (FLAT | {"beyond": "0"}, "beyond"),
        (FLAT | {"includes": 0}, "includes"),
        ({"per": "flat", "amount": "1", **XTS}, "includes"),
    ],
)
def test_a_price_that_cannot_be_paid_by_is_refused_by_name(tree: dict[str, Any], words: str):
    """M4: nothing is sold for zero, or for less."""
    with pytest.raises(BadManifest, match=words):
        manifest(tree)


@pytest.mark.parametrize("tree", [UNIT, TIERS, FLAT])
def test_a_price_by_units_says_what_a_unit_is(tree: dict[str, Any]):
    with pytest.raises(BadManifest, match="measure"):
        manifest(tree, measure=None)


@pytest.mark.parametrize(
    ("tree", "measure", "words"),
    [
        (CALL, DELIVERED, "not 'call'"),
        (UNIT, {"unit": "token", "counts": "delivered"}, "at_most"),
        (UNIT, DELIVERED | {"of": "pages"}, "no of"),
        (UNIT, DELIVERED | {"size": 2}, "no size"),
        (UNIT, INPUT | {"at_most": 5}, "no at_most"),
        (UNIT, {"unit": "page", "counts": "items"}, "it has of"),
    ],
)
def test_a_measure_counts_in_the_input_or_in_the_delivery(
    tree: dict[str, Any], measure: dict[str, Any], words: str
):
    with pytest.raises(BadManifest, match=words):
        manifest(tree, measure=measure)


def test_what_is_counted_as_it_is_delivered_is_quoted_as_a_cap():
    metered = manifest(UNIT, measure=DELIVERED)

    assert metered.units_of({"anything": 1}) == 1_000
    assert metered.terms(1_000).is_cap
    assert not manifest(UNIT).terms(4).is_cap


@pytest.mark.parametrize(
    ("tree", "minor", "units"),
    [
        (UNIT, 999, 0),
        (UNIT, 1_000, 1),
        (UNIT, 1_999, 1),
        (UNIT, 10**9, 500),
        (TIERS, 319_999, 10),
        (TIERS, 320_000, 11),
        (FLAT, 499_999, 0),
        (FLAT, 500_000, 20),
        (FLAT, 510_000, 21),
    ],
)
def test_a_cap_buys_as_many_units_as_it_covers(tree: dict[str, Any], minor: int, units: int):
    assert affordable_units(price(tree), minor, at_most=500) == units


@pytest.mark.parametrize(
    ("tree", "delivered", "accepted", "cancelled"),
    [
        (CALL, 0, 400_000, 0),
        (CALL, 10, 400_000, 100_000),
        (UNIT, 10, 10_000, 10_000),
        (TIERS, 10, 300_000, 300_000),
        (TIERS, 40, 900_000, 900_000),
        (FLAT, 0, 500_000, 0),
        (FLAT, 10, 500_000, 250_000),
        (FLAT, 30, 600_000, 600_000),
    ],
)
def test_a_part_earns_by_its_form(
    tree: dict[str, Any], delivered: int, accepted: int, cancelled: int
):
    terms = terms_of(price(tree), 40, is_cap=False)

    def earned(*, is_accepted: bool) -> int:
        return earned_minor(
            terms,
            amount_minor=terms.list_minor,
            units=40,
            delivered=delivered,
            is_accepted=is_accepted,
        )

    assert (earned(is_accepted=True), earned(is_accepted=False)) == (accepted, cancelled)


amounts = st.integers(1, 10**7).map(lambda minor: f"{minor // 10**6}.{minor % 10**6:06}")
tiers = st.lists(st.tuples(st.integers(1, 200), amounts), max_size=5, unique_by=lambda t: t[0])
prices = st.one_of(
    amounts.map(lambda amount: CALL | {"amount": amount}),
    amounts.map(lambda amount: UNIT | {"amount": amount}),
    st.tuples(tiers, amounts).map(
        lambda made: (
            TIERS
            | {
                "tiers": [
                    *({"up_to": end, "amount": amount} for end, amount in sorted(made[0])),
                    {"amount": made[1]},
                ]
            }
        )
    ),
    st.tuples(amounts, st.integers(1, 200), amounts).map(
        lambda made: FLAT | {"amount": made[0], "includes": made[1], "beyond": made[2]}
    ),
).map(price)


@given(prices, st.integers(1, 300), st.integers(1, 100))
def test_what_is_earned_never_shrinks_nor_exceeds_the_hold(tag: Price, units: int, percent: int):
    """M7: whatever the form, and whatever was bargained."""
    terms = terms_of(tag, units, is_cap=False)
    amount_minor = max(1, terms.list_minor * percent // 100)

    for is_accepted in (False, True):
        earned = [
            earned_minor(
                terms,
                amount_minor=amount_minor,
                units=units,
                delivered=delivered,
                is_accepted=is_accepted,
            )
            for delivered in range(units + 1)
        ]
        assert earned == sorted(earned)
        assert earned[-1] == amount_minor
        assert earned[0] >= 0
    assert (
        earned_minor(terms, amount_minor=amount_minor, units=units, delivered=0, is_accepted=False)
        == 0
    )


@given(prices, st.integers(1, 300))
def test_more_units_never_cost_less(tag: Price, units: int):
    assert price_minor(tag, units) <= price_minor(tag, units + 1)
    assert price_minor(tag, units + 1) - price_minor(tag, units) <= compared_minor(tag)


@given(prices, st.integers(1, 10**10), st.integers(1, 300))
def test_a_cap_is_met_and_not_exceeded(tag: Price, minor: int, at_most: int):
    units = affordable_units(tag, minor, at_most=at_most)

    assert units == 0 or price_minor(tag, units) <= minor
    assert units == at_most or price_minor(tag, units + 1) > minor


@pytest.mark.parametrize("basis_points", [0, 1, 150, 333, 9_999, 10_000])
@pytest.mark.parametrize("referral", [0, 500, 3_333])
def test_the_parts_make_up_the_whole_for_every_amount(basis_points: int, referral: int):
    """M12: fee, share and seller's part, for 1 to 10,000."""
    for amount_minor in range(1, 10_001):
        parts = split(amount_minor, fee_basis_points=basis_points, referral_basis_points=referral)
        assert sum(parts) == amount_minor
        assert min(parts) >= 0


@given(st.integers(1, 10**9), st.integers(1, 10_000), st.integers(0, 10_000))
def test_an_order_cut_into_a_hundred_pays_no_less(each: int, basis_points: int, spread: int):
    """M12: a hundred small orders cost as much in fees as one, or more."""
    orders = [each + number % (spread + 1) for number in range(100)]
    apart = sum(split(one, fee_basis_points=basis_points).fee_minor for one in orders)

    assert apart >= split(sum(orders), fee_basis_points=basis_points).fee_minor


@given(
    st.lists(st.integers(1, 10**9), min_size=1, max_size=30),
    st.integers(0, 10_000),
    st.integers(0, 5_000),
)
def test_captures_in_parts_share_out_what_one_capture_would(
    parts: list[int], basis_points: int, referral: int
):
    rates = {"fee_basis_points": basis_points, "referral_basis_points": referral}
    so_far = Split(0, 0, 0)
    for part in parts:
        step = next_part(so_far, sum(so_far) + part, **rates)
        assert sum(step) == part
        assert min(step) >= 0
        so_far = Split._make(map(sum, zip(so_far, step, strict=True)))

    assert so_far == split(sum(parts), **rates)


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_rate_that_changed_between_two_parts_takes_from_the_new_part_alone(
    first: int, second: int, before: int, after: int
):
    paid = split(first, fee_basis_points=before)

    step = next_part(paid, first + second, fee_basis_points=after, referral_basis_points=0)

    assert sum(step) == second
    assert min(step) >= 0


@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=20),
    st.integers(0, 10_000),
    st.integers(0, 5_000),
)
def test_refunds_in_parts_take_back_exactly_what_each_had_got(
    refunds: list[int], basis_points: int, referral: int
):
    """M11: who got a part gives that part back, and not more."""
    parts = split(sum(refunds), fee_basis_points=basis_points, referral_basis_points=referral)
    before, taken = 0, Split(0, 0, 0)
    for refund in refunds:
        step = given_back(parts, refund, before_minor=before)
        assert sum(step) == refund
        assert min(step) >= 0
        before += refund
        taken = Split._make(map(sum, zip(taken, step, strict=True)))

    assert taken == parts


@pytest.mark.parametrize(("per", "delivered", "minor"), [("unit", 3, 300), ("call", 3, 700)])
def test_orders_from_before_settle_as_they_did(per: str, delivered: int, minor: int):
    terms = plain_terms(per, amount_minor=700, units=7)

    earned = earned_minor(terms, amount_minor=700, units=7, delivered=delivered, is_accepted=True)

    assert earned == minor


def test_what_is_done_again_for_nothing_earns_nothing():
    terms = plain_terms("unit", amount_minor=0, units=7)

    assert earned_minor(terms, amount_minor=0, units=7, delivered=7, is_accepted=True) == 0


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        (CALL, "0.40 XTS per call"),
        (UNIT, "0.001 XTS per page"),
        (TIERS, "0.03 XTS up to 10, then 0.02 XTS up to 100, then 0.01 XTS, per page"),
        (FLAT, "0.50 XTS for up to 20 (page), 0.01 XTS per more"),
    ],
)
def test_people_read_a_price_in_words(tree: dict[str, Any], words: str):
    assert price_words(price(tree), "page") == words


def test_the_largest_price_is_reckoned_exactly():
    most = price(UNIT | {"amount": "9007199254.740991"})

    assert price_minor(most, 1) == MAX_MINOR
    assert affordable_units(most, MAX_MINOR, at_most=2**40) == 1
