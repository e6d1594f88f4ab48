"""Reports: what they say is what analytics says, safe whatever names the facts hold."""

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from market import analytics
from market.analytics import Facts
from market.cli import bars, reporting
from market.protocol.events import STAGES
from market.report import Block, Report, compose, page, pictures_of, plots_of
from market.report.forms import Column, Head
from market.report.html import element
from market.report.layout import spread
from market.report.replicas import _mean
from market.report.svg import embedded
from market.report.words import duration, money, share, written
from tests.pages import Page
from tests.planted import NOON, after, planted

HOSTILE = (
    '"><script>alert(1)</script><img src=x onerror=alert(2)> {{7*7}} ${x} &lt;b&gt; javascript:'
)
LURE = "http://example.invalid/x.svg"


def stage(session: str, name: str, outcome: str, **more: Any) -> dict[str, Any]:
    values = {
        "opened_at": NOON,
        "entered_at": NOON,
        "left_at": after(2),
        "buyer_id": f"b-{session}",
    }
    return {"session_id": session, "stage": name, "outcome": outcome, **values, **more}


def sighting(session: str, offset: int, kind: str, service: str, **more: Any) -> dict[str, Any]:
    return {
        "session_id": session,
        "offset": offset,
        "kind": kind,
        "seen_at": NOON,
        "place": more.pop("place", 1),
        "service_id": service,
        "slug": f"{service}-slug",
        "seller_id": f"seller-{service}",
        **more,
    }


def order(number: int, session: str, service: str, **more: Any) -> dict[str, Any]:
    values = {
        "state": "settled",
        "currency": "XTS",
        "amount_minor": 400_000,
        "captured_minor": 400_000,
        "fee_minor": 6_000,
        "referral_minor": 0,
        "returned_minor": 0,
        "refunded_minor": 0,
        "units": 2,
        "units_delivered": 2,
        "placed_at": NOON,
        "deliver_by": after(600),
        "ended_at": after(9),
    }
    return {
        "order_id": f"ord-{number}",
        "session_id": session,
        "service_id": service,
        "slug": f"{service}-slug",
        "buyer_id": f"b-{session}",
        "seller_id": f"seller-{service}",
        **values,
        **more,
    }


def postings(number: int, session: str, service: str) -> list[dict[str, Any]]:
    """What the ledger holds of ``order``."""
    legs = [
        ("hold", f"b-{session}", "wallet", "escrow.hold", -400_000),
        ("hold", f"ord-{number}", "escrow", "escrow.hold", 400_000),
        ("pay", f"ord-{number}", "escrow", "escrow.capture", -400_000),
        ("pay", f"seller-{service}", "wallet", "escrow.capture", 394_000),
        ("pay", "market", "fees", "escrow.capture", 6_000),
    ]
    return [
        {
            "transaction_id": f"txn-{number}-{act}",
            "account_id": f"{owner}-{kind}",
            "account_kind": kind,
            "owner_id": owner,
            "reason": reason,
            "order_id": f"ord-{number}",
            "amount_minor": amount,
            "currency": "XTS",
            "recorded_at": NOON,
        }
        for act, owner, kind, reason, amount in legs
    ]


