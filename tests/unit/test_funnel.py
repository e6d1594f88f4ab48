"""The funnel and the reasons, over journeys planted by hand."""

from typing import Any

from market.analytics import Facts, funnel, reasons
from market.protocol.events import STAGES
from tests.planted import NOON, after, planted


def stage(session: str, name: str, outcome: str, **more: Any) -> dict[str, Any]:
    return {
        "session_id": session,
        "stage": name,
        "opened_at": NOON,
        "entered_at": NOON,
        "outcome": outcome,
        **more,
    }


def journeys() -> Facts:
    """Three journeys: one passes two stages and is open, two leave while evaluating."""
    return planted(
        stages=[
            stage("a", "finding", "passed", left_at=after(1)),
            stage("a", "evaluating", "passed", entered_at=after(1), left_at=after(4)),
            stage("a", "trust_checking", "open", entered_at=after(4)),
            stage("b", "finding", "passed", left_at=after(3)),
            stage(
                "b", "evaluating", "left", entered_at=after(3), left_at=after(4),
                reason="price", amount_minor=400_000, currency="XTS",
            ),
            stage("c", "finding", "passed", left_at=after(8), opened_at=after(60)),
            stage(
                "c", "evaluating", "left", entered_at=after(8), left_at=after(9),
                reason="price", opened_at=after(60),
            ),
        ]
    )  # fmt: skip


def test_every_stage_is_counted_in_the_order_of_a_journey():
    counted = funnel(journeys())

    assert counted["stage"].to_list() == list(STAGES)
    assert counted["reached"].to_list() == [3, 3, 1, 0, 0, 0]
    assert counted["passed"].to_list() == [3, 1, 0, 0, 0, 0]
    assert counted["left"].to_list() == [0, 2, 0, 0, 0, 0]
    assert counted["open"].to_list() == [0, 0, 1, 0, 0, 0]


def test_shares_are_of_those_that_reached_the_stage_and_of_all():
    counted = funnel(journeys())

    assert counted["step_share"].to_list() == [1, 1 / 3, 0, None, None, None]
    assert counted["total_share"].to_list() == [1, 1 / 3, 0, 0, 0, 0]


def test_the_median_time_is_of_those_that_are_through():
    counted = funnel(journeys())

    assert counted["median_seconds"].to_list() == [3, 1, None, None, None, None]


def test_the_entry_decides_the_cohort_also_of_later_stages():
    early = funnel(journeys(), until=after(60))
    late = funnel(journeys(), since=after(60))

    assert early["reached"].to_list() == [2, 2, 1, 0, 0, 0]
    assert late["reached"].to_list() == [1, 1, 0, 0, 0, 0]


def test_without_journeys_there_is_nothing_to_divide():
    counted = funnel(planted())

    assert counted["reached"].to_list() == [0] * 6
    assert counted["total_share"].to_list() == [None] * 6


def test_reasons_are_counted_by_stage_with_the_money_at_stake():
    found = reasons(journeys())

    assert found.rows() == [("evaluating", "price", 2, 400_000, "XTS")]


def test_amounts_of_two_currencies_are_not_added_up():
    left = {"left_at": after(1), "reason": "budget"}
    facts = planted(
        stages=[
            stage("a", "transacting", "left", amount_minor=5, currency="XTS", **left),
            stage("b", "transacting", "left", amount_minor=7, currency="EUR", **left),
            stage("c", "transacting", "left", amount_minor=9, currency="EUR", **left),
            stage("d", "finding", "left"),
        ]
    )

    assert reasons(facts).rows() == [
        ("finding", None, 1, 0, None),
        ("transacting", "budget", 2, 16, "EUR"),
        ("transacting", "budget", 1, 5, "XTS"),
    ]
