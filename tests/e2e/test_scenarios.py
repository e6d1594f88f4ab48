"""Every story in ``scenarios/`` runs on a real market, and what it expects holds."""

import json
import os
import re
import signal
from pathlib import Path
from subprocess import CompletedProcess

import anyio
import msgspec
import pytest

from market.analytics.parts import LOCK
from market.report.runs import run_in, was_killed
from scenarios.engine import BadScenario, Story
from scenarios.engine.keeping import clear
from scenarios.engine.overriding import Override
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

    with pytest.raises(BadScenario) as caught:
        await played(tmp_path, fault)

    [trouble] = caught.value.troubles
    assert re.fullmatch(r".*short.toml:20", trouble.where)
    assert trouble.detail == "disconnect at chunk 3 of walker never happened"
    assert trouble.hint == "the last chunk was 2"


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        ('at = { agent = "walker", offset = 900 }', "the log ended with session.closed at offset "),
        ('at = { agent = "walker", event = "order.failed" }', "the log ended with session.closed"),
        ('at = { agent = "walker", time = "15s" }', "everything was over before"),
        (
            'at = { agent = "walker", chunk = 1 }\nprobability = 1e-9',
            "its moment came once, and a probability of 1e-09 never had it; if it need not happen,"
            " set optional = true",
        ),
    ],
)
async def test_what_there_was_in_place_of_a_fault_is_told(
    tmp_path: Path, fault: str, hint: str
) -> None:
    with pytest.raises(BadScenario) as caught:
        await played(tmp_path, f'[[faults]]\nkind = "disconnect"\n{fault}')

    assert caught.value.troubles[0].hint.startswith(hint)


async def test_what_need_not_happen_is_a_note_if_it_does_not(tmp_path: Path) -> None:
    result = await played(
        tmp_path,
        """
        [[faults]]
        kind = "disconnect"
        at = { agent = "walker", chunk = 1 }
        probability = 1e-9
        optional = true
        [[overseer]]
        do = "cancel"
        at = { agent = "walker", chunk = 9 }
        optional = true
        [[faults]]
        kind = "disconnect"
        at = { agent = "walker", chunk = 1 }
        optional = true
        """,
    )

    assert result.exit_code == 0
    assert result.troubles == []
    unlucky, late = result.notes
    assert "disconnect at chunk 1 of walker never happened (its moment came once" in unlucky
    assert "optional" not in unlucky
    assert "cancel at chunk 9 of walker never happened (the last chunk was 2)" in late
    assert [one.times for one in result.faults] == [1]


async def test_what_happens_to_who_never_came_is_a_mistake_of_the_story(tmp_path: Path) -> None:
    late = 'arrive = { at = "9h" }\n[buyers.need]'
    fault = '[[faults]]\nkind = "disconnect"\nat = { agent = "walker", chunk = 1 }\n'
    path = tmp_path / "short.toml"
    clock = '[market]\nclock = { mode = "virtual" }'
    path.write_text(SHORT.replace("[buyers.need]", late) + fault + clock)

    with pytest.raises(BadScenario, match=r"disconnect .* \(no journey of walker began\)"):
        await run(load(path))


async def test_a_moment_that_an_option_gave_is_named_by_it(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    fault = '[[faults]]\nkind = "disconnect"\nat = { agent = "walker", chunk = 1 }'
    path.write_text(f"{SHORT}\n{fault}")

    with pytest.raises(BadScenario, match=r"^--set faults\[0\].at.chunk=7: disconnect at chunk 7"):
        await run(load(path, [Override("faults[0].at.chunk", "7")]))


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
        BadScenario, match=r"poor.toml:\d+: .*it tests nothing: 'walker' has no order \(it left at"
    ):
        await run(load(path))


async def test_all_expectations_about_nobody_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "poor.toml"
    expect = '[[expect]]\nthat = "{} == 0"\n'
    asked = [expect.format("captured(agent='walker')"), expect.format("units(agent='clerk')")]
    path.write_text(SHORT.replace('wallet = "1.00"', 'wallet = "0"') + "".join(asked))

    with pytest.raises(BadScenario) as caught:
        await run(load(path))

    assert [one.hint for one in caught.value.troubles][1:] == ["nobody ordered from it"]


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


async def test_all_that_a_run_leaves_and_nothing_else_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text(SHORT)
    await market("run", path, "--out", tmp_path / "runs")
    folder = tmp_path / "runs" / "short-1"
    await market("report", folder)
    notes = annotate(folder)

    clear(folder)

    stays = {folder / "played.json", folder / "facts" / LOCK, *notes}
    assert {one for one in folder.rglob("*") if one.is_file()} == stays