def little_market(seller: str = "acme", buyer: str = "thrifty", words: str = "too dear") -> Facts:
    """Three journeys over two services: one buys of ``a``, one leaves for the price, one is open.

    ``seller`` and ``buyer`` are how people are called, ``words`` what they say.
    """
    sessions = ("s1", "s2", "s3")
    listed = [
        sighting(session, 1, "finding.listed", service, place=place, amount_minor=minor, score=0.5)
        for session in sessions
        for place, (service, minor) in enumerate((("a", 400_000), ("b", 600_000)), 1)
    ]
    quoted = [
        sighting(session, offset, "evaluating.quoted", service, amount_minor=minor)
        for session in sessions
        for offset, service, minor in ((2, "a", 400_000), (3, "b", 600_000))
    ]
    reported = [
        sighting("s1", 4, "trust.reported", "a", trust=0.7),
        sighting("s3", 4, "trust.reported", "b", trust=0.2),
    ]
    dear = {
        "service_id": "b", "slug": "b-slug", "amount_minor": 600_000, "score": 0.4,
        "parts": [], "reason": "price", "limit_minor": 300_000,
    }  # fmt: skip
    decision = {
        "session_id": "s2", "offset": 5, "made_at": after(2), "buyer_id": "b-s2",
        "stage": "evaluating", "outcome": "leave", "reason": "price", "detail": words,
        "currency": "XTS", "amount_minor": 600_000, "service_id": "b", "alternatives": [dear],
    }  # fmt: skip
    return planted(
        stages=[
            *[stage("s1", name, "passed") for name in STAGES],
            stage("s2", "finding", "passed"),
            stage("s2", "evaluating", "left", reason="price", amount_minor=600_000, currency="XTS"),
            stage("s3", "finding", "passed"),
            stage("s3", "evaluating", "passed"),
            stage("s3", "trust_checking", "open", left_at=None),
        ],
        sessions=[
            {"session_id": one, "buyer_id": f"b-{one}", "need": words, "opened_at": NOON,
             "labels": msgspec.json.encode({"policy": words}).decode()}
            for one in sessions
        ],
        events=[
            {"session_id": one, "offset": 0, "kind": "session.opened", "recorded_at": NOON}
            for one in sessions
        ],
        sightings=[*listed, *quoted, *reported],
        decisions=[decision],
        orders=[order(1, "s1", "a")],
        postings=[
            *postings(1, "s1", "a"),
            {"transaction_id": "txn-0", "account_id": "w", "account_kind": "wallet",
             "owner_id": "b-s1", "reason": "issuance.mint", "amount_minor": 1_000_000,
             "currency": "XTS", "recorded_at": NOON},
        ],
        chunks=[{"order_id": "ord-1", "index": 0, "offset": 9, "units": 2, "units_delivered": 2,
                 "delivered_at": after(4)}],
        recommendations=[
            {"recommendation_id": f"rec-{to}", "recipient_id": f"b-{to}", "from_id": "b-s1",
             "service_id": "a", "slug": "a-slug", "order_id": "ord-1", "comment": words,
             "sent_at": after(20)}
            for to in ("s2", "s3")
        ],
        agents=[
            *[{"agent_id": f"b-{one}", "handle": f"{buyer}-{one}", "kind": "buyer",
               "registered_at": NOON} for one in sessions],
            *[{"agent_id": f"seller-{one}", "handle": f"{seller}-{one}", "kind": "seller",
               "registered_at": NOON} for one in ("a", "b")],
        ],
        services=[
            {"service_id": one, "slug": f"{one}-slug", "seller_id": f"seller-{one}",
             "seller_handle": f"{seller}-{one}", "currency": "XTS", "amount_minor": minor}
            for one, minor in (("a", 400_000), ("b", 600_000))
        ],
    )  # fmt: skip


def report_of(facts: Facts) -> Report:
    return compose(facts, source="a-market")


def block(made: Report, name: str) -> Block:
    return next(one for one in made.blocks if one.name == name)


ANSWERS: dict[tuple[str, int], Callable[[Facts], pl.DataFrame]] = {
    ("journey", 0): analytics.funnel,
    ("dropoff", 0): analytics.reasons,
    ("price", 0): analytics.price_conversion,
    ("price", 1): lambda facts: analytics.price_conversion(facts, at="listed"),
    ("trust", 0): analytics.trust_conversion,
    ("first", 0): analytics.first_proposal,
    ("latency", 0): analytics.latency,
    ("sellers", 0): analytics.sellers,
    ("trust-over-time", 1): analytics.trust_over_time,
    ("sales-over-time", 0): lambda facts: analytics.sales_over_time(facts, every="1s"),
    ("money", 0): analytics.money,
    ("budget", 0): analytics.budgets,
    ("surplus", 0): analytics.welfare,
    ("recommendations", 0): analytics.recommendation_graph,
    ("recommendations", 1): analytics.recommendation_degrees,
    ("faults", 0): analytics.continuity,
}
"""What the tables of a block show, by the name of the block and the number of the table."""


