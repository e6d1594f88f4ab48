"""First-proposal bias, over journeys planted by hand."""

from typing import Any

import pytest

from market.analytics import Facts, first_proposal
from tests.planted import planted


def proposed(session: str, services: dict[str, int], won: str, **more: Any) -> dict[str, list]:
    """A journey that was quoted these prices, in this order, and ordered ``won``."""
    return {
        "sessions": [{"session_id": session, "labels": '{"policy":"Quick"}', **more}],
        "sightings": [
            {"session_id": session, "offset": offset, "place": 1, "kind": "evaluating.quoted",
             "service_id": service, "amount_minor": amount_minor}
            for offset, (service, amount_minor) in enumerate(services.items())
        ],
        "orders": [{"order_id": f"ord-{session}", "session_id": session, "service_id": won}],
    }  # fmt: skip


def market(*journeys: dict[str, list], **frames: list[dict]) -> Facts:
    for journey in journeys:
        for name, rows in journey.items():
            frames[name] = [*frames.get(name, []), *rows]
    return planted(**frames)


def test_the_first_is_held_against_the_best_and_against_chance():
    found = first_proposal(
        market(
            proposed("1", {"dear": 50, "cheap": 30}, won="dear"),
            proposed("2", {"dear": 50, "cheap": 30}, won="dear"),
            proposed("3", {"dear": 50, "cheap": 30, "other": 40, "more": 60}, won="cheap"),
            proposed("4", {"cheap": 30, "dear": 50}, won="cheap"),
            proposed("5", {"only": 30}, won="only"),
        )
    ).row(0, named=True)

    assert (found["policy"], found["proposal"], found["journeys"]) == ("Quick", "quoted", 4)
    assert found["chance_share"] == (1 / 2 + 1 / 2 + 1 / 4 + 1 / 2) / 4
    assert (found["first_won"], found["share"]) == (3, 0.75)
    assert (found["contested"], found["first_over_best"], found["best_over_first"]) == (3, 2, 1)
    assert found["contested_share"] == 2 / 3
    assert (found["low"], found["high"]) == pytest.approx((0.300642, 0.954413), abs=1e-6)


def test_what_does_not_fit_is_not_the_best():
    unfit = {"service_id": "cheap", "reason": "schema_mismatch"}
    decision = {
        "session_id": "1", "offset": 9, "stage": "evaluating",
        "alternatives": [{"service_id": "dear", "reason": None}, unfit],
    }  # fmt: skip
    facts = market(
        proposed("1", {"dear": 50, "cheap": 30}, won="dear"),
        decisions=[decision],
    )

    found = first_proposal(facts).row(0, named=True)

    assert (found["journeys"], found["contested"]) == (1, 0)
    assert found["contested_share"] is None


def test_listings_are_told_apart_from_quotes_and_the_first_with_services_counts():
    listing = [
        {"session_id": "1", "offset": offset, "place": place, "kind": "finding.listed",
         "service_id": service, "amount_minor": amount_minor}
        for offset, place, service, amount_minor in [
            (1, 1, "dear", 50), (1, 2, "cheap", 30), (4, 1, "later", 10),
        ]
    ]  # fmt: skip
    journey = proposed("1", {}, won="cheap") | {"sightings": listing}

    found = first_proposal(market(journey)).row(0, named=True)

    assert (found["proposal"], found["journeys"]) == ("listed", 1)
    assert (found["first_over_best"], found["best_over_first"]) == (0, 1)


def test_policies_are_told_apart():
    found = first_proposal(
        market(
            proposed("1", {"dear": 50, "cheap": 30}, won="dear"),
            proposed("2", {"dear": 50, "cheap": 30}, won="cheap", labels="{}"),
        )
    )

    assert found.select("policy", "first_won").rows() == [(None, 0), ("Quick", 1)]
