"""``docs/policies.md`` is tested: its tables name all there is, and its examples work."""

import ast
import dataclasses
import inspect
import json
import random
import re
import sys
from http.server import HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from buyer_agents import Candidate, Experience, Judgement, Need, making
from buyer_agents.outside_questions import (
    INSTRUCTIONS,
    PROTOCOL,
    REPLIES,
    Asked,
    ask_judgement,
    ask_rank,
    ask_trust,
    read_reply,
)
from buyer_agents.outside_questions import Order as Ordered
from buyer_agents.policies import ADVERSARIES, POLICIES, policy_named
from market.protocol.wire import FoundView, TrustView
from scenarios.engine import SellerPart
from scenarios.engine.reading import load
from scenarios.engine.services import seller_for
from seller_services import Order
from seller_services.behaviours import BEHAVIOURS, behaviour_named
from tests.stand_in import answer
from tests.unit.test_policies import NEED, candidate, report

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text("utf-8")
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
JSON = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
SEATS = [code for code in CODE if "def decide" in code]
OWN = [code for code in CODE if "class " in code and code not in SEATS]
"""Policies and behaviours; the rest is a line of a program."""

ITEMS = Need(query="convert units", input={"items": [{}, {}]})


def params_of(cls: Any) -> dict[str, Any]:
    parameters = inspect.signature(cls).parameters.items()
    return {name: one.default for name, one in parameters if name not in making.HANDED}


def row_of(name: str) -> str:
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    [row] = [line for line in rows if f"`{name}`" in line.split("|")[1]]
    return row


@pytest.mark.parametrize("name", [*POLICIES, *ADVERSARIES, *BEHAVIOURS])
def test_every_name_has_a_row_with_its_params(name: str) -> None:
    known = {**POLICIES, **ADVERSARIES, **BEHAVIOURS}
    params = params_of(making.class_named(name, known, "policy"))
    # The seat for an LLM has a table of its own.
    told = PAGE if name == "outside" else row_of(name)

    assert [param for param in params if f"`{param}`" not in told] == []


@pytest.mark.parametrize("name", ["explorer", "haggler", "satisficer", "delegating", "outside"])
def test_the_defaults_of_policies_are_as_they_are_told(name: str) -> None:
    defaults = params_of(making.class_named(name, POLICIES, "policy"))
    told = PAGE if name == "outside" else row_of(name)

    for param, default in defaults.items():
        if default is not None:
            assert f"`{param}` = {default}" in told