def in_any_order(rows: list[Any]) -> list[str]:
    return sorted(map(repr, rows))


# What a report says


@pytest.mark.parametrize("place", ANSWERS)
def test_json_has_what_analytics_answers(place: tuple[str, int]) -> None:
    facts = little_market()
    name, number = place
    answer = ANSWERS[place](facts)
    assert not answer.is_empty(), "the facts have something about it"

    told = msgspec.json.decode(msgspec.json.encode(report_of(facts)))

    [rows] = [one["tables"][number]["rows"] for one in told["blocks"] if one["name"] == name]
    expected = msgspec.json.decode(msgspec.json.encode(answer.to_dicts()))
    assert in_any_order(rows) == in_any_order(expected)


@pytest.mark.parametrize("place", ANSWERS)
def test_a_page_shows_what_analytics_answers(place: tuple[str, int]) -> None:
    facts = little_market()
    name, number = place
    made = report_of(facts)
    table = block(made, name).tables[number]
    expected = [
        [written(row, column, currency="XTS") for column in table.columns]
        for row in ANSWERS[place](facts).to_dicts()
    ]

    headings, *rows = Page(page(made, {})).tables[name][number]

    assert headings == [column.heading for column in table.columns]
    assert in_any_order(rows) == in_any_order(expected)


def test_lost_sales_are_told_by_seller_cause_and_stage() -> None:
    facts = little_market()
    answer = analytics.why(facts, "acme-b")
    assert answer.lost, "the facts have something about it"

    causes, stages = block(report_of(facts), "why").tables

    assert [
        (row["lost"], row["cause"], row["journeys"], row["at_stake_minor"], row["change"])
        for row in causes.rows
        if row["seller"] == "acme-b"
    ] == [
        (answer.lost, one.cause, one.journeys, one.at_stake_minor, one.change)
        for one in answer.causes
    ]
    assert [
        (row["stage"], row["journeys"]) for row in stages.rows if row["seller"] == "acme-b"
    ] == [(one.stage, one.journeys) for one in answer.stages]


def test_sentences_give_the_figures() -> None:
    made = report_of(little_market())

    assert block(made, "journey").says == [
        "Of 3 journeys, 1 (33.3 %) bought and were content with what came; 1 passed all six"
        " stages.",
        "Most left at Evaluate: 1 of the 3 that came so far.",
        "1 journey is still open.",
    ]
    assert block(made, "dropoff").says[-1] == "In all, 0.60 XTS were at stake."
    assert block(made, "money").says[-1] == "Checked: orders and ledger agree to the last unit."


def test_a_ledger_that_says_otherwise_is_told() -> None:
    facts = little_market()
    postings = facts.postings.filter(pl.col("account_kind") != "fees")
    frames = {name: facts[name] for name in analytics.FRAMES} | {"postings": postings}

    says = block(report_of(Facts(frames)), "money").says

    assert "the market has a bug" in says[-1]


def test_without_facts_every_block_says_what_is_missing() -> None:
    made = report_of(planted())

    assert [one.name for one in made.blocks if not one.missing] == []
    read = Page(page(made, plots_of(made)))
    assert read.named("table") == []
    assert read.named("svg") == []
    for one in made.blocks:
        assert one.missing in read.text
        assert one.definition in read.text


def test_an_address_is_shown_without_its_password() -> None:
    address = "postgresql://me:secret@db.example:5432/shop?sslmode=require&password=secret"

    head = compose(planted(), source=address).head

    assert (head.name, head.source) == ("shop", "postgresql://db.example/shop")


def test_what_columns_mean_is_told_by_their_headings() -> None:
    """No name of a column, as programs have it, is left in words for people."""
    made = report_of(little_market())

    meanings = {
        (one.name, column.heading): column.meaning
        for one in made.blocks
        for table in one.tables
        for column in table.columns
    }

    assert meanings["surplus", "Of best"] == "“Surplus” of “Best surplus”; “-” where that is 0"
    assert [text for text in meanings.values() if "_" in text or "null" in text] == []


