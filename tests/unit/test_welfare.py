"""Surplus and welfare, over journeys planted by hand."""

from typing import Any

from market.analytics import Facts, surplus, welfare
from tests.planted import planted

SERVICES = [
    {"service_id": name, "currency": "XTS"} for name in ("cheap", "dear", "unfit", "foreign")
]


def weighed(session: str, limit_minor: int | None, prices: dict[str, int], **more: Any) -> dict:
    alternatives = [
        {"service_id": service, "amount_minor": price, "limit_minor": limit_minor,
         "reason": "price" if limit_minor and price > limit_minor else None}
        for service, price in prices.items()
    ]  # fmt: skip
    return {
        "session_id": session, "offset": 3, "stage": "evaluating", "buyer_id": f"buyer-{session}",
        "currency": "XTS", "alternatives": alternatives, **more,
    }  # fmt: skip


def order(session: str, service: str, paid_minor: int, **more: Any) -> dict:
    return {
        "order_id": f"ord-{session}-{service}", "session_id": session, "service_id": service,
        "state": "settled", "captured_minor": paid_minor, "refunded_minor": 0, "units": 4,
        "units_delivered": 4, "currency": "XTS", **more,
    }  # fmt: skip


BOTH = {"dear": 60, "cheap": 30}


def market() -> Facts:
    """Six journeys; five say that the job is worth 100 to them, one of these sees 60 at most."""
    return planted(
        services=SERVICES,
        decisions=[
            weighed("bought", 100, BOTH),
            weighed("half", 100, BOTH),
            weighed("failed", 100, BOTH),
            weighed("spoilt", 100, {"dear": 60}),
            weighed("too-dear", 100, {"dear": 120}),
            weighed("silent", None, BOTH),
        ],
        orders=[
            order("bought", "dear", 60),
            order("half", "cheap", 15, state="cancelled", units_delivered=2),
            order("failed", "cheap", 0, state="failed", units_delivered=1),
            order("spoilt", "dear", 60, refunded_minor=20),
            order("silent", "cheap", 30),
        ],
        stages=[{"session_id": "spoilt", "stage": "using", "outcome": "left", "reason": "quality"}],
    )


def test_each_journey_is_held_against_its_best():
    found = surplus(market())

    columns = ("session_id", "value_minor", "paid_minor", "surplus_minor", "best_surplus_minor")
    assert found.select(columns).rows() == [
        ("bought", 100, 60, 40, 70),
        ("failed", 0, 0, 0, 70),
        ("half", 50, 15, 35, 70),
        ("spoilt", 0, 40, -40, 40),
        # What costs more than it is worth to a buyer is no gain to it.
        ("too-dear", 0, 0, 0, 0),
    ]
    assert found["best_surplus_service_id"].to_list() == ["cheap"] * 3 + ["dear", None]


def test_welfare_counts_costs_and_not_prices():
    found = surplus(market(), costs={"cheap": 90, "dear": 8})

    columns = ("session_id", "welfare_minor", "best_welfare_minor", "best_service_id")
    assert found.select(columns).rows() == [
        ("bought", 92, 92, "dear"),
        # A quarter of the work was done and came to nothing: 90 // 4.
        ("failed", -22, 92, "dear"),
        ("half", 5, 92, "dear"),
        ("spoilt", -8, 92, "dear"),
        ("too-dear", 0, 92, "dear"),
    ]


def test_capacities_are_given_to_those_who_gain_most_by_them():
    found = surplus(market(), capacities={"cheap": 1, "dear": 1})

    best = dict(found.select("session_id", "best_surplus_service_id").iter_rows())
    assert sorted(service for service in best.values() if service) == ["cheap", "dear"]
    assert found["best_surplus_minor"].sum() == 70 + 40


def test_the_whole_market_is_the_sum_of_its_journeys():
    assert welfare(market()).rows(named=True) == [
        {
            "currency": "XTS", "journeys": 5, "served": 2, "value_minor": 150, "paid_minor": 115,
            "surplus_minor": 35, "best_surplus_minor": 250, "surplus_share": 0.14,
            "welfare_minor": 150, "best_welfare_minor": 500, "welfare_share": 0.3,
        }
    ]  # fmt: skip


def test_a_job_that_took_two_orders_is_worth_it_once():
    facts = planted(
        services=SERVICES,
        decisions=[weighed("a", 100, BOTH)],
        orders=[
            order("a", "cheap", 30, refunded_minor=30, units_delivered=1),
            order("a", "dear", 60),
        ],
    )

    assert surplus(facts).select("service_id", "value_minor", "paid_minor").rows() == [
        ("dear", 100, 60)
    ]


def test_an_offer_that_a_buyer_lists_twice_counts_once():
    decision = weighed("a", 100, BOTH)
    decision["alternatives"] = decision["alternatives"] * 2
    facts = planted(services=SERVICES, decisions=[decision], orders=[order("a", "dear", 60)])

    for capacities in ({}, {"dear": 1, "cheap": 1}):
        found = surplus(facts, costs={"dear": 8, "cheap": 9}, capacities=capacities)
        columns = ("value_minor", "paid_minor", "welfare_minor", "best_surplus_minor")
        assert found.select(columns).rows() == [(100, 60, 92, 70)]


def test_a_journey_that_weighs_two_currencies_is_one_row_in_its_first():
    services = [
        {"service_id": "dear", "currency": "XTS"},
        {"service_id": "cheap", "currency": "EUR"},
    ]
    facts = planted(services=services, decisions=[weighed("a", 100, BOTH)], orders=[])

    for capacities in ({}, {"dear": 1, "cheap": 1}):
        found = surplus(facts, capacities=capacities)
        columns = ("currency", "best_surplus_service_id", "best_surplus_minor")
        assert found.select(columns).rows() == [("XTS", "dear", 40)]
