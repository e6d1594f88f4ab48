"""Every story in ``scenarios/`` runs on a real market, and what it expects holds."""

import json
import os
import re
import signal
from pathlib import Path

import anyio
import pytest

from scenarios.engine import BadScenario, Story
from scenarios.engine.play import run
from scenarios.engine.reading import load
from scenarios.engine.result import RunResult
from scenarios.engine.telling import Logged, News, Opened
from tests.processes import COMMAND, ROOT

STORIES = sorted((ROOT / "scenarios").glob("*.toml"))
SCALES = {"market_day": "0.04"}
"""How much smaller a long story is played here; all of it takes minutes."""

SHORT = """
scenario = 1
name = "short"
limit = "20s"
[[sellers]]
name = "clerk"
service = "convert-units"
[[buyers]]
name = "walker"
wallet = "1.00"
[buyers.need]
query = "convert units"
input = { items = [
  { value = "1", from = "mile", to = "metre" },
  { value = "2", from = "mile", to = "metre" },
  { value = "3", from = "mile", to = "metre" },
] }
"""


def story(tmp_path: Path, *more: str) -> Story:
    """A story of one order with three chunks, and what a test adds to it."""
    path = tmp_path / "short.toml"
    path.write_text(SHORT + "\n".join(more))
    return load(path)


async def played(tmp_path: Path, *more: str) -> RunResult:
    folder = tmp_path / "run"
    folder.mkdir()
    return await run(story(tmp_path, *more), folder=folder)


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
async def test_a_story_runs_and_what_it_expects_holds(path: Path, tmp_path: Path) -> None:
    result = await run(load(path, scale=SCALES.get(path.stem)), folder=tmp_path)

    assert [
        (one.title, one.observed) for one in result.expectations if one.status != "passed"
    ] == []
    assert result.expectations
    assert result.findings == []
    assert result.is_over
    assert result.exit_code == 0


def test_every_story_says_what_it_expects() -> None:
    assert len(STORIES) >= 9
    for path in STORIES:
        assert load(path).scenario.expect, path


async def test_a_failed_expectation_ends_with_1(tmp_path: Path) -> None:
    result = await played(tmp_path, '[[expect]]\nthat = "orders.settled == 2"')

    [expectation] = result.expectations
    assert (expectation.status, expectation.observed) == ("failed", {"orders.settled": "1"})
    assert result.exit_code == 1


async def test_a_warning_fails_nothing(tmp_path: Path) -> None:
    result = await played(tmp_path, '[[expect]]\nthat = "orders.settled == 2"\nseverity = "warn"')

    assert [one.status for one in result.expectations] == ["warned"]
    assert result.exit_code == 0


async def test_a_fault_that_never_fired_is_a_mistake_of_the_story(tmp_path: Path) -> None:
    fault = '[[faults]]\nkind = "disconnect"\nat = { agent = "walker", chunk = 3 }'

    with pytest.raises(BadScenario, match=r"short.toml:\d+: disconnect at chunk 3 of walker never"):
        await played(tmp_path, fault)


async def test_an_act_that_the_market_refused_is_told_with_its_reason(tmp_path: Path) -> None:
    act = '[[overseer]]\ndo = "cancel"\nat = { agent = "walker", event = "finding.listed" }'

    with pytest.raises(
        BadScenario, match=r"cancel at event finding.listed .* never happened \(.*order"
    ):
        await played(tmp_path, act)


async def test_an_expectation_about_nobody_is_a_mistake_of_the_story(tmp_path: Path) -> None:
    poor = SHORT.replace('wallet = "1.00"', 'wallet = "0"')
    path = tmp_path / "poor.toml"
    path.write_text(poor + "[[expect]]\nthat = \"captured(agent='walker') == 0\"")

    with pytest.raises(
        BadScenario, match=r"poor.toml:\d+: .*it tests nothing: 'walker' has no order"
    ):
        await run(load(path))


async def test_a_device_that_never_joined_is_a_mistake_of_the_story(tmp_path: Path) -> None:
    watcher = '[[watchers]]\nname = "phone"\nat = { agent = "walker", chunk = 3 }'

    with pytest.raises(BadScenario, match=r"watcher phone at chunk 3 of walker never happened"):
        await played(tmp_path, watcher)