def test_long_tables_say_what_they_leave_out() -> None:
    facts = planted(
        agents=[
            {"agent_id": f"b{n}", "handle": f"buyer-{n}", "kind": "buyer", "registered_at": NOON}
            for n in range(40)
        ],
        postings=[
            {"transaction_id": f"t{n}", "account_id": f"w{n}", "account_kind": "wallet",
             "owner_id": f"b{n}", "reason": "issuance.mint", "amount_minor": 100, "currency": "XTS",
             "recorded_at": NOON}
            for n in range(40)
        ],
    )  # fmt: skip
    made = report_of(facts)

    read = Page(page(made, plots_of(made)))

    assert len(read.tables["budget"][0]) == 1 + 25
    assert "the first 25 of 40" in read.text


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (1_234, "count", "1,234"),
        (0.5, "number", "0.5"),
        (1 / 3, "share", "33.3 %"),
        (1.0, "share", "100 %"),
        (0.0421, "seconds", "42 ms"),
        (63.04, "seconds", "63.0 s"),
        (600.0, "seconds", "10.0 min"),
        (None, "share", "-"),
        (True, "claim", "yes"),
        ("trust_checking", "text", "Trust"),
        ("schema_mismatch", "text", "schema mismatch"),
        ("snake_name", "name", "snake_name"),
        (["a", "b"], "name", "a, b"),
        (NOON, "moment", "2026-11-22 12:00:00"),
    ],
)
def test_values_are_written_as_people_read_them(value: Any, form: Any, expected: str) -> None:
    assert written({"it": value}, Column("it", "It", form)) == expected


def test_amounts_are_exact_and_carry_their_currency_where_there_are_several() -> None:
    row = {"price_minor": 1_000_001, "currency": "XTS"}
    column = Column("price_minor", "Price", "money")

    assert written(row, column) == "1.000001 XTS"
    assert written(row, column, currency="XTS") == "1.000001"
    assert written(row, column, currency="EUR") == "1.000001 XTS"
    assert money(5, "???") == "5 ??? (minor units)"
    assert (share(0.123), duration(8_000)) == ("12.3 %", "2.2 h")


def test_measures_are_written_in_their_units() -> None:
    column = Column("it", "It", "measure")

    def measure(value: float, unit: str, currency: str | None = None) -> str:
        return written({"it": value, "unit": unit, "currency": currency}, column)

    assert measure(1_234.5678, "count") == "1,234.568"
    assert measure(-0.25, "share") == "-25 %"
    assert measure(-1e-9, "share") == "0 %"
    assert measure(-0.04, "seconds") == "-40 ms"
    assert measure(10_333.5, "minor", "XTS") == "0.010334 XTS"
    assert measure(-1e-9, "count") == "0"


def test_rings_are_held_against_the_truth_where_there_is_one(tmp_path: Path) -> None:
    member = {"part": "x", "policy": None, "behaviour": "honest", "is_honest": True}
    cast = [
        {**member, "agent_id": "seller-a", "name": "acme-a", "kind": "seller", "ring": "acme-a"},
        {**member, "agent_id": "seller-b", "name": "acme-b", "kind": "seller", "ring": None,
         "is_honest": False},
    ]  # fmt: skip
    (tmp_path / "cast.json").write_bytes(msgspec.json.encode(cast))
    facts = little_market()

    made = compose(facts, source=str(tmp_path))

    assert block(made, "rings").says == [
        "No group of buyers and sellers looks closed.",
        "By the scenario, 1 agent is in rings; 0 of them were named.",
    ]
    found = analytics.rings(facts, truth=analytics.truth(tmp_path))
    accuracy = analytics.ring_accuracy(found, analytics.truth(tmp_path))
    assert block(made, "rings").rows == accuracy.to_dicts()
    honest = {row["band"]: row["is_honest"] for row in block(made, "trust").rows}
    assert honest == {3: True, 1: False}
    assert "trust" in plots_of(made)