@pytest.mark.parametrize(
    "time", ["", '[market]\nclock = { mode = "virtual", speed = 1 }'], ids=["real", "virtual"]
)
async def test_an_interrupt_ends_the_command_with_130_and_a_report(
    tmp_path: Path, time: str
) -> None:
    folder = tmp_path / "runs" / "short-1"
    slow = SHORT.replace('service = "convert-units"', 'service = "convert-units"\npace = "1s"')
    path = tmp_path / "slow.toml"
    expect = '[[expect]]\nthat = "orders.settled == 1"\n'
    path.write_text(slow + expect + time)
    environ = {**os.environ, "NO_COLOR": "1"}

    async with await anyio.open_process(
        [COMMAND, "run", str(path), "--seed", "5", "--out", str(folder.parent)], env=environ
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
    assert b"   partial\n" in report
    assert b"walker is not through" in report
    assert b"Expectations, as far as it came" in report
    assert b"this is partial: it was interrupted before the end" in report
    assert run_in(str(folder)) == msgspec.structs.replace(
        run_in(str(folder)), seed=5, is_interrupted=True
    )

    # What is refused leaves it as it is; then it is played anew, as it was to be.
    notes = annotate(folder)
    refused = await market("run", "--resume", folder, "--seed", 6)
    path.write_text(slow + expect.replace("1", "2") + time)
    changed = await market("run", "--resume", folder)
    path.write_text(slow + expect + time)
    resumed = await market("run", "--resume", folder, "--quiet")
    again = await market("run", "--resume", folder, "--quiet")
    other = await market("run", "--resume", folder, "--seed", 6)

    assert (refused.returncode, changed.returncode, other.returncode) == (2, 2, 2)
    assert b"--seed 6 was --seed 5" in other.stderr, "what is over was not played so"
    assert [note.read_text() for note in notes] == ["mine"] * 3
    assert b"--seed 6 was --seed 5" in refused.stderr
    assert b"slow.toml has changed since" in changed.stderr
    assert (resumed.returncode, again.returncode) == (0, 0), resumed.stderr
    assert b"walker bought from clerk" in resumed.stdout
    assert b"partial" not in resumed.stdout
    assert again.stdout == resumed.stdout, "what is over is told, and not played again"
    audited = await market("audit", folder)
    assert audited.returncode == 0


def annotate(folder: Path) -> list[Path]:
    """Put files of one's own among those of a run, and return them."""
    notes = [folder / name for name in ("report.html", "receipts/mine.txt", "old/run.json")]
    for note in notes:
        note.parent.mkdir(exist_ok=True)
        note.write_text("mine")
    return notes


async def market(*args: object) -> CompletedProcess[bytes]:
    words = [COMMAND, *map(str, args)]
    return await anyio.run_process(words, check=False, env={**os.environ, "NO_COLOR": "1"})


async def test_a_second_interrupt_aborts_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "short-1"
    path = tmp_path / "slow.toml"
    path.write_text(SHORT.replace('"convert-units"\n', '"convert-units"\npace = "1s"\n'))

    async with await anyio.open_process(
        [COMMAND, "run", str(path), "--out", str(folder.parent)]
    ) as process:
        assert process.stderr is not None
        told = b""
        while b"started" not in told:
            told += await process.stderr.receive()
        process.send_signal(signal.SIGINT)
        await anyio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(20):
            told += b"".join([piece async for piece in process.stderr])
            exit_code = await process.wait()

    assert exit_code == 130
    assert f"market run --resume {folder}".encode() in told
    assert b"KeyboardInterrupt" not in told
    assert b"Internal Server Error" not in told


async def test_what_was_killed_is_partial_and_is_played_anew(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "short-1"
    path = tmp_path / "slow.toml"
    path.write_text(SHORT.replace('"convert-units"\n', '"convert-units"\npace = "1s"\n'))

    async with await anyio.open_process(
        [COMMAND, "run", str(path), "--out", str(folder.parent)]
    ) as process:
        assert process.stderr is not None
        told = b""
        while b"started" not in told:
            told += await process.stderr.receive()
        beside = await market("run", "--resume", folder)
        process.kill()

    assert beside.returncode == 2
    assert b"is being played by another process" in beside.stderr
    assert was_killed(str(folder))
    resumed = await market("run", "--resume", folder, "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["journeys"][0]["outcome"] == "bought"
    assert not was_killed(str(folder))