async def test_a_cut_whose_bytes_never_came_is_a_mistake_of_the_story(tmp_path: Path) -> None:
    fault = """
    [[faults]]
    kind = "cut"
    bytes = 1_000_000
    at = { agent = "walker", chunk = 1 }
    """

    with pytest.raises(BadScenario, match=r"cut at chunk 1 of walker never happened"):
        await played(tmp_path, fault)


async def test_who_does_not_watch_does_not_act(tmp_path: Path) -> None:
    acts = """
    [[watchers]]
    name = "phone"
    at = { agent = "walker", chunk = 2 }
    [[overseer]]
    do = "pause"
    by = "phone"
    at = { agent = "walker", chunk = 1 }
    """

    with pytest.raises(BadScenario, match=r"pause at .* never .* \(phone does not watch"):
        await played(tmp_path, acts)


@pytest.mark.parametrize("over", ["sse", "socket", "poll"])
@pytest.mark.parametrize("begins", ["start", "snapshot"])
async def test_a_device_that_is_cut_gets_the_same_bytes(
    tmp_path: Path, over: str, begins: str
) -> None:
    acts = f"""
    [[watchers]]
    name = "phone"
    over = "{over}"
    begins = "{begins}"
    at = {{ agent = "walker", event = "order.started" }}
    [[faults]]
    kind = "cut"
    whose = "phone"
    bytes = 40
    times = 2
    at = {{ agent = "walker", chunk = 0 }}
    """

    result = await played(tmp_path, acts)

    [watcher] = result.watchers
    assert (watcher.cut, watcher.resumed, watcher.differences) == (2, 2, 0)
    assert watcher.first + watcher.entries == result.events
    assert (watcher.first > 0) == (begins == "snapshot")


@pytest.mark.parametrize("over", ["sse", "socket", "poll"])
async def test_a_device_that_comes_after_the_end_has_it_all(tmp_path: Path, over: str) -> None:
    watcher = f"""
    [[watchers]]
    name = "phone"
    over = "{over}"
    at = {{ agent = "walker", event = "session.closed" }}
    """

    result = await played(tmp_path, watcher)

    [phone] = result.watchers
    assert (phone.first, phone.entries, phone.differences) == (0, result.events, 0)


async def test_a_sub_agent_that_is_refused_is_told_as_such(tmp_path: Path) -> None:
    acts = """
    [[sub_agents]]
    name = "first"
    title = "Check"
    run = "check"
    at = { agent = "walker", event = "order.started" }
    steps = [{ step = "one" }]
    [[overseer]]
    do = "cancel"
    run = "later"
    at = { agent = "walker", event = "session.opened" }
    [[sub_agents]]
    name = "second"
    title = "Cancelled before it begins"
    run = "later"
    at = { agent = "walker", event = "run.started" }
    steps = [{ step = "one" }]
    """

    with pytest.raises(BadScenario, match=r"sub-agent second at .* never happened \(.*cancelled"):
        await played(tmp_path, acts)


async def test_an_answer_is_lost_and_what_was_done_is_done_once(tmp_path: Path) -> None:
    fault = """
    [[faults]]
    kind = "lost-acknowledgement"
    whose = "clerk"
    times = 2
    at = { agent = "walker", chunk = 0 }
    [[expect]]
    that = "acknowledgements.lost == 2 and chunks(agent='walker') == 3"
    """

    result = await played(tmp_path, fault)

    assert [one.status for one in result.expectations] == ["passed"]
    assert result.journeys[0].outcome == "bought"


async def test_a_sub_agent_that_has_nothing_to_do_about_a_steer_says_so(tmp_path: Path) -> None:
    acts = """
    [[sub_agents]]
    name = "checker"
    title = "Check"
    at = { agent = "walker", event = "order.started" }
    steps = [{ step = "one" }, { step = "two" }]
    [[overseer]]
    do = "steer"
    run = "checker"
    text = "faster"
    at = { agent = "walker", step = "checker/one" }
    """
    answers: list[str] = []

    def note(news: News) -> None:
        if isinstance(news, Logged) and news.event.kind == "control.answered":
            answers.append(news.event.body["answer"])

    result = await run(story(tmp_path, acts), tell=note)

    assert answers == ["refused"]
    assert [(one.outcome, one.steps) for one in result.runs] == [("done", 2)]


