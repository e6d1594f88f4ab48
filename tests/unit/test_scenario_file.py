"""Scenario files: every mistake is named by its line, and what can be read can be run."""

import tomllib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from market.faces.http.openapi import portable
from market.protocol.canonical import digest
from market.protocol.events import GENESIS, KINDS, Event
from scenarios.engine import BadScenario, Scenario, Story, schema
from scenarios.engine.acts import acts_of
from scenarios.engine.asking import Untested
from scenarios.engine.checks import check
from scenarios.engine.expressions import BadExpression, Expression, Signature
from scenarios.engine.facts import Balance, Facts, WatcherFacts, gaps, journey_of, repeats
from scenarios.engine.form import names_of, seconds
from scenarios.engine.metrics import METRICS, measure, read
from scenarios.engine.places import lines_of
from scenarios.engine.reading import load
from scenarios.engine.seeds import key_of, nonces_of

STORIES = sorted((Path(__file__).parents[2] / "scenarios").glob("*.toml"))
WHOLE = """\
scenario = 1
name = "whole"
[market]
currency = "XTS"
[[sellers]]
name = "clerk"
service = "convert-units"
[[buyers]]
name = "walker"
count = 2
wallet = "1.00"
need = { query = "convert units", input = { items = [] } }
[[faults]]
kind = "disconnect"
at = { agent = "walker-1", chunk = 3 }
[[overseer]]
do = "cancel"
at = { agent = "walker-*", event = "order.placed" }
[[expect]]
that = "orders.settled == 2"
"""

