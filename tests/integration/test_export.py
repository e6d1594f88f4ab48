"""The export: every frame as declared, true to the store, on both databases; and the manual."""

import json
import re
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from market import analytics, chores, sessions
from market.analytics import FRAMES, Facts, NoFacts, funnel
from market.analytics.facts import FrameOf
from market.analytics.parts import FORMAT
from market.analytics.typenames import type_text
from market.base.settings import Settings
from market.base.store import Store
from market.protocol.canonical import canonical
from market.protocol.chain import read_entry, verify_chain
from market.protocol.events import MARKET
from market.protocol.wire import (
    ForkSession,
    MandateView,
    OpenSession,
    OrderView,
    WriteEvent,
    WriteEvents,
)
from market.sessions import NewEvent
from tests.aftermath import refund
from tests.factories import Town, build_town, enter, mandate, post_review

MANUAL = Path(__file__).parents[2] / "docs" / "analytics.md"
PRICE = 400_000
TABLE_HEAD = ["| column | type | meaning |", "| --- | --- | --- |"]


@pytest.fixture
def facts_of(tmp_path: Path):
    """Export a store to a new folder and open it."""

    def open_facts(store: Store) -> Facts:
        return analytics.open(store, directory=tmp_path / "facts")

    return open_facts


async def shopping(town: Town) -> str:
    """A journey in which the service was found and left for its price; its session's id."""
    opened = await town.store.write(
        sessions.open_session,
        buyer_id=town.buyer.id,
        principal_id=None,
        request=OpenSession(need="tables of a PDF", labels={"policy": "thrifty"}),
    )
    shown = {"service_id": town.service.id, "slug": "acme-pdf", "seller_id": town.seller.id}
    trust = {"score": 0.25, "confidence": 0, "good": 1.5, "bad": 0, "flags": []}
    events = [
        ("finding.listed", {"query": "pdf", "filters": {}, "services": [
            {**shown, "amount_minor": PRICE, "score": 1, "parts": {"text": 0.5, "price": 0.5}},
            {**shown, "service_id": "other", "amount_minor": 1, "score": 0.5, "parts": {}},
        ]}),
        ("finding.listed", {"query": "none", "filters": {}, "services": []}),
        ("evaluating.read", {**shown, "manifest_digest": town.service.manifest_digest}),
        ("trust.reported", {**shown, **trust}),
    ]  # fmt: skip
    await town.store.write(
        sessions.append,
        session_id=opened.id,
        events=[NewEvent(kind, town.buyer.id, body) for kind, body in events],
    )
    option = {"service_id": town.service.id, "slug": "acme-pdf", "amount_minor": PRICE,
              "score": 0.75, "parts": {"price": 0.5, "trust": 0.25}}  # fmt: skip
    decisions = [
        {"stage": "finding", "outcome": "advance", "alternatives": [option]},
        {"stage": "evaluating", "outcome": "leave", "reason": "price", "detail": "too dear",
         "alternatives": [option | {"reason": "price", "limit_minor": 300_000}]},
    ]  # fmt: skip
    for decision in decisions:
        event = WriteEvent(kind="decision.made", body=decision)
        await town.store.write(
            sessions.write,
            caller=town.buyer.caller,
            session_id=opened.id,
            events=WriteEvents(events=[event]),
        )
    return opened.id


async def test_what_a_fork_shares_with_its_source_is_exported_once(town: Town, facts_of):
    source_id = await shopping(town)
    fork = await town.store.write(
        sessions.fork,
        caller=town.buyer.caller,
        session_id=source_id,
        request=ForkSession(after=5),
    )
    decision = {"stage": "evaluating", "outcome": "advance"}
    await town.store.write(
        sessions.write,
        caller=town.buyer.caller,
        session_id=fork.id,
        events=WriteEvents(events=[WriteEvent(kind="decision.made", body=decision)]),
    )

    facts = facts_of(town.store)

    events = facts.events.filter(pl.col("session_id") == fork.id).collect()
    assert events["offset"].to_list() == [6, 7]
    assert events["kind"].to_list() == ["session.forked", "decision.made"]
    sources = facts.sessions.select("session_id", "source_session_id", "source_offset").collect()
    assert set(sources.rows()) == {(source_id, None, None), (fork.id, source_id, 5)}
    stages = facts.stages.filter(pl.col("session_id") == fork.id).collect()
    assert stages.select("stage", "outcome").rows() == [
        ("finding", "passed"),
        ("evaluating", "passed"),
        ("trust_checking", "open"),
    ]


async def review(town: Town, order: OrderView) -> None:
    await post_review(town.buyer, order, tags=["fast"])


