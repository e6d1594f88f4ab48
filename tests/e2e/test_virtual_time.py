"""Stories in virtual time: the same seed gives the same bytes, whatever goes wrong in them."""

from collections.abc import Mapping
from itertools import accumulate, count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from market import analytics
from scenarios.engine import BadScenario, Scenario
from scenarios.engine.play import run
from scenarios.engine.reading import load
from scenarios.engine.result import RunResult
from scenarios.engine.seeds import chance_of

TEXT = """\
scenario = 1
name = "towns"
seed = 11
[market]
clock = {{ mode = "virtual", until = "{until}" }}
[[sellers]]
name = "clerk"
service = "convert-units"
count = 2
pace = "1s"
[[buyers]]
name = "bee"
count = {buyers}
wallet = "1.00"
policy = "cheapest"
arrive = {{ every = "20s", jitter = 0.9 }}
need = {{ query = "convert units", input = {{ items = [
    {{ value = "1", from = "km", to = "mi" }}, {{ value = "2", from = "km", to = "mi" }},
    {{ value = "3", from = "km", to = "mi" }}, {{ value = "4", from = "km", to = "mi" }},
] }} }}
{more}
[[expect]]
that = "sessions.gaps == 0 and sessions.repeats == 0 and ledger.imbalance == 0"
"""
CROWD = """\
[[buyers]]
name = "wasp"
count = 6
wallet = "1.00"
arrive = { at = "5m" }
[buyers.need]
query = "convert units"
input = { items = [{ value = "1", from = "km", to = "mi" }] }
"""
"""Six who come at the same moment."""

KINDS = {
    "disconnect": 'at = { agent = "bee-1", chunk = 1 }\nreconnect_after = "3s"',
    "cut": 'bytes = 700\nat = { agent = "bee-1", event = "order.placed" }',
    "lost-acknowledgement": 'at = { agent = "bee-1", event = "trust.reported" }',
    "latency": 'delay = "300ms"\nlasts = "20s"\nat = { agent = "bee-*", time = "1s" }',
    "double-submit": 'at = { agent = "bee-*", event = "trust.reported" }',
    "clock-skew": 'skew = "-40s"\nat = { agent = "bee-2", time = "0s" }',
    "slow-chunks": 'delay = "4s"\nlasts = "8s"\nat = { agent = "clerk-*", time = "2s" }',
    "seller-crash": (
        'restart_after = "5s"\nwhose = "clerk-*"\nat = { agent = "bee-1", chunk = 1 }'
    ),
    "market-crash": 'restart_after = "5s"\nat = { agent = "bee-1", chunk = 1 }',
}
BEES = ["bee-1", "bee-2", "bee-3"]
HIT = {
    "latency": BEES,
    "double-submit": BEES,
    "clock-skew": ["bee-2"],
    "slow-chunks": ["clerk-1", "clerk-2"],
    "seller-crash": ["clerk-1", "clerk-2"],
    "market-crash": ["the market"],
}
"""To whom each fault happens, where it is not the first buyer."""

HARMLESS = "\n".join(f'[[faults]]\nkind = "{kind}"\n{text}' for kind, text in KINDS.items())


def story(tmp_path: Path, *, buyers: int = 3, more: str = "", until: str = "10m") -> Path:
    file = tmp_path / "towns.toml"
    file.write_text(TEXT.format(buyers=buyers, more=more, until=until))
    return file


async def played(
    file: Path, folder: Path, *, seed: int | None = None
) -> tuple[RunResult, analytics.Facts]:
    folder.mkdir()  # noqa: ASYNC240 - once, before anything runs
    result = await run(load(file), seed=seed, folder=folder)
    assert not result.findings
    return result, analytics.open(folder)


def rows(facts: analytics.Facts) -> Mapping[str, list[dict[str, Any]]]:
    return {name: facts[name].collect().to_dicts() for name in analytics.FRAMES}


async def test_the_same_seed_gives_the_same_facts_and_another_does_not(tmp_path: Path):
    file = story(tmp_path, more=HARMLESS)

    first, one = await played(file, tmp_path / "one")
    again, two = await played(file, tmp_path / "two")
    _, other = await played(file, tmp_path / "other", seed=12)

    assert rows(one) == rows(two)
    assert first.faults == again.faults
    assert {fault.kind for fault in first.faults} == KINDS.keys()
    events = [(tmp_path / name / "events.jsonl").read_bytes() for name in ("one", "two", "other")]
    assert events[0] == events[1] != events[2]
    assert rows(one)["orders"] != rows(other)["orders"]


async def test_how_fast_the_machine_is_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = story(tmp_path, more=CROWD)
    leaps = chance_of(1, "leaps")
    moments = accumulate(leaps.choice((0, 60)) for _ in count())

    await played(file, tmp_path / "fast")
    monkeypatch.setattr("httpcore._async.http11.time", SimpleNamespace(monotonic=moments.__next__))
    await played(file, tmp_path / "slow")

    events = [(tmp_path / name / "events.jsonl").read_bytes() for name in ("fast", "slow")]
    assert events[0] == events[1]


async def test_the_machines_clock_is_not_told_to_be_behind_a_simulated_one(tmp_path: Path):
    with capture_logs() as logs:
        await played(story(tmp_path), tmp_path / "run")

    assert [line for line in logs if line["log_level"] == "warning"] == []


