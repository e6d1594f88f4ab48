"""Price and trust against sales, over offers planted by hand."""

from typing import Any

import polars as pl
import pytest

from market.analytics import Facts, price_conversion, trust_conversion
from tests.planted import planted

WILSON_1_OF_2 = (0.094531, 0.905469)
WILSON_2_OF_2 = (0.342380, 1.0)


def quoted(
    session: str, service: str, amount_minor: int | None, offset: int = 1, **more: Any
) -> dict:
    return {
        "session_id": session, "offset": offset, "place": 1, "kind": "evaluating.quoted",
        "service_id": service, "seller_id": f"seller-{service}", "amount_minor": amount_minor,
        **more,
    }  # fmt: skip


def reported(session: str, service: str, trust: float) -> dict:
    return quoted(session, service, None, kind="trust.reported", trust=trust)


def ordered(session: str, service: str, state: str = "settled") -> dict:
    return {
        "order_id": f"ord-{session}-{service}", "session_id": session, "service_id": service,
        "state": state,
    }  # fmt: skip


def market(sightings: list[dict], orders: list[dict]) -> Facts:
    services = [{"service_id": name, "currency": "XTS"} for name in ("a", "b")]
    return planted(sightings=sightings, orders=orders, services=services)


def test_each_price_is_a_band_where_there_are_few():
    facts = market(
        [quoted("1", "a", 30), quoted("1", "b", 50), quoted("2", "a", 30), quoted("3", "b", 50)],
        [ordered("1", "a"), ordered("3", "b"), ordered("2", "a", "failed")],
    )

    found = price_conversion(facts)

    columns = ("currency", "band", "from_minor", "to_minor", "shown", "bought", "share")
    assert found.select(columns).rows() == [
        ("XTS", 0, 30, 30, 2, 1, 0.5),
        ("XTS", 1, 50, 50, 2, 1, 0.5),
    ]
    assert found.select("low", "high").row(0) == pytest.approx(WILSON_1_OF_2, abs=1e-6)


def test_many_prices_share_bands_of_about_equally_many_offers():
    sightings = [quoted(str(number), "a", number) for number in range(1, 11)]

    found = price_conversion(market(sightings, [ordered("10", "a")]), bands=2)

    assert found.select("band", "from_minor", "to_minor", "shown", "bought").rows() == [
        (0, 1, 5, 5, 0),
        (1, 6, 10, 5, 1),
    ]


def test_a_price_that_most_are_quoted_is_in_one_band():
    same = [quoted(f"s{number}", "a", 7) for number in range(8)]
    other = [quoted("x", "a", 1), quoted("y", "a", 9), quoted("z", "a", 10)]

    found = price_conversion(market([*same, *other], []), bands=3)

    assert found.select("from_minor", "to_minor", "shown").rows() == [(1, 7, 9), (9, 10, 2)]


def test_the_last_price_that_a_journey_was_quoted_counts_and_only_once():
    facts = market(
        [quoted("1", "a", 50, offset=1), quoted("1", "a", 40, offset=2)], [ordered("1", "a")]
    )

    found = price_conversion(facts)

    assert found.select("from_minor", "shown", "bought").rows() == [(40, 1, 1)]


def test_listed_prices_are_asked_for_by_name():
    facts = market([quoted("1", "a", 3, kind="finding.listed"), quoted("1", "a", 40)], [])

    assert price_conversion(facts, at="listed")["from_minor"].to_list() == [3]


def test_prices_of_two_currencies_are_never_in_one_band():
    facts = planted(
        sightings=[quoted("1", "a", 30), quoted("1", "b", 30)],
        services=[
            {"service_id": "a", "currency": "XTS"},
            {"service_id": "b", "currency": "EUR"},
        ],
    )

    assert price_conversion(facts).select("currency", "band", "shown").rows() == [
        ("EUR", 0, 1),
        ("XTS", 0, 1),
    ]


def test_trust_has_bands_of_equal_width_and_the_last_has_its_end():
    facts = market(
        [reported("1", "a", 0.0), reported("2", "a", 0.19), reported("3", "a", 0.2),
         reported("4", "a", 1.0)],
        [ordered("4", "a")],
    )  # fmt: skip

    found = trust_conversion(facts)

    columns = ("is_honest", "band", "from_trust", "to_trust", "shown", "bought")
    assert found.select(columns).rows() == [
        (None, 0, 0.0, 0.2, 2, 0),
        (None, 1, 0.2, 0.4, 1, 0),
        (None, 4, 0.8, 1.0, 1, 1),
    ]


def test_the_truth_splits_honest_and_dishonest_sellers():
    facts = market(
        [reported("1", "a", 0.5), reported("1", "b", 0.5), reported("2", "a", 0.5)],
        [ordered("1", "a"), ordered("2", "a")],
    )
    truth = pl.DataFrame({"agent_id": ["seller-a", "seller-b"], "is_honest": [True, False]})

    found = trust_conversion(facts, truth=truth)

    assert found.select("is_honest", "shown", "bought", "share").rows() == [
        (False, 1, 0, 0.0),
        (True, 2, 2, 1.0),
    ]
    assert found.select("low", "high").row(1) == pytest.approx(WILSON_2_OF_2, abs=1e-6)