@pytest.mark.parametrize("name", ["premium", "discounting", "dynamic", "bargainer", "flaky"])
def test_the_defaults_of_behaviours_are_as_they_are_told(name: str) -> None:
    for param, default in params_of(making.class_named(name, BEHAVIOURS, "behaviour")).items():
        told = int(default) if param == "every_seconds" else default
        assert f"`{param}` = {told}" in row_of(name)


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A story's folder with the examples of the page in one module, as it says."""
    assert [len(OWN), len(SEATS), len(CODE)] == [4, 2, 7]
    (tmp_path / "my_market.py").write_text("\n".join(OWN), "utf-8")
    (tmp_path / "my_seat.py").write_text(SEATS[0], "utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in ("my_market", "my_seat"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


STORY = """\
scenario = 1
name = "own"
[[sellers]]
name = "clerk"
service = "convert-units"
behaviour = "my_market:HappyHour"
params = { percent = 60 }
[[buyers]]
name = "walker"
policy = "my_market:Impatient"
params = { refund_bonus = 0.5 }
need = { query = "convert units", input = { items = [] } }
"""


def test_classes_beside_a_story_are_found_and_do_what_the_page_says(beside: Path) -> None:
    path = beside / "own.toml"
    path.write_text(STORY)

    story = load(path)

    [seller], [buyer] = story.scenario.sellers, story.scenario.buyers
    assert seller_for(seller, "clerk", 1).listing["id"] == "clerk"
    policy: Any = policy_named(buyer.policy, **buyer.params)
    quick, slow = candidate("quick", price=300), candidate("slow", price=100)
    quick = type(quick)(found=_faster(quick.found), amount_minor=300)
    assert [one.candidate.slug for one in policy.rank([slow, quick], NEED, {})] == ["quick", "slow"]
    happy: Any = behaviour_named(seller.behaviour, seller.params)
    assert happy.percent == 60


def test_the_wary_policy_of_the_page_asks_leaves_and_counts(beside: Path) -> None:
    wary: Any = policy_named("my_market:Wary")
    tried = {"distinct_buyers": 3, "orders_settled": 2}

    def trusts(**told: Any) -> str:
        return str(wary.trusts(msgspec.structs.replace(report(), **told), ITEMS))

    assert trusts(**tried) == "allow"
    assert trusts() == "ask"
    assert trusts(**tried, orders_failed=3) == "leave"
    assert trusts(**tried, flags=["low_score"]) == "leave"
    offer: Any = SimpleNamespace(
        quote=SimpleNamespace(amount_minor=50_000),
        found=SimpleNamespace(p95_ms=500),
    )
    assert wary.is_enough(offer, ITEMS)
    offer.found.p95_ms += 1
    assert not wary.is_enough(offer, ITEMS)
    offer.found.p95_ms, offer.quote.amount_minor = 500, 50_001
    assert not wary.is_enough(offer, ITEMS)
    assert wary.judge([{}], ITEMS) == Judgement("bad", "1 came of 2.")
    assert wary.judge([{}, {}], ITEMS).verdict == "good"


@pytest.mark.parametrize("has_threads", [True, False])
async def test_the_echo_of_the_page_works_on_plain_and_async_handlers(
    beside: Path, has_threads: bool
) -> None:
    part = SellerPart(name="clerk", service="convert-units", behaviour="my_market:Echo")
    items = [{"value": str(n), "from": "mile", "to": "metre"} for n in range(3)]

    seller: Any = seller_for(part, "clerk", 1, has_threads=has_threads)
    outputs = [one async for one in seller._handler(order_of(3, {"items": items}))]

    assert [one.output["item"] for one in outputs] == [0, 0, 0]
    assert making.is_honest(making.class_named("my_market:Echo", {}, "behaviour")) is False


def order_of(units: int, request: Any = None) -> Order:
    names = ("id", "session_id", "buyer_id", "deliver_by", "chunks_delivered")
    view: Any = SimpleNamespace(**dict.fromkeys(names, ""))
    view.input, view.units, view.terms = request, units, SimpleNamespace(is_cap=False)
    return Order(view)


def _faster(found: Any) -> Any:
    return msgspec.structs.replace(found, p95_ms=1)


@pytest.mark.parametrize(
    "given",
    [
        FoundView.__struct_fields__,
        TrustView.__struct_fields__,
        [field.name for field in dataclasses.fields(Need)],
        [field.name for field in dataclasses.fields(Experience)],
        vars(order_of(6)),
        [name for name in vars(Candidate) if not name.startswith("_")],
    ],
)
def test_the_page_names_all_that_a_policy_and_a_handler_get(given: Any) -> None:
    assert [name for name in given if f"`{name}`" not in PAGE and f"`{name}(" not in PAGE] == []


def test_all_code_of_the_page_can_be_read() -> None:
    for code in CODE:
        ast.parse(code)


def test_the_page_tells_the_message_that_a_typo_gets() -> None:
    with pytest.raises(making.BadParams) as refusal:
        policy_named("explorer", chance=random.Random(1), rat=0.3)

    assert str(refusal.value) in PAGE


def example_question() -> dict[str, Any]:
    """The question that the page shows: two readers of a text, as they are listed."""
    need = Need(query="key sentences", input={"text": "Bees fly."}, wants=("keywords",))
    words = {
        "quick-reader": "Extract the leading sentences of a text.",
        "careful-reader": "Extract the key sentences and key words of a text.",
    }
    found = [
        msgspec.structs.replace(
            candidate(name, price=price).found,
            summary=words[name],
            tags=["text", "summary"],
            price_per="unit",
            unit="1,000 characters",
            p95_ms=500,
        )
        for name, price in (("quick-reader", 10_000), ("careful-reader", 30_000))
    ]
    offers = [Candidate(found=one, amount_minor=one.amount_minor) for one in found]
    memory = {found[1].seller_id: Experience(good=1)}
    return dict(ask_rank(offers, need, memory))


def test_the_question_of_the_page_is_one_and_its_answer_fits() -> None:
    question, told = JSON

    assert json.loads(question) == example_question()
    assert read_reply("rank", told, 2) == Ordered(order=[2], why="The other has no key words.")
    checker = jsonschema_rs.validator_for(example_question()["answer_schema"])
    assert checker.is_valid(json.loads(told))


def test_what_an_answer_schema_refers_to_stands_alone() -> None:
    for asked in INSTRUCTIONS:
        schema = msgspec.json.schema(REPLIES[asked])
        alone = schema["$defs"][schema["$ref"].rpartition("/")[2]]

        assert alone["type"] == "object"
        assert "$ref" not in json.dumps(alone)
    assert 'schema["$defs"][schema["$ref"].rpartition("/")[2]]' in PAGE


QUESTIONS: dict[Asked, Any] = {
    "rank": ask_rank([candidate("one"), candidate("two")], NEED, {}),
    "trust": ask_trust(report(), NEED),
    "judge": ask_judgement([{"column": "a"}], NEED),
}


@pytest.mark.parametrize("asked", INSTRUCTIONS)
def test_the_seat_of_the_page_answers_every_question(beside: Path, asked: Asked) -> None:
    decide = making.class_named("my_seat:decide", {}, "function")

    assert read_reply(asked, decide(dict(QUESTIONS[asked])), 2)


async def test_the_seat_of_the_page_is_asked_by_name_and_over_http(beside: Path) -> None:
    named: Any = policy_named("outside", agent="walker", ask="my_seat:decide")
    server = HTTPServer(("127.0.0.1", 0), making.class_named("my_seat:Seat", {}, "class"))
    server.RequestHandlerClass.log_message = lambda *args: None  # type: ignore[assignment,method-assign]
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/decide"
    served: Any = policy_named("outside", agent="walker", url=url)
    try:
        both = [await seat.rank([candidate("one")], NEED, {}) for seat in (named, served)]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    assert [[one.candidate.slug for one in ranked] for ranked in both] == [["one"], ["one"]]


def test_the_seat_around_a_model_shows_it_the_rules_apart_from_the_material() -> None:
    seen: dict[str, Any] = {}

    def complete(system: str, user: str) -> str:
        seen.update(system=json.loads(system), user=json.loads(user))
        return '{"order": [1]}'

    program: dict[str, Any] = {"complete": complete, "json": json}
    exec(SEATS[1], program)
    question = {**QUESTIONS["rank"], "refused": {"answer": "hm", "problem": "no JSON"}}

    assert program["decide"](question) == {"order": [1]}
    assert seen["user"] == question["material"]
    assert {**seen["system"], "material": seen["user"]} == question


def test_the_protocol_of_the_page_is_the_one_that_is_spoken() -> None:
    question = ask_rank([candidate("one")], NEED, {})

    assert f"protocol, version {PROTOCOL}" in PAGE
    assert all(f"| `{asked}` |" in PAGE for asked in INSTRUCTIONS)
    assert all(f"`{member}`" in PAGE for member in question)
    assert set(REPLIES) == set(INSTRUCTIONS)
    assert answer(dict(question))["order"] == [1]