async def delegated(town: Town) -> MandateView:
    """A mandate of a new principal for a new buyer."""
    principal = await enter(town.store, "household", "principal")
    spender = await enter(town.store, "spender", "buyer", principal.id)
    return await mandate(principal, spender, budget_minor=900_000, max_price_minor=500_000)


def rows(frame: pl.LazyFrame, *columns: str) -> list[tuple[Any, ...]]:
    return frame.select(columns).collect().rows()


# What every frame promises


async def test_every_frame_has_the_declared_columns_types_and_order(town: Town, facts_of):
    await review(town, await town.settled())
    await shopping(town)
    await delegated(town)
    await chores.weigh_trust(town.store)

    facts = facts_of(town.store)

    for name, frame in FRAMES.items():
        found = facts[name].collect()
        assert found.schema == frame.schema, name
        assert found.equals(found.sort(frame.key)), name
        assert found.select(frame.key).is_unique().all(), name
        assert found.is_empty() == (name == "recommendations"), name


async def test_an_empty_store_has_every_frame_without_rows(store: Store, facts_of):
    facts = facts_of(store)

    for name, frame in FRAMES.items():
        assert facts[name].collect().schema == frame.schema
        assert facts[name].collect().is_empty()
    assert funnel(facts)["reached"].sum() == 0


async def test_the_note_counts_the_rows_of_each_file(town: Town, tmp_path: Path):
    await town.settled()

    exported = analytics.export(town.store, tmp_path / "facts")

    for name, count in exported.rows.items():
        files = [tmp_path / "facts" / part.file for part in exported.parts[name]]
        assert pl.read_parquet(files).height == count
        assert [file.name.rpartition("-")[0] for file in files] == [name]
    assert {path.name for path in (tmp_path / "facts").iterdir()} == {
        "export.json",
        ".export.lock",
        *[part.file for parts in exported.parts.values() for part in parts],
    }


# What is in them


async def test_events_are_those_of_the_log_and_their_chain_can_be_verified(town: Town, facts_of):
    order = await town.settled()
    log = await town.log_of(order.session_id)

    facts = facts_of(town.store)

    found = facts.events.collect().rows(named=True)
    for row, event in zip(found, log, strict=True):
        assert row["body"].encode() == canonical(event["body"])
        assert row["recorded_at"] == datetime.fromisoformat(event["recorded_at"])
        for name in ("session_id", "offset", "kind", "stage", "actor_id", "order_id", "hash"):
            assert row[name] == event[name]
    head = facts.sessions.collect()["head_hash"][0]
    assert verify_chain(map(read_entry, log)) == head == found[-1]["hash"]


async def test_a_column_without_a_value_for_ten_thousand_rows_keeps_its_type(town: Town, facts_of):
    session_id = await shopping(town)
    note = NewEvent("note.written", town.buyer.id, {"text": "é" * 3})
    for _ in range(10):
        await town.store.write(sessions.append, session_id=session_id, events=[note] * 1_000)
    order = await town.place(session_id=session_id)

    events = facts_of(town.store).events.filter(pl.col("order_id").is_not_null())

    assert rows(events, "kind", "order_id") == [("order.placed", order.id)]


async def test_orders_and_postings_tell_of_the_same_money(town: Town, facts_of):
    order = await town.settled()
    await town.place()

    facts = facts_of(town.store)

    assert rows(facts.orders, "state", "captured_minor", "fee_minor", "is_paused") == [
        ("settled", PRICE, 6_000, False),
        ("placed", 0, 0, False),
    ]
    sums = facts.postings.group_by("transaction_id", "currency").agg(pl.col("amount_minor").sum())
    assert rows(sums.select("amount_minor").unique(), "amount_minor") == [(0,)]
    captured = facts.postings.filter(pl.col("reason") == "escrow.capture")
    assert set(rows(captured, "account_kind", "owner_id", "amount_minor", "order_id")) == {
        ("escrow", order.id, -PRICE, order.id),
        ("wallet", town.seller.id, PRICE - 6_000, order.id),
        ("fees", "market", 6_000, order.id),
    }
    assert rows(facts.chunks, "order_id", "index", "units", "units_delivered") == [
        (order.id, 0, 2, 2),
        (order.id, 1, 2, 4),
    ]


