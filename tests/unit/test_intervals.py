"""Intervals against published tables and worked examples."""

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.analytics.intervals import paired, student_t, welch, with_share


def share(part: int, of: int) -> tuple[float | None, ...]:
    return pl.DataFrame({"part": [part], "of": [of]}).select(with_share("part", "of")).row(0)


@pytest.mark.parametrize(
    ("part", "of", "low", "high"),
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_a_share_has_wilsons_interval(part: int, of: int, low: float, high: float):
    assert share(part, of) == pytest.approx((part / of, low, high), abs=5e-5)


def test_nothing_of_nothing_is_no_share():
    assert share(0, 0) == (None, None, None)


@given(of=st.integers(1, 10_000), data=st.data())
def test_the_interval_holds_the_share_and_stays_within_0_and_1(of: int, data: st.DataObject):
    part = data.draw(st.integers(0, of))

    found, low, high = share(part, of)

    assert 0 <= low <= found <= high <= 1


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2, column 0.975.
    [(1, 12.706), (2, 4.303), (4, 2.776), (9, 2.262), (30, 2.042), (100, 1.984)],
)
def test_students_t_is_that_of_the_tables(freedom: float, quantile: float):
    assert student_t(freedom) == pytest.approx(quantile, abs=5e-4)


def test_pairs_are_compared_by_their_differences():
    found = paired([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])

    # Differences 1, 2, 3: mean 2, deviation 1; 2 +- 4.30265 / sqrt(3).
    half = 4.302652729749464 / math.sqrt(3)
    assert found == pytest.approx((2.0, 2.0 - half, 2.0 + half))


def test_runs_that_are_no_pairs_are_compared_after_welch():
    # Variances 1 and 4 over 3 and 3 runs: spread 5/3, freedom (5/3)^2 / ((1/9 + 16/9) / 2) = 50/17.
    found = welch([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])

    half = student_t(50 / 17) * math.sqrt(5 / 3)
    assert found == pytest.approx((2.0, 2.0 - half, 2.0 + half))
    assert 3.182 < student_t(50 / 17) < 4.303


def test_one_run_tells_nothing_about_chance():
    assert paired([1.0], [3.0]) == (2.0, None, None)
    assert welch([1.0], [3.0, 4.0]) == (2.5, None, None)


def test_what_never_varies_differs_for_sure():
    assert paired([1.0, 1.0], [3.0, 3.0]) == (2.0, 2.0, 2.0)
    assert welch([1.0, 1.0], [3.0, 3.0, 3.0]) == (2.0, 2.0, 2.0)
