"""A run in numbers, and sets of runs held side by side, over markets planted by hand."""

import math
from typing import Any

import polars as pl
import pytest

from market.analytics import Facts, Replica, compare, metrics_of
from market.analytics.intervals import student_t
from tests.planted import NOON, after, planted


def market(prices: list[int], journeys: int = 4, **more: Any) -> Facts:
    """So many journeys, of which one bought at each of the prices, all from acme."""
    sessions = [f"ses-{number}" for number in range(journeys)]
    orders = [
        {"order_id": f"ord-{number}", "session_id": session, "seller_id": "acme",
         "state": "settled", "amount_minor": price, "captured_minor": price, "fee_minor": 0,
         "referral_minor": 0, "returned_minor": 0, "refunded_minor": 0, "currency": "XTS"}
        for number, (session, price) in enumerate(zip(sessions, prices, strict=False))
    ]  # fmt: skip
    left = [
        {"session_id": session, "stage": "finding", "opened_at": NOON, "entered_at": NOON,
         "outcome": "left", "left_at": after(2), "reason": "price"}
        for session in sessions[len(prices) :]
    ]  # fmt: skip
    frames = {
        "sessions": [{"session_id": session} for session in sessions],
        "orders": orders,
        "stages": left,
        "sightings": [
            {"session_id": session, "offset": 0, "place": 1, "seller_id": "acme"}
            for session in sessions
        ],
        "agents": [{"agent_id": "acme", "handle": "acme-works"}],
    }
    return planted(**(frames | more))


def value(found: pl.DataFrame, metric: str, subject: str | None = None) -> Any:
    is_it = (pl.col("metric") == metric) & pl.col("subject").eq_missing(subject)
    return found.filter(is_it)["value"].item()


def row(found: pl.DataFrame, metric: str, subject: str | None = None) -> dict[str, Any]:
    is_it = (pl.col("metric") == metric) & pl.col("subject").eq_missing(subject)
    return found.filter(is_it).row(0, named=True)


def test_a_run_is_told_in_numbers():
    found = metrics_of(market([30, 50]))

    assert [value(found, name) for name in ("journeys", "bought", "conversion")] == [4, 2, 0.5]
    assert [value(found, name) for name in ("revenue", "mean_price")] == [80, 40]
    assert value(found, "left", "price") == 2
    assert value(found, "passed", "finding") == 0
    assert value(found, "seconds", "finding") == 2
    assert value(found, "seller_conversion", "acme-works") == 0.5
    assert value(found, "seller_revenue", "acme-works") == 80


def test_runs_under_the_same_seeds_are_pairs_in_whatever_order():
    before = [Replica(market([10]), 1), Replica(market([20]), 2), Replica(market([60]), 3)]
    later = [Replica(market([63]), 3), Replica(market([11]), 1), Replica(market([22]), 2)]

    found = row(compare(before, later), "revenue")

    # Differences 1, 2, 3: mean 2, deviation 1.
    half = student_t(2) / math.sqrt(3)
    assert found["method"] == "paired t"
    assert (found["before"], found["after"], found["difference"]) == (30, 32, 2)
    assert (found["low"], found["high"]) == pytest.approx((2 - half, 2 + half))
    assert found["is_clear"] is False


def test_runs_under_other_seeds_are_compared_by_their_means():
    before = [Replica(market([number]), number) for number in (10, 11, 12)]
    later = [Replica(market([number]), number) for number in (20, 21, 22)]

    found = row(compare(before, later), "revenue")

    # Variances 1 and 1 over 3 and 3 runs: spread 2/3, freedom 4.
    half = student_t(4) * math.sqrt(2 / 3)
    assert (found["method"], found["difference"], found["is_clear"]) == ("Welch t", 10, True)
    assert (found["low"], found["high"]) == pytest.approx((10 - half, 10 + half))


def test_one_run_of_each_tells_a_difference_and_no_interval():
    found = row(compare([Replica(market([10]))], [Replica(market([15]))]), "revenue")

    assert (found["difference"], found["low"], found["is_clear"]) == (5, None, None)
    assert (found["runs_before"], found["runs_after"]) == (1, 1)


def test_what_a_run_has_none_of_is_0_if_it_can_be_added_and_else_left_out():
    none, one = Replica(market([], journeys=2), 1), Replica(market([10], journeys=2), 2)

    found = compare([none, one], [one, none])

    assert (row(found, "bought")["before"], row(found, "bought")["runs_before"]) == (0.5, 2)
    assert (row(found, "revenue")["before"], row(found, "revenue")["runs_before"]) == (5, 2)
    assert (row(found, "mean_price")["before"], row(found, "mean_price")["runs_before"]) == (10, 1)


def test_a_metric_of_one_side_alone_has_a_row_without_a_difference():
    silent = market([10], stages=[])

    found = row(compare([Replica(market([10]))], [Replica(silent)]), "seconds", "finding")

    assert (found["before"], found["after"], found["difference"]) == (2, None, None)
