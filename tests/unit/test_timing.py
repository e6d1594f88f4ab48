"""Latency of stages and orders, over moments planted by hand."""

import pytest

from market.analytics import Facts, latency
from tests.planted import NOON, after, planted


def market() -> Facts:
    """Finding took 1, 2 and 3 seconds and one is open; one order with an approval, one without."""
    times = [1.0, 2.0, 3.0, None]
    return planted(
        stages=[
            {"session_id": str(number), "stage": "finding", "entered_at": NOON,
             "left_at": None if seconds is None else after(seconds)}
            for number, seconds in enumerate(times)
        ],
        events=[
            {"session_id": "0", "offset": 1, "kind": "approval.requested", "order_id": "a",
             "recorded_at": after(10)},
            {"session_id": "0", "offset": 2, "kind": "approval.granted", "order_id": "a",
             "recorded_at": after(40)},
        ],
        orders=[
            {"order_id": "a", "placed_at": after(10), "units": 4, "units_delivered": 4,
             "ended_at": after(60)},
            {"order_id": "b", "placed_at": after(10), "units": 4, "units_delivered": 2,
             "ended_at": after(99)},
        ],
        chunks=[
            {"order_id": "a", "index": 0, "delivered_at": after(45)},
            {"order_id": "a", "index": 1, "delivered_at": after(55)},
            {"order_id": "b", "index": 0, "delivered_at": after(17)},
        ],
    )  # fmt: skip


def test_stages_and_orders_are_timed_in_the_order_of_a_journey():
    found = latency(market())

    assert found.select("measure", "measured", "p50_seconds", "max_seconds").rows() == [
        ("finding", 3, 2.0, 3.0),
        ("approval", 1, 30.0, 30.0),
        # From the approval 5 seconds, from the placement 7.
        ("first_chunk", 2, 6.0, 7.0),
        # One was never delivered whole.
        ("delivery", 1, 15.0, 15.0),
        ("settlement", 1, 5.0, 5.0),
    ]


def test_percentiles_lie_between_two_values_in_proportion():
    found = latency(market()).row(0, named=True)

    assert (found["p95_seconds"], found["p99_seconds"]) == pytest.approx((2.9, 2.98))