async def test_who_else_comes_changes_nobodys_arrival(tmp_path: Path):
    few = story(tmp_path, buyers=2)
    _, before = await played(few, tmp_path / "few")
    many = story(tmp_path, buyers=4)
    _, after = await played(many, tmp_path / "many")

    def arrivals(facts: analytics.Facts) -> dict[str, Any]:
        known = facts.agents.select("agent_id", "handle").rename({"agent_id": "buyer_id"})
        came = facts.sessions.join(known, "buyer_id").select("handle", "opened_at").collect()
        return dict(came.iter_rows())

    first, second = arrivals(before), arrivals(after)
    assert len(second) == 4
    # What happens in between takes no simulated time: arrivals are those that were drawn.
    assert {name: second[name] for name in first} == first


@pytest.mark.parametrize("kind", KINDS)
async def test_no_fault_of_line_or_program_loses_or_doubles_anything(tmp_path: Path, kind: str):
    file = story(tmp_path, more=f'[[faults]]\nkind = "{kind}"\n{KINDS[kind]}')

    result, facts = await played(file, tmp_path / "run")

    assert [one.status for one in result.expectations] == ["passed"]
    assert [one.outcome for one in result.journeys] == ["bought"] * 3
    orders = facts.orders.collect()
    assert orders["state"].to_list() == ["settled"] * 3
    hit = HIT.get(kind, ["bee-1"])
    assert [(one.kind, one.who, one.times) for one in result.faults] == [
        (kind, who, 1) for who in hit
    ]
    assert result.seconds < 60, "ten minutes pass as fast as their work is done"


async def test_a_chunk_that_arrives_empty_is_not_paid_for(tmp_path: Path):
    fault = 'kind = "corrupt-chunk"\nwhose = "clerk"\nat = { agent = "bee-2", chunk = 1 }'
    file = story(tmp_path, more=f"[[faults]]\n{fault}")
    file.write_text(
        file.read_text().replace("count = 2\n", "").replace("jitter = 0.9", "jitter = 0")
    )

    result, _ = await played(file, tmp_path / "run")

    spoilt = result.journeys[1]
    assert (spoilt.outcome, spoilt.stages[-1].reason) == ("failed", "delivery_failed")
    assert spoilt.orders[0].captured_minor == 0
    assert [one.outcome for one in result.journeys] == ["bought", "failed", "bought"]


async def test_a_fault_at_a_time_at_which_nothing_is_left_to_break_is_an_error(tmp_path: Path):
    late = '[[faults]]\nkind = "disconnect"\nat = { agent = "bee-1", time = "9h" }'

    with pytest.raises(BadScenario, match="disconnect at time 9h of bee-1 never happened"):
        await run(load(story(tmp_path, more=late)))


async def test_chance_decides_whether_a_fault_happens_and_repeats(tmp_path: Path):
    fault = (
        '[[faults]]\nkind = "double-submit"\nprobability = 0.5\n'
        'at = { agent = "bee-*", event = "trust.reported" }'
    )
    file = story(tmp_path, buyers=8, more=fault)
    told: list[list[str]] = []
    for _ in range(2):
        told.append([])
        await run(load(file), tell=lambda news: told[-1].append(repr(news)))

    doubled = [[line for line in lines if "asked twice" in line] for lines in told]

    assert doubled[0] == doubled[1]
    assert 0 < len(doubled[0]) < 8


async def test_a_buyer_goes_on_as_many_journeys_as_it_is_told_to(tmp_path: Path):
    file = story(tmp_path, buyers=1)
    file.write_text(file.read_text().replace("wallet", 'journeys = 3\nrest = "1m"\nwallet'))

    result, facts = await played(file, tmp_path / "run")

    assert [one.outcome for one in result.journeys] == ["bought"] * 3
    opened = facts.sessions.sort("opened_at").collect()["opened_at"]
    assert opened.diff().drop_nulls().dt.total_seconds().min() >= 60


async def test_a_run_that_is_not_over_when_time_is_up_says_so(tmp_path: Path):
    file = story(tmp_path, buyers=1, until="2s")
    file.write_text(file.read_text().replace("jitter = 0.9", "jitter = 0"))

    result, _ = await played(file, tmp_path / "run")

    assert not result.is_over
    assert [one.outcome for one in result.journeys] == ["open"]


async def test_a_scenario_made_in_python_runs_in_virtual_time_too(tmp_path: Path):
    made = load(story(tmp_path, buyers=1)).scenario
    assert isinstance(made, Scenario)

    result = await run(made)

    assert result.is_over
    assert result.expectations[0].status == "passed"


async def test_an_overseer_steps_in_at_a_time(tmp_path: Path):
    act = '[[overseer]]\ndo = "cancel"\nat = { agent = "bee", time = "2s" }'
    file = story(tmp_path, buyers=1, more=act)
    file.write_text(file.read_text().replace("jitter = 0.9", "jitter = 0"))

    result, facts = await played(file, tmp_path / "run")

    [journey] = result.journeys
    assert journey.outcome == "cancelled"
    assert 0 < journey.orders[0].units_delivered < journey.orders[0].units
    [ended] = facts.orders.collect()["ended_at"]
    [opened] = facts.sessions.collect()["opened_at"]
    assert (ended - opened).total_seconds() == pytest.approx(2, abs=1)
