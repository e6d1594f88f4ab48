"""Sellers side by side and over time, over facts planted by hand, and how a report tells them."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from market.analytics import Facts, sales_over_time, sellers, trust_over_time
from market.report import compose, page, plots_of
from market.report.plots_selling import MAX_SELLERS, _thinned
from market.report.words import moment
from tests.pages import Page
from tests.planted import NOON, after, planted

HOUR = 3_600


def read(offset: int, seconds: float, trust: float, *flags: str, seller: str = "s1") -> dict:
    return {
        "session_id": "ses", "offset": offset, "kind": "trust.reported", "place": 1,
        "seen_at": after(seconds), "service_id": f"svc-{seller}", "slug": f"{seller}-slug",
        "seller_id": seller, "trust": trust, "confidence": 0.5, "good": 2.0, "bad": 1.0,
        "flags": list(flags),
    }  # fmt: skip


def order(name: str, state: str, seconds: float, paid_minor: int, **more: Any) -> dict:
    values = {
        "fee_minor": 0, "referral_minor": 0, "returned_minor": 100 - paid_minor,
        "refunded_minor": 0, "placed_at": NOON, "deliver_by": after(10 * HOUR),
    }  # fmt: skip
    return {
        "order_id": name, "session_id": "ses", "buyer_id": "b", "seller_id": "s1",
        "service_id": "svc-s1", "slug": "s1-slug", "state": state, "amount_minor": 100,
        "captured_minor": paid_minor, "currency": "XTS", "ended_at": after(seconds),
        **values, **more,
    }  # fmt: skip


def paid(name: str, seconds: float, amount_minor: int) -> list[dict]:
    legs = [("escrow", name, -amount_minor), ("wallet", "s1", amount_minor)]
    return [
        {"transaction_id": f"{name}-{seconds}", "account_id": f"{kind}-{owner}",
         "account_kind": kind, "owner_id": owner, "reason": "escrow.capture", "order_id": name,
         "amount_minor": minor, "currency": "XTS", "recorded_at": after(seconds)}
        for kind, owner, minor in legs
    ]  # fmt: skip


def market(**more: list[dict]) -> Facts:
    """A seller that sold, fell and came back, and one that nobody asked about or bought from."""
    frames: dict[str, list[dict]] = {
        "agents": [
            {"agent_id": "s1", "handle": "star", "kind": "seller"},
            {"agent_id": "s2", "handle": "idle", "kind": "seller", "suspended_at": after(9)},
        ],
        "services": [
            {"service_id": f"svc-{one}", "slug": f"{one}-slug", "seller_id": one,
             "seller_handle": one, "currency": "XTS"}
            for one in ("s1", "s2")
        ],
        "sessions": [{"session_id": "ses", "buyer_id": "b", "opened_at": NOON}],
        "sightings": [
            # Events are in the order of a log; a report is told by the moment.
            read(1, 3 * HOUR, 0.58), read(2, 0, 0.35, "new"), read(3, HOUR, 0.6),
            read(4, 2 * HOUR, 0.4, "frozen", "low_score"),
            {"session_id": "ses", "offset": 9, "kind": "finding.listed", "place": 1,
             "seen_at": NOON, "service_id": "svc-s2", "slug": "s2-slug", "seller_id": "s2"},
        ],
        "orders": [
            order("sold", "settled", 5_000, 100, refunded_minor=40),
            order("failed", "failed", 5_100, 0),
            order("dropped", "cancelled", 9_000, 30),
        ],
        "postings": [*paid("sold", 10, 60), *paid("sold", 5_000, 40), *paid("dropped", 8_999, 30)],
        "events": [
            {"session_id": "ses", "offset": 0, "kind": "session.opened", "recorded_at": NOON},
            {"session_id": "ses", "offset": 9, "kind": "x", "recorded_at": after(3 * HOUR)},
        ],
    }  # fmt: skip
    return planted(**(frames | more))


def test_every_reading_of_trust_is_a_row_in_the_order_of_time():
    found = trust_over_time(market())

    assert found["at"].to_list() == [after(HOUR * hour) for hour in range(4)]
    assert found["trust"].to_list() == [0.35, 0.6, 0.4, 0.58]
    assert found["flags"].to_list() == [["new"], [], ["frozen", "low_score"], []]
    assert found.select("seller", "buyer_id", "session_id").unique().row(0) == ("star", "b", "ses")


def test_sales_are_counted_by_the_span_in_which_they_were_paid_or_ended():
    found = sales_over_time(market())

    assert found.select("at", "until", "captured_minor", "settled", "failed").rows() == [
        (NOON, after(HOUR), 60, 0, 0),
        (after(HOUR), after(2 * HOUR), 40, 1, 1),
        (after(2 * HOUR), after(3 * HOUR), 30, 0, 0),
    ]


def test_sales_of_any_span_add_up_to_what_was_captured():
    totals = {sales_over_time(market(), every=every)["captured_minor"].sum()
              for every in ("1m", "1h", "1d")}  # fmt: skip

    assert totals == {130}


def test_sellers_stand_side_by_side():
    truth = pl.DataFrame({"agent_id": ["s1", "s2"], "is_honest": [True, False]})

    idle, star = sellers(market(), truth=truth).rows(named=True)

    assert (star["seller"], star["is_honest"], star["shown"]) == ("star", True, 1)
    assert (star["orders"], star["sold"], star["failed"], star["cancelled"]) == (3, 1, 1, 1)
    assert (star["refunded"], star["refunds_minor"], star["revenue_minor"]) == (1, 40, 130)
    assert (star["trust"], star["is_frozen"], star["is_suspended"]) == (0.58, False, False)
    assert (idle["orders"], idle["kept_minor"], idle["shown"]) == (0, 0, 1)
    assert (idle["trust"], idle["is_frozen"], idle["is_suspended"]) == (None, None, True)
    assert set(sellers(market())["is_honest"]) == {None}


def test_a_seller_is_frozen_if_the_last_report_said_so():
    sightings = [read(1, 0, 0.5), read(2, 9, 0.2, "frozen")]

    found = sellers(market(sightings=sightings))

    assert found.filter(pl.col("seller") == "star")["is_frozen"].to_list() == [True]


def test_of_a_run_the_report_tells_how_sellers_stood_at_its_end(tmp_path: Path):
    told = {
        "name": "a-story", "seed": 7,
        "sellers": [{"name": "star", "trust": "0.5900", "is_frozen": False},
                    {"name": "idle", "trust": "0.3500", "is_frozen": True}],
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(told))

    made = compose(market(), source=str(tmp_path))

    [block] = [one for one in made.blocks if one.name == "sellers"]
    assert {
        row["seller"]: (row["trust_at_end"], row["is_frozen_at_end"]) for row in block.rows
    } == {
        "star": (0.59, False),
        "idle": (0.35, True),
    }
    assert "Frozen at the end: idle." in block.says
    headings = Page(page(made, {})).tables["sellers"][0][0]
    assert headings[-2:] == ["Trust at the end", "Frozen then"]


def test_the_report_tells_the_fall_and_the_return_of_trust():
    made = compose(market(), source="a-market")
    [block] = [one for one in made.blocks if one.name == "trust-over-time"]

    assert block.says == [
        "4 trust reports on 1 seller were read.",
        "star fell deepest: from 0.60 to 0.40; when it was read last it stood at 0.58.",
    ]
    [summed] = block.rows
    assert summed["fall"] == pytest.approx(0.2)
    # Of what was read first it has risen since: that is no fall.
    assert (summed["lowest"], summed["lowest_at"]) == (0.35, NOON)
    assert moment(after(2 * HOUR)) in Page(page(made, {})).text
    assert "star" in plots_of(made)["trust-over-time"].svg


def test_a_score_that_only_rises_did_not_fall():
    sightings = [read(number, number, score) for number, score in enumerate((0.3, 0.4, 0.5))]

    made = compose(market(sightings=sightings), source="a-market")

    [block] = [one for one in made.blocks if one.name == "trust-over-time"]
    assert block.says == ["3 trust reports on 1 seller were read."]
    assert block.rows[0]["fall"] == 0


def test_more_sellers_than_colours_are_drawn_as_the_rest():
    names = [f"s{number}" for number in range(MAX_SELLERS + 2)]
    facts = market(
        agents=[{"agent_id": name, "handle": name, "kind": "seller"} for name in names],
        sightings=[read(at, at, 0.5, seller=name) for at, name in enumerate(names)],
        orders=[order(name, "settled", 9, 100, seller_id=name) for name in names],
        postings=[leg for at, name in enumerate(names) for leg in paid(name, 1, 10 + at)],
    )

    plots = plots_of(compose(facts, source="a-market"))

    assert ">the rest<" in plots["sales-over-time"].svg
    assert ">s9<" in plots["sales-over-time"].svg
    assert ">s0<" not in plots["sales-over-time"].svg


def test_of_very_many_readings_the_extremes_are_drawn():
    readings = [{"trust": 0.5 + (0.4 if at == 777 else 0) - (0.4 if at == 778 else 0)}
                for at in range(5_000)]  # fmt: skip

    drawn = [row["trust"] for row in _thinned(readings)]

    assert len(drawn) <= 200
    assert {0.1, 0.9} <= {round(trust, 6) for trust in drawn}