def test_faults_tell_what_was_cut_and_that_nothing_is_gone(tmp_path: Path) -> None:
    run = {
        "name": "a-story", "seed": 7,
        "journeys": [{"buyer": "thrifty", "cut": 1, "resumed": 1}, {"buyer": "other", "cut": 0}],
        "watchers": [{"name": "phone", "cut": 2, "resumed": 2, "differences": 0}],
        "faults": [
            *({"kind": "disconnect", "who": who, "times": 1} for who in ("phone", "thrifty")),
            *({"kind": "double-submit", "who": f"bee-{n}", "times": 2} for n in range(6)),
        ],
    }  # fmt: skip
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(run))

    faults = block(compose(little_market(), source=str(tmp_path)), "faults")

    assert faults.says[:2] == [
        "What was broken on purpose: disconnect twice, double-submit 12 times.",
        "Live streams broke 3 times and went on 3 times.",
    ]
    assert "none is missing and none is there twice" in faults.says[2]
    assert faults.tables[1].rows == [
        {"kind": "disconnect", "times": 2, "hit": 2, "who": "phone, thrifty"},
        {
            "kind": "double-submit",
            "times": 12,
            "hit": 6,
            "who": "bee-0, bee-1, bee-2, bee-3 and 2 more",
        },
    ]
    assert [row["who"] for row in faults.tables[2].rows] == ["thrifty", "phone"]