async def test_decisions_carry_typed_alternatives_and_their_price(town: Town, facts_of):
    session_id = await shopping(town)

    decisions = facts_of(town.store).decisions

    columns = ("stage", "outcome", "reason", "detail", "amount_minor", "currency")
    assert rows(decisions, *columns) == [
        ("finding", "advance", None, "", PRICE, "XTS"),
        ("evaluating", "leave", "price", "too dear", PRICE, "XTS"),
    ]
    weighed = decisions.explode("alternatives").unnest("alternatives", separator=".").collect()
    assert weighed["session_id"].unique().to_list() == [session_id]
    assert weighed["alternatives.limit_minor"].to_list() == [None, 300_000]
    assert weighed["alternatives.parts"][0].to_list() == [
        {"part": "price", "value": 0.5},
        {"part": "trust", "value": 0.25},
    ]


async def test_sightings_tell_what_a_buyer_was_shown_and_in_which_place(town: Town, facts_of):
    await shopping(town)

    sightings = facts_of(town.store).sightings

    mine, other = town.service.id, "other"
    columns = ("offset", "kind", "place", "service_id", "amount_minor", "score", "trust", "good")
    assert rows(sightings, *columns) == [
        (1, "finding.listed", 1, mine, PRICE, 1.0, None, None),
        (1, "finding.listed", 2, other, 1, 0.5, None, None),
        (3, "evaluating.read", 1, mine, None, None, None, None),
        (4, "trust.reported", 1, mine, None, None, 0.25, 1.5),
    ]


async def test_stages_end_with_the_decision_to_leave(town: Town, facts_of):
    await shopping(town)

    stages = facts_of(town.store).stages.collect()

    assert stages.select("stage", "outcome", "reason", "amount_minor").rows() == [
        ("finding", "passed", None, PRICE),
        ("evaluating", "left", "price", PRICE),
    ]
    assert (stages["left_at"] >= stages["entered_at"]).all()
    assert stages["entered_at"][1] == stages["left_at"][0]


async def test_a_buyer_without_decisions_comes_as_far_as_the_market_saw(town: Town, facts_of):
    settled, reviewed = await town.settled(), await town.settled()
    await review(town, reviewed)
    waiting = await town.place()
    failed = await town.place()
    nothing = NewEvent("order.failed", MARKET, {"reason": "no paper"}, failed.id, stage="using")
    await town.store.write(sessions.append, session_id=failed.session_id, events=[nothing])

    stages = facts_of(town.store).stages

    last = stages.group_by("session_id").agg(pl.col("stage", "outcome", "reason").last())
    found = {session: rest for session, *rest in rows(last, *last.collect_schema())}
    assert found == {
        settled.session_id: ["recommending", "open", None],
        reviewed.session_id: ["recommending", "passed", None],
        waiting.session_id: ["transacting", "open", None],
        failed.session_id: ["using", "left", "delivery_failed"],
    }
    passed = stages.filter(pl.col("session_id") == settled.session_id).collect()
    assert passed["outcome"].to_list() == ["passed"] * 5 + ["open"]
    assert passed["service_id"].to_list()[3:5] == [town.service.id] * 2


async def test_a_session_closed_without_a_word_is_left_not_open(town: Town, facts_of):
    opened = await town.store.write(
        sessions.open_session,
        buyer_id=town.buyer.id,
        principal_id=None,
        request=OpenSession(need="nothing"),
    )
    await town.store.write(
        sessions.close, caller=town.buyer.caller, session_id=opened.id, reason="done"
    )

    stages = facts_of(town.store).stages

    assert rows(stages, "stage", "outcome", "reason") == [("finding", "left", None)]


async def test_reviews_and_agents_and_services_are_there(town: Town, facts_of):
    await review(town, await town.settled())

    facts = facts_of(town.store)

    assert rows(facts.reviews, "verdict", "tags", "buyer_id") == [("good", ["fast"], town.buyer.id)]
    assert set(rows(facts.agents, "handle", "kind")) == {("acme", "seller"), ("thrifty", "buyer")}
    assert rows(facts.services, "slug", "seller_handle", "amount_minor", "currency") == [
        ("acme-pdf", "acme", PRICE, "XTS")
    ]
    assert str(analytics.why(facts, "acme")).startswith(
        "acme was seen in 1 journey; 1 finished (100%)."
    )


async def test_a_sellers_money_is_what_the_ledger_says_after_a_refund_too(town: Town, facts_of):
    order = await town.settled()
    await town.place()
    await refund(town, order, 100_000)

    [row] = analytics.money(facts_of(town.store)).rows(named=True)

    assert row["difference_minor"] == 0
    assert (row["revenue_minor"], row["refunds_minor"]) == (PRICE, 100_000)
    # The market gives back its part of the fee: 6 000 of 400 000, and so 1 500 of 100 000.
    assert row["kept_minor"] == PRICE - 6_000 - 100_000 + 1_500
    assert (row["held_minor"], row["orders"]) == (PRICE, 2)


