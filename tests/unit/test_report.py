"""Reports: what they say is what analytics says, safe whatever names the facts hold."""

import struct
from collections.abc import Callable
from typing import Any

import msgspec
import polars as pl
import pytest

from market import analytics
from market.analytics import Facts
from market.cli import reporting
from market.protocol.events import STAGES
from market.report import Block, Report, compose, page, pictures_of, plots_of
from market.report.forms import Column
from market.report.html import element
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


def test_lost_sales_are_told_by_seller() -> None:
    facts = little_market()
    answer = analytics.why(facts, "acme-b")

    rows = block(report_of(facts), "why").rows

    of_b = [row for row in rows if row["seller"] == "acme-b"]
    assert [(row["stage"], row["journeys"], row["change"]) for row in of_b] == [
        (lost.stage, lost.journeys, lost.change) for lost in answer.stages
    ]
    assert {row["lost"] for row in of_b} == {answer.lost}


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

    assert {one.name for one in made.blocks if not one.missing} - plots.keys() == {"why", "faults"}


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
    monkeypatch.setattr(reporting, "PATIENCE_SECONDS", 0.0)
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