def test_a_run_without_faults_says_so(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(msgspec.json.encode({"name": "a-story", "seed": 7}))

    faults = block(compose(little_market(), source=str(tmp_path)), "faults")

    assert faults.says[:2] == ["No fault happened.", "No live stream was cut."]


# Several runs


def sweep_in(folder: Path) -> None:
    """Two combinations with two runs each, of which one is not over."""
    cells = [
        {"number": cell, "overrides": {"market.fee": fee}, "replicas": [
            {"number": one, "seed": one, "folder": f"cell-{cell}/replica-{one}"} for one in (1, 2)
        ]}
        for cell, fee in ((1, "150"), (2, "900"))
    ]  # fmt: skip
    (folder / "sweep.json").write_bytes(msgspec.json.encode({"name": "sweep", "cells": cells}))
    for cell, replica, fees in ((1, 1, "0.1"), (1, 2, "0.3"), (2, 1, "0.5")):
        run = folder / f"cell-{cell}" / f"replica-{replica}"
        run.mkdir(parents=True)
        outcome = {
            "state": "done", "journeys": {"bought": replica}, "captured": "1.5",
            "expectations": [
                {"title": "fees", "status": "passed" if replica == 1 else "failed",
                 "observed": {"fees": fees, "who": "'acme'"}},
            ],
        }  # fmt: skip
        run.with_name(f"{run.name}.json").write_bytes(msgspec.json.encode(outcome))


def test_replicas_tell_what_hangs_on_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_in(tmp_path)
    # The runs of this sweep have no stores: what compares them is tried on real ones.
    monkeypatch.setattr("market.report.replicas.MAX_COMPARED", 0)

    made = compose(little_market(), source=str(tmp_path))

    assert made.blocks[0].name == "replicas", "it comes before what is about one run"
    assert made.head.note.endswith("about one of them, cell-1/replica-1.")
    replicas = made.blocks[0]
    assert replicas.says[:3] == [
        "2 combinations of values, 4 runs, of which 3 are counted: played to the end, and tested"
        " something.",
        "The same in every run, and not drawn: paid to sellers = 1.5.",
        "1 expectation hangs on the seed: met in some runs and not in others.",
    ]
    [fees, other] = [row for row in replicas.rows if row["measure"] == "fees"]
    assert (fees["cell"], fees["values"], fees["middle"]) == ("cell 1", [0.1, 0.3], 0.2)
    assert 0 == fees["mean_low"] < fees["mean"] < fees["mean_high"]
    assert (other["mean"], other["mean_low"]) == (0.5, None), "one run tells nothing of chance"
    assert {row["measure"] for row in replicas.rows} == {
        "journeys that bought", "paid to sellers", "fees",
    }  # fmt: skip
    cells = replicas.tables[1].rows
    assert [(row["number"], row["values"], row["runs"], row["left"]) for row in cells] == [
        (1, "market.fee=150", 2, 0),
        (2, "market.fee=900", 1, 1),
    ]
    assert [(row["passed"], row["runs"]) for row in replicas.tables[2].rows] == [(1, 2), (1, 1)]
    drawn = plots_of(made)["replicas"].svg
    assert "fees" in drawn
    assert "paid to sellers" not in drawn, "one number in all runs is not worth a plot"


def test_runs_that_tested_nothing_are_in_no_figure_and_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_in(tmp_path)
    monkeypatch.setattr("market.report.replicas.MAX_COMPARED", 0)
    bad = {"state": "bad", "detail": "a fault never happened", "journeys": {"bought": 99},
           "captured": "77", "expectations": []}  # fmt: skip
    (tmp_path / "cell-1" / "replica-2.json").write_bytes(msgspec.json.encode(bad))

    made = compose(little_market(), source=str(tmp_path))

    told = "1 of 4 runs tested nothing and is left out of every figure: a fault never happened."
    replicas = made.blocks[0]
    assert made.head.note.endswith(told)
    assert told in replicas.says
    assert {row["high"] for row in replicas.rows if row["measure"] != "fees"} == {1.0, 1.5}
    cells = [(row["runs"], row["bad"], row["left"]) for row in replicas.tables[1].rows]
    assert cells == [(1, 1, 0), (1, 0, 1)]


@pytest.mark.parametrize(
    ("measure", "least", "most"),
    [
        ("trust(seller='a')", 0.0, 1.0),
        ("captured(seller='a')", 0.0, None),
        ("ledger.imbalance", None, None),
    ],
)
def test_an_interval_stays_within_what_the_measure_can_be(
    measure: str, least: float | None, most: float | None
) -> None:
    found = _mean([0.1, 0.7, 0.9], measure)
    low, high = found["mean_low"], found["mean_high"]

    assert low is not None
    assert high is not None
    assert low == least if least is not None else low < 0
    assert high == most if most is not None else high > 1


def test_a_sweep_with_runs_left_is_partial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep_in(tmp_path)
    monkeypatch.setattr("market.report.replicas.MAX_COMPARED", 0)
    left = tmp_path / "cell-2" / "replica-2.json"

    assert_partial(tmp_path, "1 of 4 runs of this sweep are left to be played. The report")
    left.write_bytes(msgspec.json.encode({"state": "interrupted"}))
    assert_partial(tmp_path, "1 of 4 runs of this sweep are left to be played. The report")
    left.write_bytes(msgspec.json.encode({"state": "bad"}))
    assert head_of(tmp_path).partial == ""


def test_a_run_that_was_broken_off_is_partial(tmp_path: Path) -> None:
    single, run = tmp_path / "played.json", tmp_path / "run.json"

    single.write_bytes(b'{"is_over": false}')
    assert_partial(tmp_path, "This run was killed, or is being played. The report")
    run.write_bytes(b'{"name": "a-story", "seed": 7, "is_over": false, "is_interrupted": true}')
    assert_partial(tmp_path, "This run was interrupted before its end. The report")
    run.write_bytes(b'{"name": "a-story", "seed": 7}')
    single.write_bytes(b'{"is_over": true}')
    assert head_of(tmp_path).partial == ""


def test_a_run_that_tested_nothing_says_so(tmp_path: Path) -> None:
    told = {"name": "a-story", "seed": 7,
            "troubles": [{"where": "a.toml:3", "detail": "the fault never happened"}]}  # fmt: skip
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(told))

    note = head_of(tmp_path).note

    assert note.startswith("This run tested nothing")
    assert note.endswith("a.toml:3: the fault never happened.")