async def test_mandates_tell_their_limits_and_what_counts_against_them(town: Town, facts_of):
    given = await delegated(town)

    mandates = facts_of(town.store).mandates

    counted = ("mandate_id", "budget_minor", "max_orders", "spent_minor", "orders", "revoked_at")
    assert rows(mandates, *counted) == [(given.id, 900_000, None, 0, 0, None)]
    limits = json.loads(mandates.collect()["limits"][0])
    assert {name: limit for name, limit in limits.items() if limit is not None} == {
        "budget_minor": 900_000,
        "max_price_minor": 500_000,
    }


# Opening


async def test_an_export_is_of_one_moment_while_the_market_goes_on(town: Town, facts_of):
    await town.settled()
    facts = facts_of(town.store)

    await town.settled()

    assert facts.orders.collect().height == 1
    assert facts_of(town.store).orders.collect().height == 2


@pytest.fixture
async def shop(sqlite_settings: Settings) -> Path:
    """The folder of a market that has closed, with one sale."""
    store = Store.open(sqlite_settings)
    await (await build_town(store)).settled()
    store.close()
    return sqlite_settings.home


async def test_a_store_is_exported_beside_itself_and_again_only_when_it_changed(shop: Path):
    note = shop / "facts" / "export.json"
    assert analytics.open(shop).sessions.collect().height == 1
    first = note.read_bytes()

    analytics.open(str(shop / "market.db"))
    assert note.read_bytes() == first

    store = Store.open(Settings(home=shop))
    request = OpenSession(need="more")
    await store.write(sessions.open_session, buyer_id="b", principal_id=None, request=request)
    assert analytics.open(store).sessions.collect().height == 2
    store.close()


async def test_facts_are_opened_without_the_store_they_came_from(shop: Path):
    analytics.open(shop)
    (shop / "market.db").unlink()

    assert analytics.open(shop).orders.collect().height == 1
    assert analytics.open(shop / "facts").orders.collect().height == 1


async def test_an_export_of_another_version_is_made_anew(shop: Path):
    analytics.open(shop)
    note = shop / "facts" / "export.json"
    note.write_text(note.read_text().replace(f'"format": {FORMAT}', '"format": 0'))

    analytics.open(shop)

    assert f'"format": {FORMAT}' in note.read_text()


def test_where_there_is_nothing_the_refusal_says_what_was_looked_for(tmp_path: Path):
    with pytest.raises(NoFacts, match=r"neither facts \(export.json\) nor a store \(market.db\)"):
        analytics.open(tmp_path)


def test_a_postgresql_address_needs_a_folder_for_its_facts():
    with pytest.raises(NoFacts, match="Name a directory"):
        analytics.open("postgresql://nobody@127.0.0.1/none")


# The manual


@pytest.mark.parametrize("name", FRAMES)
def test_the_docstring_of_a_frame_names_every_column_and_type(name: str):
    attribute = getattr(Facts, name)

    assert isinstance(attribute, FrameOf)
    for column, (dtype, meaning) in FRAMES[name].columns.items():
        assert re.search(rf"{column} +{re.escape(type_text(dtype))}: ", attribute.__doc__ or "")
        assert meaning
    with pytest.raises(AttributeError, match="is read, not set"):
        setattr(Facts({}), name, None)


@pytest.mark.parametrize("name", FRAMES)
def test_the_manual_has_the_table_of_every_frame(name: str):
    frame = FRAMES[name]
    table = [
        f"| `{column}` | {type_text(dtype)} | {meaning} |"
        for column, (dtype, meaning) in frame.columns.items()
    ]

    manual = MANUAL.read_text("utf-8")

    keys = ", ".join(f"`{key}`" for key in frame.key)
    section = "\n".join(
        [f"### {name}", "", f"{frame.grain}, sorted by {keys}.", "", *TABLE_HEAD, *table, ""]
    )
    assert section in manual


async def test_the_ten_lines_of_polars_run_as_they_stand(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    [lines] = re.findall(r"```python\n(import polars.*?)```", MANUAL.read_text("utf-8"), re.DOTALL)
    run = tmp_path / "elsewhere" / "runs" / "first-purchase-1"
    run.mkdir(parents=True)
    shutil.copy(shop / "market.db", run)
    monkeypatch.chdir(tmp_path / "elsewhere")

    exec(compile(lines, "docs/analytics.md", "exec"), {})

    assert len(lines.strip().splitlines()) == 10
    assert "settled" in capsys.readouterr().out