async def test_a_pause_holds_the_delivery_until_it_is_resumed(tmp_path: Path) -> None:
    acts = """
    [[overseer]]
    do = "pause"
    at = { agent = "walker", chunk = 0 }
    [[overseer]]
    do = "resume"
    at = { agent = "walker", event = "control.answered" }
    """

    kinds: list[str] = []

    def note(news: News) -> None:
        if isinstance(news, Logged):
            kinds.append(news.event.kind)

    result = await run(story(tmp_path, acts), tell=note)

    first = kinds.index("control.requested")
    assert kinds[first : first + 5] == [
        "control.requested",
        "control.answered",
        "control.requested",
        "control.answered",
        "delivery.chunk",
    ]
    assert result.journeys[0].outcome == "bought"


async def test_a_run_that_takes_too_long_is_ended_with_what_there_is(tmp_path: Path) -> None:
    waits = SHORT.replace('limit = "20s"', 'limit = "1s"').replace(
        'wallet = "1.00"', 'wallet = "1.00"\narrive = { on = "recommendation.received" }'
    )
    path = tmp_path / "waits.toml"
    path.write_text(waits)

    result = await run(load(path))

    assert not result.is_over
    assert result.journeys == []
    assert result.exit_code == 0


async def test_a_stopped_run_keeps_what_there_is(tmp_path: Path) -> None:
    stop = anyio.Event()

    def end_at_the_first_order(news: News) -> None:
        if isinstance(news, Logged) and news.event.kind == "order.placed":
            stop.set()

    folder = tmp_path / "run"
    folder.mkdir()

    result = await run(story(tmp_path), folder=folder, tell=end_at_the_first_order, stop=stop)

    assert result.is_interrupted
    assert result.exit_code == 130
    assert (folder / "run.json").exists()


async def test_a_seed_gives_everybody_the_same_key_again(tmp_path: Path) -> None:
    names: list[dict[str, str]] = []

    def note(news: News) -> None:
        if isinstance(news, Opened):
            names.append({name: agent_id for agent_id, name in news.names.items()})

    more = SHORT.partition("[[buyers]]")[2].replace("walker", "another")
    await run(story(tmp_path), seed=1, tell=note)
    await run(story(tmp_path, "[[buyers]]", more), seed=1, tell=note)
    await run(story(tmp_path), seed=2, tell=note)

    first, with_another, other_seed = names
    assert first.items() <= with_another.items()
    assert not set(first.values()) & set(other_seed.values())


async def test_what_a_run_leaves_behind_can_be_read_and_proven(tmp_path: Path) -> None:
    result = await played(tmp_path)

    folder = tmp_path / "run"
    kept = json.loads((folder / "run.json").read_text())
    assert kept["journeys"][0]["outcome"] == "bought"
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [event["offset"] for event in events] == list(range(result.events))
    [receipt] = (folder / "receipts").glob("*.jws")
    assert receipt.stem == result.journeys[0].orders[0].receipt_ids[0]
    verified = await anyio.run_process([COMMAND, "verify", str(receipt)])
    assert b"receipt, signed by the market" in verified.stdout
    audited = await anyio.run_process([COMMAND, "audit", str(folder)])
    assert audited.returncode == 0


async def test_an_interrupt_ends_the_command_with_130_and_a_report(tmp_path: Path) -> None:
    slow = SHORT.replace('service = "convert-units"', 'service = "convert-units"\npace = "5s"')
    path = tmp_path / "slow.toml"
    path.write_text(slow)
    environ = {**os.environ, "NO_COLOR": "1"}

    async with await anyio.open_process(
        [COMMAND, "run", str(path), "--out", str(tmp_path / "runs")], env=environ
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        told = b""
        while b"started" not in told:
            told += await process.stderr.receive()
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(20):
            report = b"".join([piece async for piece in process.stdout])
            exit_code = await process.wait()

    assert exit_code == 130
    assert re.search(rb"walker is not through", report)
    assert (tmp_path / "runs" / "short-1" / "run.json").exists()
