"""What facts hold, what is missing in them, and who lost most: counted over planted rows."""

from typing import Any

from market.analytics import continuity, most_lost, overview
from tests.planted import NOON, after, planted


def entry(session: str, offset: int, seconds: float = 0) -> dict[str, Any]:
    return {"session_id": session, "offset": offset, "recorded_at": after(seconds)}


def journey(session: str, **more: Any) -> dict[str, Any]:
    return {"session_id": session, "buyer_id": f"b-{session}", "opened_at": NOON, **more}


def chunk(order: str, index: int) -> dict[str, Any]:
    return {"order_id": order, "index": index}


def hold(order: str, kind: str = "escrow") -> dict[str, Any]:
    return {"order_id": order, "account_kind": kind, "reason": "escrow.hold", "currency": "XTS"}


def counted(**frames: list[dict[str, Any]]) -> dict[str, tuple[int, int, int]]:
    rows = continuity(planted(**frames)).rows()
    return {kind: (expected, missing, twice) for kind, expected, missing, twice in rows}


def test_whole_logs_and_deliveries_miss_nothing():
    assert counted(
        sessions=[journey("a"), journey("b")],
        events=[entry("a", 0), entry("a", 1), entry("b", 0)],
        chunks=[chunk("o", 0), chunk("o", 1)],
        orders=[{"order_id": "o"}],
        postings=[hold("o"), hold("o", "wallet")],
    ) == {"entries": (3, 0, 0), "chunks": (2, 0, 0), "holds": (1, 0, 0)}


def test_gaps_and_repeats_are_counted_within_their_own_log():
    assert counted(
        sessions=[journey("a"), journey("b")],
        events=[entry("a", 0), entry("a", 2), entry("a", 2), entry("b", 0)],
        chunks=[chunk("o", 1), chunk("p", 0), chunk("p", 0)],
    ) == {"entries": (4, 1, 1), "chunks": (3, 1, 1)}


def test_an_order_that_holds_nothing_or_twice_is_told():
    found = counted(
        orders=[{"order_id": "none"}, {"order_id": "once"}, {"order_id": "twice"}],
        postings=[hold("once"), hold("twice"), hold("twice")],
    )

    assert found == {"holds": (3, 1, 1)}


def test_of_a_fork_only_what_is_its_own_counts():
    found = counted(
        sessions=[journey("f", source_session_id="a", source_offset=4)],
        events=[entry("f", 5), entry("f", 7)],
    )

    assert found == {"entries": (3, 1, 0)}


def test_an_overview_counts_everything_once():
    facts = planted(
        sessions=[journey("a"), journey("b", buyer_id="b-a")],
        services=[{"service_id": one, "seller_id": "acme"} for one in "xy"],
        events=[entry("a", 0, 3), entry("b", 0, 60)],
        orders=[{"order_id": "o"}],
        postings=[hold("o"), {**hold("o"), "currency": "EUR"}],
    )

    assert overview(facts).to_dicts() == [
        {
            "sessions": 2, "buyers": 1, "sellers": 1, "services": 2, "events": 2, "orders": 1,
            "began_at": after(3), "ended_at": after(60), "currencies": ["EUR", "XTS"],
        }
    ]  # fmt: skip
    assert overview(planted())["began_at"].to_list() == [None]


def test_who_was_seen_most_and_not_bought_from_lost_most():
    services = [
        {"service_id": f"svc-{name}", "seller_id": name, "seller_handle": name.upper()}
        for name in ("acme", "best", "corp")
    ]
    sightings = [
        {"session_id": session, "seller_id": seller, "service_id": f"svc-{seller}"}
        for session, seller in (
            ("a", "acme"), ("a", "acme"), ("b", "acme"), ("a", "best"),
            ("c", "corp"), ("a", "corp"),
        )
    ]  # fmt: skip
    orders = [
        {"order_id": "1", "session_id": "a", "seller_id": "best", "state": "settled"},
        {"order_id": "2", "session_id": "b", "seller_id": "acme", "state": "failed"},
        {"order_id": "3", "session_id": "c", "seller_id": "corp", "state": "settled"},
    ]

    found = most_lost(planted(services=services, sightings=sightings, orders=orders))

    assert found.rows() == [("acme", "ACME", 2, 0, 2), ("corp", "CORP", 2, 1, 1)]
    assert most_lost(planted(services=services, sightings=sightings), limit=1).height == 1
