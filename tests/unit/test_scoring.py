"""The trust rule ``anchored-1``: what one order, one pair and one seller amount to."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.trust.scoring import (
    MICRO,
    Memory,
    Outcome,
    Standing,
    aged,
    flags_of,
    halved,
    heard,
    order_weight,
    score_of,
    shares,
    voice,
)

SUMS = st.integers(0, 40 * MICRO)
LONG = st.builds(Memory, SUMS, SUMS, SUMS, SUMS)


def settled(**changes: object) -> Outcome:
    return Outcome(ending="settled", amount_minor=100)._replace(**changes)


@given(st.floats(0, 60))
def test_halving_is_what_the_mathematics_say(times: float):
    assert math.isclose(halved(times), 0.5**times, rel_tol=1e-11)


@given(SUMS, SUMS)
def test_one_voice_never_weighs_more_than_two(good: int, bad: int):
    spoken = voice(good, bad)

    assert min(spoken) >= 0
    assert sum(spoken) <= 2 * MICRO + 1


def test_a_voice_is_one_less_the_exponential():
    assert voice(MICRO, 0) == (round(2 * (1 - math.exp(-0.5)) * MICRO), 0)
    assert voice(0, 0) == (0, 0)


@pytest.mark.parametrize(
    ("amount", "typical", "weight"),
    [(10, 10, 1.0), (40, 10, 2.0), (41, 10, 2.0), (1, 100, 0.1), (0, 10, 0.0), (7, None, 1.0)],
)
def test_an_order_weighs_by_the_root_of_its_price(amount: int, typical: int | None, weight: float):
    assert order_weight(amount, typical) == round(weight * MICRO)


@pytest.mark.parametrize(
    ("outcome", "good", "bad"),
    [
        (settled(), 0.25, 0),
        (settled(verdict="good"), 1, 0),
        (settled(verdict="bad"), 0, 0.5),
        (settled(refunded_minor=100, verdict="good"), 0, 1),
        (settled(refunded_minor=50, verdict="good"), 0.5, 0.5),
        (settled(refunded_minor=50, verdict="bad"), 0, 0.75),
        (settled(ending="failed", verdict="good"), 0, 1),
        (settled(ending="cancelled"), 0, 0),
        (settled(ending="cancelled", verdict="good"), 1, 0),
        (Outcome(), 0, 0),
    ],
)
def test_the_ledger_goes_first_and_a_review_says_the_rest(
    outcome: Outcome, good: float, bad: float
):
    """T3: the ledger outranks the text."""
    assert shares(outcome) == (round(good * MICRO), round(bad * MICRO))


def test_where_reviews_are_not_heard_an_order_is_silent():
    assert heard(settled(verdict="bad")) == shares(settled())


def test_age_halves_a_weight_every_thirty_days():
    assert aged(MICRO, day=10, today=40) == MICRO // 2
    assert aged(MICRO, day=40, today=10) == MICRO


def test_nobody_knows_a_seller_without_facts():
    found = score_of(Memory())

    assert found.long == found.score == 0.35 == round(0.5 - 0.6 * 0.25, 4)
    assert (found.short, found.confidence) == (0.9367, 0.0)


def test_the_long_memory_is_the_mean_less_six_tenths_of_a_deviation():
    found = score_of(Memory(vouched_good=3 * MICRO, vouched_bad=1 * MICRO))

    a, b = 4.5, 2.5
    deviation = math.sqrt(a * b / ((a + b) ** 2 * (a + b + 1)))
    assert found.long == round(a / (a + b) - 0.6 * deviation, 4)
    assert found.confidence == 0.5


def test_the_crowd_is_one_voice_however_large_it_is():
    """T1: all unvouched weight together is cut to one voice."""
    small, large = score_of(Memory(crowd_good=20 * MICRO)), score_of(Memory(crowd_good=10**12))

    assert small.good <= large.good == 2.0
    assert score_of(Memory(vouched_good=3 * MICRO)).score > large.score


def test_failures_bring_the_short_memory_down_within_a_few_orders():
    """T5: a long good record does not hide that the last orders failed."""
    good = Memory(vouched_good=60 * MICRO, last_vouched_good=4 * MICRO)
    failing = good._replace(since_vouched=6 * MICRO, since_vouched_bad=6 * MICRO)

    assert score_of(good).score > 0.9
    assert score_of(failing).long > 0.9
    assert score_of(failing).score < 0.4


@given(LONG, SUMS)
def test_praise_never_lowers_the_long_memory_and_blame_never_raises_it(known: Memory, more: int):
    long = score_of(known).long

    assert score_of(known._replace(vouched_good=known.vouched_good + more)).long >= long
    assert score_of(known._replace(vouched_bad=known.vouched_bad + more)).long <= long


@given(st.builds(Memory, *[SUMS] * len(Memory._fields)))
def test_scores_stay_between_zero_and_one(known: Memory):
    found = score_of(known)

    assert 0 <= found.score == min(found.long, found.short) <= 1
    assert 0 <= found.confidence < 1.0001


@pytest.mark.parametrize(
    ("standing", "flags"),
    [
        (Standing(), ["new"]),
        (Standing(settled=2), ["new"]),
        (Standing(settled=3), []),
        (Standing(settled=3, vouched_good=1, vouched_bad=1), []),
        (Standing(settled=3, vouched_good=1, vouched_bad=2), ["low_score"]),
        (Standing(settled=3, price_changes=2, price_raises=1), []),
        (Standing(settled=3, price_changes=3, price_raises=2), ["price_rising"]),
    ],
)
def test_flags_are_raised_at_their_edges(standing: Standing, flags: list[str]):
    assert flags_of(standing) == flags
    assert flags_of(standing, is_ringed=True) == [*flags, "closed_ring"]
