"""The trust rule: from counted facts to a score."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.trust.scoring import MICRO, Counts, Standing, flags_of, score_of, voice

COUNTS = st.builds(Counts, *[st.integers(0, 50)] * 6)


def evidence_of(*buyers: Counts) -> tuple[int, int]:
    voices = [voice(buyer) for buyer in buyers]
    return sum(v.good_micro for v in voices), sum(v.bad_micro for v in voices)


def test_nobody_knows_a_seller_without_facts():
    score, confidence = score_of(0, 0)

    assert score == round(0.5 - math.sqrt(1 / 12), 4) == 0.2113
    assert confidence == 0.0


def test_a_first_order_speaks_with_the_documented_voice():
    good_micro, bad_micro = voice(Counts(settled=1))

    assert (good_micro, bad_micro) == (round(2 * (1 - math.exp(-0.5)) * MICRO), 0)


def test_the_score_is_the_mean_less_one_deviation_of_the_posterior():
    score, confidence = score_of(3 * MICRO, 1 * MICRO)

    assert score == round(4 / 6 - math.sqrt(4 * 2 / (36 * 7)), 4)
    assert confidence == 0.5


@given(COUNTS)
def test_one_buyer_never_weighs_more_than_two(counts: Counts):
    good_micro, bad_micro = voice(counts)

    assert min(good_micro, bad_micro) >= 0
    assert good_micro + bad_micro <= 2 * MICRO + 1


@given(COUNTS)
def test_a_cancelled_order_says_nothing(counts: Counts):
    assert voice(counts) == voice(counts._replace(cancelled=counts.cancelled + 1))


@given(st.integers(0, 2_000_000_000), st.integers(0, 2_000_000_000))
def test_scores_stay_between_zero_and_one(good_micro: int, bad_micro: int):
    score, confidence = score_of(good_micro, bad_micro)

    assert 0 <= score <= 1
    assert 0 <= confidence < 1.0001


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_praise_never_lowers_a_score_and_blame_never_raises_it(good: int, bad: int, more: int):
    assert score_of(good + more, bad).score >= score_of(good, bad).score
    assert score_of(good, bad + more).score <= score_of(good, bad).score


def test_many_buyers_outweigh_one_faithful_buyer():
    faithful = evidence_of(Counts(settled=100))
    many = evidence_of(*[Counts(settled=1)] * 10)

    assert score_of(*many).score > score_of(*faithful).score


def test_what_the_ledger_saw_outranks_what_a_review_says():
    praised_refund = evidence_of(Counts(settled=1, refunded=1, reviews_good=1))
    blamed_order = evidence_of(Counts(settled=1, reviews_bad=1))

    assert praised_refund[0] < praised_refund[1]
    assert blamed_order[0] > blamed_order[1]


def test_a_refund_takes_the_good_of_its_order_away():
    assert voice(Counts(settled=1, refunded=1)).good_micro == 0


@pytest.mark.parametrize(
    ("standing", "flags"),
    [
        (Standing(), ["new"]),
        (Standing(settled=2), ["new"]),
        (Standing(settled=3), []),
        (Standing(settled=3, good_micro=1, bad_micro=1), []),
        (Standing(settled=3, good_micro=1, bad_micro=2), ["low_score"]),
        (Standing(settled=3, price_changes=2, price_raises=1), []),
        (Standing(settled=3, price_changes=3, price_raises=2), ["price_rising"]),
    ],
)
def test_flags_are_raised_at_their_edges(standing: Standing, flags: list[str]):
    assert flags_of(standing) == flags