CUES = (
    WHOLE
    + """\
[[watchers]]
name = "phone"
who = "overseer"
at = { agent = "walker-1", chunk = 1 }
[[sub_agents]]
name = "checker"
title = "Check"
at = { agent = "walker-1", event = "order.started" }
steps = [{ step = "one", output = { price = 1 } }]
[[overseer]]
do = "steer"
by = "phone"
run = "checker"
at = { agent = "walker-1", step = "checker/one" }
[[faults]]
kind = "cut"
whose = "phone"
bytes = 100
at = { agent = "walker-1", action = "steer" }
[[expect]]
that = "differences(watcher='phone') == 0 and steps(run='checker') == 1"
"""
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "whole.toml"


def mistakes(file: Path, text: str) -> list[str]:
    file.write_text(text)
    with pytest.raises(BadScenario) as caught:
        load(file)
    return [str(trouble).removeprefix(f"{file}:") for trouble in caught.value.troubles]


def test_a_whole_file_is_read(file: Path) -> None:
    file.write_text(WHOLE)

    story = load(file)

    assert names_of(story.scenario.buyers[0]) == ["walker-1", "walker-2"]
    assert story.where("overseer", 0, "at", "agent") == f"{file}:18"


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('name = "whole"', 'nam = "whole"', "2: nam is not known here (did you mean 'name'?)"),
        ('name = "whole"\n', "", "1: name is missing"),
        ("scenario = 1", "scenario = 2", "1: scenario cannot be '2' (known: 1)"),
        ('"XTS"', '"XTS', "4: not TOML: Illegal character '\\n'"),
        ("count = 2", "count = 0", "10: buyers.walker.count: expected `int` >= 1"),
        (
            "count = 2",
            "count = 2\nrest = 60",
            '11: buyers.walker.rest must be a time with its unit, such as "50ms", "2s", "10m" '
            '(write "60s")',
        ),
        ('"1.00"', "1.00", "11: buyers.walker.wallet is not an amount: write amounts in quotes"),
        ('"1.00"', '"1,00"', '11: buyers.walker.wallet must be a decimal, such as "0.40"'),
        ('"1.00"', '"0.1234567"', "11: buyers.walker.wallet may have at most 6 decimals"),
        ('"1.00"', '"-1.00"', "11: buyers.walker.wallet must not be negative"),
        ('"convert units"', '"two\\nlines"', "12: buyers.walker.need.query must be one line of"),
        ("count = 2", 'vouched = "yes"', "10: buyers.walker.vouched: expected `bool`, got `str`"),
        ('currency = "XTS"', "reviews = 1", "4: market.reviews: expected `bool`, got `int`"),
        (
            '"convert-units"',
            '"convert-units"\nrefund = "no"',
            "8: sellers.clerk.refund cannot be 'no' ",
        ),
        (
            "query =",
            "qery =",
            "12: buyers.walker.need.qery is not known here (did you mean 'query'?)",
        ),
        ('"disconnect"', '"lag"', "14: faults[0].kind cannot be 'lag' (known: clock-skew, "),
        ("chunk = 3", "chunk = -1", "15: faults[0].at.chunk: expected `int` >= 0"),
        ('do = "cancel"', 'do = "cancle"', "17: overseer[0].do cannot be 'cancle' "),
        ("that =", "than =", "20: expect[0].than is not known here (did you mean 'that'?)"),
        ("[[overseer]]", "[[overseers]]", "16: overseers is not known here (did you mean 'overse"),
        ("[market]", "[markt.clock]", "3: markt is not known here (did you mean 'market'?)"),
        ("[[expect]]", "[expect]", "19: expect: expected `array`, got `object` (write [[expect]])"),
        (
            'currency = "XTS"',
            'clock = { speed = "fast" }',
            "4: market.clock.speed cannot be 'fast' (known: 'max', a whole number from 1 to 1000",
        ),
    ],
)
def test_a_mistake_of_form_is_named_by_its_line(
    file: Path, right: str, wrong: str, said: str
) -> None:
    [mistake] = mistakes(file, WHOLE.replace(right, wrong, 1))

    assert mistake.startswith(said)


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (
            '"convert-units"',
            '"convert"',
            "7: no sample service is called 'convert'; did you mean 'convert-units'?",
        ),
        ('"convert-units"', '"no.such:thing"', "7: no service 'no.such:thing'"),
        ('"convert-units"', '"json:dumps"', "7: 'json:dumps' is no Seller"),
        ('name = "walker"\ncount = 2', 'name = "clerk"', "9: the name 'clerk' is taken"),
        ('name = "clerk"', 'name = "second-overseer"', "6: the name 'second-overseer' is taken"),
        ('"XTS"', '"EUR"\napproval_over = "0.001"', "5: '0.001' has more than 2 decimals"),
        ('"XTS"', '"XTS"\nquote_ttl = "1.5s"', "5: market.quote_ttl is a whole number"),
        ("count = 2", 'count = 2\npolicy = "cheapst"', "11: no policy 'cheapst'"),
        ("items = []", 'items = { file = "no.json" }', "12: there is no file 'no.json'"),
        ("{ items = [] }", '{ file = "../whole.toml" }', "12: "),
        ('"walker-1", chunk = 3', '"walker", chunk = 3', "15: no agent here is called 'walker'"),
        ("chunk = 3", 'chunk = 3, event = "order.placed"', "15: give exactly one of"),
        ('"order.placed"', '"order.place"', "18: there is no kind of event 'order.place'"),
        ("orders.settled", "orders.setled", '20: "orders.setled == 2": there is no metric'),
        ("orders.settled", "wallet(agent='x')", "20: no agent here is called 'x'"),
        (
            "orders.settled == 2",
            "outcome(agent='walker-1') != 'bougt'",
            "20: outcome(agent='walker-1') is never 'bougt' (did you mean 'bought'?)",
        ),
        (
            "orders.settled == 2",
            "not 'clark' == seller(agent='walker-*')",
            "20: seller(agent='walker-*') is never 'clark' (did you mean 'clerk'?)",
        ),
        (
            "orders.settled == 2",
            "stage(agent='walker-1') == 'use'",
            "20: stage(agent='walker-1') is never 'use'",
        ),
        (
            "orders.settled == 2",
            "reason(agent='walker-1') == 'prise'",
            "20: reason(agent='walker-1') is never 'prise' (did you mean 'price'?)",
        ),
    ],
)
def test_what_is_named_must_exist(file: Path, right: str, wrong: str, said: str) -> None:
    found = mistakes(file, WHOLE.replace(right, wrong, 1))

    assert any(mistake.startswith(said) for mistake in found), found


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (
            'who = "overseer"',
            'over = "carrier"',
            "23: watchers.phone.over cannot be 'carrier' (known",
        ),
        (
            'who = "overseer"',
            'begin = "start"',
            "23: watchers.phone.begin is not known here (did you",
        ),
        (
            "title =",
            "titel =",
            "27: sub_agents.checker.titel is not known here (did you mean 'title'",
        ),
        (
            'steps = [{ step = "one", output = { price = 1 } }]',
            "steps = []",
            "29: sub_agents.checker.st",
        ),
        (
            'step = "one"',
            'step = "page/one"',
            "29: sub_agents.checker.steps[0].step must be what a wor",
        ),
        (
            'step = "one"',
            'stepp = "one"',
            "29: sub_agents.checker.steps[0].stepp is not known here (di",
        ),
        ('"checker/one"', '"one"', '34: overseer[1].at.step must be a step of a run, such as "s'),
        ('action = "steer"', 'action = "wave"', "39: faults[1].at.action cannot be 'wave' (known:"),
        ("bytes = 100", "bytes = 0", "38: faults[1].bytes: expected `int` >= 1"),
    ],
)
def test_a_mistake_in_what_happens_is_named_by_its_line(
    file: Path, right: str, wrong: str, said: str
) -> None:
    [mistake] = mistakes(file, CUES.replace(right, wrong, 1))

    assert mistake.startswith(said)


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('"overseer"\nat', '"clerk"\nat', "23: no agent here is called 'clerk'"),
        ('"overseer"\nat', '"walker-1-principal"\nat', "23: no agent here is called 'walker-1-pr"),
        ('"walker-1", chunk = 1', '"walker-*", chunk = 1', "24: give the name of one buyer"),
        ('"checker"\ntitle', '"phone"\ntitle', "26: the name 'phone' is taken"),
        ('"walker-1", event', '"walker-?", event', "28: give the name of one buyer"),
        ('by = "phone"', 'by = "fone"', "32: no watcher here is called 'fone' (did you mean 'phon"),
        ('run = "checker"', 'run = "chequer"', "33: no run here is called 'chequer' (did you mea"),
        ("checker/one", "checker/won", "34: no step here is called 'checker/won' (did you mean"),
        (
            ', step = "checker/one"',
            "",
            "34: give exactly one of event, offset, chunk, step, action and time",
        ),
        ('whose = "phone"', 'whose = "fone"', "37: no agent here is called 'fone' (did you mean"),
        ("bytes = 100\n", "", "35: cut needs bytes"),
        ('"disconnect"', '"disconnect"\nbytes = 9', "15: bytes is for cut, not for disconnect"),
        ("watcher='phone'", "watcher='fone'", "41: no watcher here is called 'fone'"),
        ("run='checker'", "run='chequer'", "41: no run here is called 'chequer'"),
        (
            "steps(run='checker') == 1",
            "run_outcome(run='checker') == 'ready'",
            "41: run_outcome(run='checker') is never 'ready' (known: done, failed, cancelled)",
        ),
    ],
)
def test_what_happens_is_about_what_exists(file: Path, right: str, wrong: str, said: str) -> None:
    found = mistakes(file, CUES.replace(right, wrong, 1))

    assert any(mistake.startswith(said) for mistake in found), found