def head_of(folder: Path) -> Head:
    return compose(little_market(), source=str(folder)).head


def assert_partial(folder: Path, words: str) -> None:
    made = compose(little_market(), source=str(folder))
    assert made.head.partial == f"{words} is partial."
    assert made.head.partial in Page(page(made, {})).text


def test_one_run_says_that_it_is_one() -> None:
    assert block(report_of(little_market()), "replicas").missing.startswith("This is one run")


# Where the nodes of a graph are drawn


def test_a_graph_is_drawn_the_same_way_each_time_and_within_its_frame() -> None:
    nodes = [f"n{number}" for number in range(20)]
    edges = [(nodes[0], node) for node in nodes[1:10]] + [(nodes[11], nodes[12])]

    places = spread(nodes, edges)

    assert places == spread(nodes, edges)
    assert set(places) == set(nodes)
    assert all(0 <= value <= 1 for place in places.values() for value in place)
    assert len(set(places.values())) == len(nodes), "no two in one place"


def test_what_is_tied_together_lies_closer_than_what_is_not() -> None:
    nodes = [f"{side}{number}" for side in "ab" for number in range(6)]
    edges = [(one, other) for one in nodes for other in nodes if one[0] == other[0] and one < other]

    places = spread(nodes, edges)

    def mean_distance(pairs: list[tuple[str, str]]) -> float:
        return sum(math.dist(places[one], places[other]) for one, other in pairs) / len(pairs)

    apart = [(one, other) for one in nodes[:6] for other in nodes[6:]]
    assert mean_distance(edges) < 0.6 * mean_distance(apart)


@pytest.mark.parametrize("count", [1, 2])
def test_the_smallest_graphs_have_a_place(count: int) -> None:
    assert len(spread([f"n{number}" for number in range(count)], [])) == count


# What a page is


