"""Amounts are exact: what is split sums to the whole, and text forms lose nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.protocol.money import (
    EXPONENTS,
    MAX_MINOR,
    Money,
    NotMoney,
    decimal_text,
    parse_amount,
    pro_rata,
    share,
)

AMOUNTS = st.integers(0, MAX_MINOR)


def test_an_amount_of_unknown_decimals_is_told_in_minor_units() -> None:
    assert str(Money(400_000, "XTS")) == "0.40 XTS"
    assert str(Money(1_250, "CHF")) == "1250 CHF (minor units)"


@given(AMOUNTS, st.integers(0, 10_000))
def test_a_share_and_its_rest_are_both_whole_and_never_negative(
    amount_minor: int, basis_points: int
) -> None:
    part = share(amount_minor, basis_points)

    assert 0 <= part <= amount_minor
    assert part * 10_000 <= amount_minor * basis_points < (part + 1) * 10_000


def test_every_small_amount_is_split_without_loss() -> None:
    for amount_minor in range(1, 10_001):
        fee = share(amount_minor, 150)
        assert fee + (amount_minor - fee) == amount_minor
        assert 0 <= fee < amount_minor


@given(AMOUNTS, st.lists(st.integers(0, 1_000), min_size=1, max_size=20))
def test_what_is_captured_unit_by_unit_sums_to_the_whole(
    amount_minor: int, deliveries: list[int]
) -> None:
    whole = max(1, sum(deliveries))
    captured, delivered = 0, 0

    for units in deliveries:
        delivered += units
        step = pro_rata(amount_minor, part=delivered, whole=whole) - captured
        assert step >= 0
        captured += step

    assert captured == (amount_minor if sum(deliveries) else 0)


@given(AMOUNTS, st.integers(0, 2**40), st.integers(1, 2**40))
def test_pro_rata_is_never_more_than_the_whole(amount_minor: int, part: int, whole: int) -> None:
    assert 0 <= pro_rata(amount_minor, part=part, whole=whole) <= amount_minor


def test_more_units_than_ordered_cost_no_more() -> None:
    assert pro_rata(700, part=9, whole=7) == 700


@given(st.integers(0, MAX_MINOR), st.sampled_from(sorted(EXPONENTS)))
def test_text_and_minor_units_are_two_forms_of_one_amount(amount_minor: int, currency: str) -> None:
    text = decimal_text(amount_minor, currency)
    if len(text.partition(".")[0]) <= 10:
        assert parse_amount(text, currency) == amount_minor


@pytest.mark.parametrize(
    ("text", "currency", "amount_minor"),
    [
        ("0.40", "XTS", 400_000),
        ("1.25", "XTS", 1_250_000),
        ("0.000001", "XTS", 1),
        ("12", "USD", 1_200),
        ("0.1", "EUR", 10),
        ("500", "JPY", 500),
    ],
)
def test_decimals_become_minor_units(text: str, currency: str, amount_minor: int) -> None:
    assert parse_amount(text, currency) == amount_minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("", "XTS"),
        ("-1", "XTS"),
        ("+1", "XTS"),
        ("1e3", "XTS"),
        ("1.", "XTS"),
        (".5", "XTS"),
        ("1.0000001", "XTS"),
        ("1.0000000000000000001", "XTS"),
        ("0.001", "USD"),
        ("1.5", "JPY"),
        ("1,5", "EUR"),
        ("NaN", "XTS"),
        ("Infinity", "XTS"),
        ("1_000", "XTS"),
        ("\u0661", "XTS"),
        ("9999999999", "XTS"),
        ("1.00", "XXX"),
        (" 1", "XTS"),
    ],
)
def test_what_is_no_amount_is_refused(text: str, currency: str) -> None:
    with pytest.raises(NotMoney):
        parse_amount(text, currency)


def test_too_many_decimals_are_named() -> None:
    with pytest.raises(NotMoney, match="has more than 6 decimals for XTS"):
        parse_amount("0.0000001", "XTS")


@pytest.mark.parametrize(
    ("amount_minor", "currency", "text"),
    [
        (400_000, "XTS", "0.40"),
        (1, "XTS", "0.000001"),
        (-1_250_000, "XTS", "-1.25"),
        (0, "XTS", "0.00"),
        (1_200, "USD", "12.00"),
        (500, "JPY", "500"),
    ],
)
def test_people_read_two_decimals_or_as_many_as_it_takes(
    amount_minor: int, currency: str, text: str
) -> None:
    assert decimal_text(amount_minor, currency) == text
    assert str(Money(amount_minor, currency)) == f"{text} {currency}"