def test_two_sub_agents_do_not_write_one_run(file: Path) -> None:
    again = CUES.partition("[[sub_agents]]")[2].partition("[[overseer]]")[0]
    again = "[[sub_agents]]" + again.replace('"checker"', '"other"\nrun = "checker"')

    [mistake] = mistakes(file, CUES + again)

    assert "another sub-agent has the run 'checker' there" in mistake


def test_a_file_in_which_much_happens_is_read(file: Path) -> None:
    file.write_text(CUES)

    story = load(file)

    assert [act.title for act in acts_of(story, seed=1)] == [
        "watcher phone at chunk 1 of walker-1",
        "sub-agent checker at event order.started of walker-1",
        "disconnect at chunk 3 of walker-1",
        "cut at action steer of walker-1",
        "cancel at event order.placed of walker-*",
        "steer at step checker/one of walker-1",
    ]


def test_all_mistakes_are_told_at_once(file: Path) -> None:
    text = WHOLE.replace('"convert-units"', '"x"').replace("orders.settled", "orders.x")

    assert len(mistakes(file, text)) == 2


def test_a_name_that_is_taken_is_one_mistake(file: Path) -> None:
    again = '[[buyers]]\nname = "walker"\ncount = 2\nneed = { query = "x", input = {} }\n'

    [mistake] = mistakes(file, WHOLE + again)

    assert "the name 'walker-1' is taken" in mistake