def test_a_page_is_one_sound_document_that_loads_nothing() -> None:
    made = report_of(little_market())

    text = page(made, plots_of(made))
    read = Page(text)

    assert text.startswith("<!DOCTYPE html>")
    assert read.loads() == []
    allowed = {
        "html", "head", "meta", "title", "style", "body", "main", "header", "nav", "ul", "li", "a",
        "section", "h1", "h2", "h3", "p", "b", "small", "dl", "dt", "dd", "figure", "details",
        "summary", "div", "table", "caption", "thead", "tbody", "tr", "th", "td",
        "svg", "g", "path", "rect", "line", "circle", "text", "tspan", "defs", "clippath",
    }  # fmt: skip
    assert {tag.name for tag in read.tags} <= allowed
    assert not any(name.startswith("on") for tag in read.tags for name in tag.attributes)
    assert "url(" not in text.replace("url(#", "")
    assert "@import" not in text
    [policy] = [
        tag.attributes["content"]
        for tag in read.named("meta")
        if tag.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert "default-src 'none'" in policy


def test_a_page_can_be_read_without_seeing_it() -> None:
    made = report_of(little_market())

    read = Page(page(made, plots_of(made)))

    ids = [tag.attributes["id"] for tag in read.tags if "id" in tag.attributes]
    assert len(ids) == len(set(ids)), "no id twice"
    for tag in read.tags:
        for name in ("aria-labelledby", "href"):
            if name in tag.attributes:
                assert tag.attributes[name].removeprefix("#") in ids
    pictures = read.named("svg")
    assert {picture.attributes["role"] for picture in pictures} == {"img"}
    assert all(len(picture.attributes["aria-label"]) > 40 for picture in pictures)
    headed = [tag for tag in read.named("th") if tag.attributes.get("scope") in ("col", "row")]
    assert len(headed) == len(read.named("th"))
    assert read.named("html")[0].attributes["lang"] == "en"


def test_every_block_with_something_to_show_has_a_plot_but_the_ones_in_words() -> None:
    made = report_of(little_market())

    plots = plots_of(made)

    assert {one.name for one in made.blocks if not one.missing} - plots.keys() == {
        "faults",
        "sellers",
    }


def test_a_page_follows_the_reader_into_the_dark() -> None:
    made = report_of(little_market())

    text = page(made, plots_of(made))

    assert "@media (prefers-color-scheme: dark)" in text
    for plot in plots_of(made).values():
        shown = embedded(plot.svg, name=plot.name, label="a plot")
        left = {part for part in shown.split('"') if part.startswith("#")}
        assert left == set(), "a colour that does not follow"


def test_names_from_outside_stay_words() -> None:
    facts = little_market(f"{HOSTILE}{LURE}", f"{HOSTILE}{LURE}", f"{HOSTILE}{LURE}")
    made = compose(facts, source=f"{HOSTILE}{LURE}")

    plots = plots_of(made)
    read = Page(page(made, plots))

    assert read.named("script") == []
    assert read.named("img") == []
    assert read.named("image") == []
    assert read.loads() == []
    assert not any(name.startswith("on") for tag in read.tags for name in tag.attributes)
    assert "<script>alert(1)</script>" in read.text, "it is shown as it is"
    assert len(pictures_of(plots)) == len(plots)


def test_amounts_of_an_unknown_currency_are_shown_as_they_are() -> None:
    facts = little_market()
    frames = {
        name: facts[name].with_columns(pl.lit("<b>").alias("currency"))
        if name != "decisions" and "currency" in facts[name].collect_schema()
        else facts[name]
        for name in analytics.FRAMES
    }
    made = report_of(Facts(frames))

    read = Page(page(made, plots_of(made)))

    assert "400000 <b> (minor units)" in read.text


def test_what_is_too_long_to_show_says_so() -> None:
    facts = little_market(words="word " * 400)

    text = Page(page(report_of(facts), {})).text

    assert "word word…" in text
    assert "word " * 200 not in text


def test_signs_that_hide_or_reorder_are_left_out() -> None:
    facts = little_market(seller="evil\u202eknab\u200b\x00")

    text = page(report_of(facts), {})

    assert "evilknab-a" in text
    assert not {"\u202e", "\u200b", "\x00"} & set(text)


def test_an_element_escapes_what_is_put_into_it() -> None:
    made = element("p", "<b>&", element("b", "bold"), title='"<')

    assert made == '<p title="&quot;&lt;">&lt;b&gt;&amp;<b>bold</b></p>'


def test_of_a_picture_only_what_is_known_gets_into_a_page() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        ' width="10" height="10" viewBox="0 0 10 10" onload="x()"><script>x()</script>'
        f'<image xlink:href="{LURE}"/><a xlink:href="{LURE}"><text>gone</text></a>'
        f'<style>@import "{LURE}"</style><foreignObject><p>x</p></foreignObject>'
        f'<g id="clip0" clip-path="url(#clip0)"><rect fill="url({LURE})" style="x" width="1"/>'
        '<text fill="#1b1f23">a &lt;b&gt;</text></g></svg>'
    )

    made = embedded(svg, name="plot", label='a "plot"')

    assert "example.invalid" not in made
    assert [tag.name for tag in Page(made).tags] == ["svg", "g", "rect", "text"]
    assert 'id="plot-clip0"' in made
    assert 'clip-path="url(#plot-clip0)"' in made
    assert '<text fill="var(--ink)">a &lt;b&gt;</text>' in made
    assert "onload" not in made


def test_pictures_are_images_of_a_size_that_can_be_read() -> None:
    made = report_of(little_market())

    for picture in pictures_of(plots_of(made)).values():
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", picture[16:24])
        assert 600 < width < 2_400
        assert 60 < height < 2_400


# The command


def test_a_report_that_takes_long_shows_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bars, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")

    with reporting.Meter(4) as meter:
        meter.tell("Journey")

    assert "1 of 4 parts" in capsys.readouterr().err


def test_a_quick_report_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    with reporting.Meter(4) as meter:
        meter.tell("Journey")

    assert "parts" not in capsys.readouterr().err