def test_a_file_that_is_not_there_is_said_to_be_away(tmp_path: Path) -> None:
    with pytest.raises(BadScenario, match=r"no\.toml: the file does not exist"):
        load(tmp_path / "no.toml")


def test_a_scenario_made_by_a_program_is_checked_alike() -> None:
    scenario = Scenario(scenario=1, name="made", buyers=load(STORIES[0]).scenario.buyers[:1])

    with pytest.raises(BadScenario, match=r"buyers\[0\]\.need\.input: there is no file"):
        check(Story(scenario, Path("nowhere")))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_every_story_fits_the_published_schema(path: Path) -> None:
    validator = jsonschema_rs.validator_for(portable(schema()))

    assert validator.is_valid(tomllib.loads(path.read_text()))


@pytest.mark.parametrize(
    "that",
    [
        "outcome(agent='walker-1') == 'open'",
        "seller(agent='walker-*') == 'clerk' and seller(agent='walker-1') != ''",
        "reason(agent='walker-1') == reason(agent='walker-2')",
        "stage(agent='walker-1') != 'using'",
    ],
)
def test_a_text_that_can_be_found_may_be_asked_for(file: Path, that: str) -> None:
    file.write_text(WHOLE.replace("orders.settled == 2", that))

    assert load(file).scenario.expect[0].that == that


def test_lines_are_found_in_every_kind_of_value() -> None:
    text = (
        "# top\n"
        'a.b = "x # ["\n'
        "[t]\n"
        'c = { d = """one\n'
        '"" two""", e = [1,\n'
        "  { f = 2 }, # note\n"
        "] }\n"
        '[[t."k y"]]\n'
        "g = '\\'\n"
        "[[t.'k y']]\n"
        "g = 1979-05-27T07:32:00Z\n"
        "[t.'k y'.deep]\n"
        "h = true\n"
    )
    tomllib.loads(text)

    lines = lines_of(text)

    assert lines["a", "b"] == 2
    assert lines["t", "c", "d"] == 4
    assert lines["t", "c", "e", 1, "f"] == 6
    assert lines["t", "k y", 0, "g"] == 9
    assert lines["t", "k y", 1, "g"] == 11
    assert lines["t", "k y", 1, "deep", "h"] == 13


@pytest.mark.parametrize(
    ("text", "expected"), [("50ms", 0.05), ("2s", 2), ("1.5s", 1.5), ("10m", 600), ("1h", 3600)]
)
def test_durations_carry_their_unit(text: str, expected: float) -> None:
    assert seconds(text) == expected


def test_a_key_depends_on_seed_and_name_alone() -> None:
    assert key_of(1, "walker").kid == key_of(1, "walker").kid
    assert len({key_of(seed, name).kid for seed in (1, 2) for name in ("a-b", "b-a")}) == 4
    first, again = nonces_of(1, "walker"), nonces_of(1, "walker")
    assert [first(), first()] == [again(), again()]


SIGNATURES = {
    "orders": Signature("number"),
    "wallet": Signature("number", "agent"),
    "reason": Signature("text", "agent"),
}
VALUES = {"orders": Decimal(3), "wallet": Decimal("0.30"), "reason": "budget"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("orders == 3", True),
        ("orders != 3", False),
        ("1 < orders <= 3", True),
        ("1 < orders < 3", False),
        ("wallet(agent='a') == 0.1 + 0.2", True),
        ("wallet(agent='a') * 2 - 0.6 == -0 * orders", True),
        ("reason(agent='a') == 'budget' and not orders == 4", True),
        ("orders == 4 or reason(agent='a') != 'budget'", False),
    ],
)
def test_an_expectation_is_exact(source: str, expected: bool) -> None:
    expression = Expression(source, SIGNATURES)

    assert expression.holds(lambda use: VALUES[use.metric]) is expected


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("order == 3", "there is no metric 'order'; did you mean 'orders'?"),
        ("orders", "orders is a number, where a yes or no is needed"),
        ("orders == 'x'", "'x' is a text, where a number is needed"),
        ("reason(agent='a') < 'x'", "a text has no order"),
        ("wallet('a') == 1", "write wallet('a') as wallet(agent='name')"),
        ("wallet(agent=orders) == 1", "write wallet(agent=orders) as"),
        ("orders() == 1", "write orders() as orders"),
        ("1 == 1", "it names no metric"),
        ("orders ==", "it is no expression"),
        ("orders == 0x3", "0x3 is not understood here"),
        ("orders == 1e3", "1e3 is not understood here"),
        ("orders / 2 == 1", "orders / 2 is not understood here"),
        ("orders in (1, 2)", "(1, 2) is not understood here"),
        ("[orders][0] == 1", "[orders][0] is not understood here"),
        ("__import__('os').system('true') == 0", "there is no metric"),
        ("(" * 250, "it is no expression"),
    ],
)
def test_nothing_but_questions_about_metrics_is_understood(source: str, said: str) -> None:
    with pytest.raises(BadExpression) as caught:
        Expression(source, SIGNATURES)

    assert said in str(caught.value)


# Facts and metrics, from logs made by hand

SELLER, BUYER = "S" * 43, "B" * 43
ORDER = "ord_1"
SPLIT = {"captured_minor": 60, "fee_minor": 3, "returned_minor": 40, "receipt_id": "rcp_1"}


def log(*events: tuple[str, dict[str, Any]]) -> list[Event]:
    made: list[Event] = []
    for offset, (kind, body) in enumerate(events):
        members = {
            "id": f"ses_1:{offset}",
            "session_id": "ses_1",
            "offset": offset,
            "kind": kind,
            "stage": KINDS[kind].stage,
            "actor_id": BUYER,
            "order_id": ORDER if kind.partition(".")[0] in ("order", "delivery") else None,
            "audience": "owner",
            "recorded_at": f"2026-11-22T12:00:{offset:02d}.000000Z",
            "body": body,
            "prev_hash": made[-1].hash if made else GENESIS,
        }
        made.append(Event(**members, hash=digest(members)))  # type: ignore[arg-type]
    return made


def decided(stage: str, outcome: str = "advance", reason: str | None = None) -> Any:
    return "decision.made", {"stage": stage, "outcome": outcome, "reason": reason, "detail": ""}


def chunk(index: int) -> Any:
    return "delivery.chunk", {"index": index, "units": 1, "output": {}}


PLACED = ("order.placed", {"seller_id": SELLER, "slug": "clerk", "amount_minor": 100, "units": 5})
CANCELLED = log(
    ("session.opened", {"need": "x"}),
    ("finding.listed", {"services": [{"seller_id": SELLER, "slug": "clerk"}]}),
    decided("finding"),
    decided("evaluating"),
    decided("trust_checking"),
    PLACED,
    decided("transacting"),
    chunk(0),
    chunk(1),
    ("order.cancelled", {**SPLIT, "reason": "enough"}),
    decided("using", "leave", "other"),
)


def facts(events: list[Event], **changes: Any) -> Facts:
    given = {
        "currency": "EUR",
        "names": {BUYER: "walker", SELLER: "clerk"},
        "journeys": [journey_of("walker", "ses_1", events)],
        "wallets": {BUYER: Balance(940, 0), SELLER: Balance(57, 0)},
        "minted_minor": 1000,
        **changes,
    }
    return Facts(**given)


def asked(source: str, about: Facts) -> bool:
    return read(source).holds(lambda use: measure(about, use))


@pytest.mark.parametrize(
    "source",
    [
        "ledger.imbalance == 0",
        "outcome(agent='walker') == 'cancelled'",
        "stage(agent='walker') == 'using' and reason(agent='walker') == 'other'",
        "seller(agent='walker') == 'clerk'",
        "captured(agent='walker') == 0.60 and captured(agent='clerk') == 0.60",
        "fee(agent='w*') == 0.03 and returned(agent='walker') == 0.40",
        "units(agent='walker') == 5 and units_delivered(agent='walker') == 2",
        "wallet(agent='walker') == 9.40",
        "conversion(seller='clerk') == 0",
        "orders.cancelled == 1 and buyers.cancelled == 1 and buyers.left == 0",
        "sessions.gaps == 0 and sessions.repeats == 0",
    ],
)
def test_metrics_are_told_from_the_log(source: str) -> None:
    assert asked(source, facts(CANCELLED))


def test_money_that_is_missing_shows() -> None:
    short = facts(CANCELLED, wallets={BUYER: Balance(940, 0), SELLER: Balance(56, 0)})

    assert asked("ledger.imbalance == 0.01", short)


def test_a_fee_that_was_given_back_is_no_fee() -> None:
    settled = [*CANCELLED[:9]]
    refunded = log(
        *[(event.kind, event.body) for event in settled],
        ("order.settled", SPLIT),
        ("order.refunded", {"refunded_minor": 60, "receipt_id": "rcp_2"}),
    )
    wallets = {BUYER: Balance(1000, 0), SELLER: Balance(0, 0)}

    assert asked("ledger.imbalance == 0 and money.fees == 0", facts(refunded, wallets=wallets))


def test_gaps_and_repeats_show_wherever_they_are() -> None:
    without_chunk = [*CANCELLED[:7], *CANCELLED[8:]]
    twice = [*CANCELLED[:8], *CANCELLED[7:]]

    assert gaps(facts(without_chunk)) == 3  # an offset, a chunk, and the chain
    assert repeats(facts(twice)) == 2  # an offset and a chunk
    assert gaps(facts(CANCELLED, read={"ses_1": [4, 5, 7]})) == 1
    assert repeats(facts(CANCELLED, read={"ses_1": [4, 5, 5]})) == 1


def test_what_devices_and_sub_agents_did_is_told_from_the_log() -> None:
    accepted = {"action": "pause", "answer": "accepted"}
    events = log(
        ("session.opened", {"need": "x"}),
        ("presence.joined", {"agent_id": BUYER, "device": "phone"}),
        ("presence.joined", {"agent_id": BUYER, "device": "tab"}),
        ("presence.left", {"agent_id": BUYER, "device": "phone"}),
        ("presence.joined", {"agent_id": BUYER, "device": "phone"}),
        ("run.started", {"run": "a", "title": "A"}),
        ("run.started", {"run": "b", "title": "B"}),
        ("run.step", {"run": "a", "step": "1", "attempt": 1}),
        ("run.step", {"run": "b", "step": "1", "attempt": 1}),
        ("run.step", {"run": "a", "step": "1", "attempt": 2}),
        ("run.ended", {"run": "a", "outcome": "done", "detail": ""}),
        PLACED,
        ("control.answered", accepted),
        ("control.answered", {**accepted, "action": "resume"}),
        chunk(0),
    )
    watcher = WatcherFacts(
        name="phone", who="walker", buyer="walker", session_id="ses_1", over="sse", first=2,
        offsets=[2, 3, 5], differences=1, cuts=1, resumes=1,
    )  # fmt: skip
    lost = {("lost-acknowledgement", "walker"): 2, ("lost-acknowledgement", "phone"): 1}
    told = facts(events, watchers=[watcher], faults={**lost, ("disconnect", "walker"): 4})

    assert asked("sessions.most_present == 2 and watchers.count == 1", told)
    assert asked("runs.count == 2 and runs.turns == 2 and acknowledgements.lost == 3", told)
    assert asked("steps(run='a') == 1 and attempts(run='a') == 2", told)
    assert asked("attempts(run='*') == 3 and written_by(run='b') == 'walker'", told)
    assert asked("run_outcome(run='a') == 'done' and run_outcome(run='b') == ''", told)
    assert asked("watched(watcher='p*') == 3 and watched_from(watcher='phone') == 2", told)
    assert asked("differences(watcher='phone') == 1 and sessions.gaps == 1", told)
    assert asked("paused_chunks(agent='walker') == 0", told)


def test_a_chunk_in_a_pause_shows() -> None:
    pause = {"action": "pause", "answer": "accepted"}
    events = [*CANCELLED[:7], *log(("control.answered", pause), chunk(0))]
    events = [msgspec.structs.replace(event, order_id=ORDER) for event in events]

    assert asked("paused_chunks(agent='walker') == 1", facts(events))


@pytest.mark.parametrize(
    "source",
    [
        "wallet(agent='x') == 0",
        "outcome(agent='x') == ''",
        "captured(agent='x') == 0",
        "differences(watcher='x') == 0",
        "watched(watcher='*') == 0",
        "steps(run='x') == 0",
        "run_outcome(run='*') == 'done'",
        "paused_chunks(agent='walker') == 0",
    ],
)
def test_a_question_about_nobody_has_no_answer(source: str) -> None:
    with pytest.raises(Untested):
        asked(source, facts(CANCELLED))


@pytest.mark.parametrize(
    "source", ["sessions.gaps == 0", "buyers.left == 0", "money.captured == 0", "streams.cuts == 0"]
)
def test_of_journeys_that_never_began_nothing_is_known(source: str) -> None:
    with pytest.raises(Untested, match="no journey began") as caught:
        asked(source, replace(facts(CANCELLED), journeys=[]))

    assert "until" in caught.value.hint


@pytest.mark.parametrize("source", ["sessions.count == 0", "ledger.imbalance == 0"])
def test_that_nobody_came_can_be_expected(source: str) -> None:
    empty = Facts(currency="XTS", names={}, journeys=[], wallets={}, minted_minor=0)

    assert asked(source, empty)


def test_every_metric_says_what_it_means() -> None:
    assert all(metric.meaning for metric in METRICS.values())


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ('"seller-crash"\nwhose = "clerk"', "13: seller-crash needs restart_after"),
        ('"seller-crash"\nrestart_after = "1s"', "16: no seller here is called 'walker-1'"),
        ('"slow-chunks"\ndelay = "1s"\nwhose = "walker-2"', "16: no agent here is called"),
        ('"latency"', "13: latency needs delay"),
        ('"latency"\ndelay = "1s"\nskew = "1s"', "16: skew is for clock-skew, not for latency"),
        ('"clock-skew"\nskew = "soon"', "15: faults[0].skew"),
        ('"disconnect"\nlasts = "1s"', "15: lasts is for latency, slow-chunks and clock-skew, not"),
        ('"market-crash"', "13: market-crash needs restart_after"),
        ('"disconnect"\nprobability = 0', "15: faults[0].probability"),
    ],
)
def test_a_fault_has_the_members_of_its_kind(file: Path, fault: str, said: str) -> None:
    found = mistakes(file, WHOLE.replace('"disconnect"', fault, 1))

    assert any(mistake.startswith(said) for mistake in found), found


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("[market]", '[market]\nclock.until = "2h"', "until is for virtual time"),
        ("[market]", "[market]\nclock.speed = 60", "speed is for virtual time"),
        ('name = "walker"', 'name = "walker"\nrest = "1s"', "rest is between two journeys"),
        ('name = "walker"', 'name = "walker"\narrive = { jitter = 0.5 }', "jitter is a share of"),
    ],
)
def test_times_that_cannot_be_so_are_named(file: Path, right: str, wrong: str, said: str) -> None:
    found = mistakes(file, WHOLE.replace(right, wrong, 1))

    assert any(said in mistake for mistake in found), found
