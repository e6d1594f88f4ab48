"""Scenarios that are played more than once: in processes, interrupted, killed, gone on with."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from market import analytics
from market.analytics.schema import FRAMES
from scenarios.engine.seeds import seed_of
from tests.processes import COMMAND

TINY = """
scenario = 1
name = "tiny"
seed = 5
replicas = 2
[market]
clock = { mode = "virtual", until = "30m" }
[[sellers]]
name = "clerk"
service = "convert-units"
[[buyers]]
name = "walker"
count = 2
wallet = "1.00"
arrive = { every = "20s", jitter = 0.3 }
[buyers.need]
query = "convert units"
input = { items = [{ value = "1", from = "mile", to = "metre" }] }
[[expect]]
name = "both buy"
that = "orders.settled == 2"
"""
SLOW = (
    TINY.replace('until = "30m"', 'until = "30m", speed = 20')
    .replace("count = 2", "count = 5")
    .replace("settled == 2", "settled == 5")
)
MATRIX = ("--matrix", "market.fee_basis_points=0,300", "--matrix", "sellers.clerk.price=0.001,0.01")
PATIENCE_SECONDS = 120.0


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return written(tmp_path, TINY)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(text)
    return path


def market(*args: str | Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "NO_COLOR": "1"}
    return subprocess.run(
        [COMMAND, *map(str, args)],
        capture_output=True,
        text=True,
        env=environ,
        timeout=PATIENCE_SECONDS,
    )


def started(*args: str | Path) -> "subprocess.Popen[str]":
    environ = {**os.environ, "NO_COLOR": "1"}
    command = [COMMAND, *map(str, args)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ
    )


def noted(folder: Path) -> dict[str, str]:
    """The state of every run of a sweep."""
    sweep = json.loads((folder / "sweep.json").read_text())
    runs = [one for cell in sweep["cells"] for one in cell["replicas"]]
    return {one["folder"]: one["state"] for one in runs}


def wait_until(folder: Path, holds: Callable[[Counter[str]], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not ((folder / "sweep.json").exists() and holds(Counter(noted(folder).values()))):
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)


def told(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, out, err


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def frames(run: Path, directory: Path) -> dict[str, bytes]:
    """Every frame of a run, as bytes."""
    facts = analytics.open(run, directory=directory)
    return {
        name: facts[name].collect().write_ipc(None, compression="uncompressed").getvalue()
        for name in FRAMES
    }


def test_a_matrix_is_played_the_same_whatever_the_jobs(tiny: Path, tmp_path: Path) -> None:
    one, two = (
        market("run", tiny, *MATRIX, "--jobs", jobs, "--out", tmp_path / jobs, "--json")
        for jobs in ("1", "2")
    )

    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    runs = sorted(noted(tmp_path / "1" / "tiny-1"))
    assert len(runs) == 8
    events = set()
    for run in runs:
        first, second = tmp_path / "1" / "tiny-1" / run, tmp_path / "2" / "tiny-1" / run
        assert (first / "run.json").exists()
        assert (first / "market.db").exists()
        events.add((first / "events.jsonl").read_bytes())
        assert (first / "events.jsonl").read_bytes() == (second / "events.jsonl").read_bytes()
    last = [tmp_path / jobs / "tiny-1" / runs[-1] for jobs in ("1", "2")]
    assert frames(last[0], tmp_path / "facts-1") == frames(last[1], tmp_path / "facts-2")
    assert len(events) == 8, "another seed, or another value, is another history"
    told = json.loads(one.stdout)
    assert [list(cell["overrides"].values()) for cell in told["cells"]] == [
        ["0", "0.001"],
        ["0", "0.01"],
        ["300", "0.001"],
        ["300", "0.01"],
    ]
    assert [cell["captured"]["median"] for cell in told["cells"]] == ["0.002", "0.02"] * 2
    assert [(cell["expectations"][0]["passed"], cell["done"]) for cell in told["cells"]] == [
        (2, 2)
    ] * 4
    assert [one["seed"] for one in told["cells"][3]["replicas"]] == [5, seed_of(5, 2)]


def test_one_run_of_a_sweep_can_be_played_alone(tiny: Path, tmp_path: Path) -> None:
    sweep = market("run", tiny, "--matrix", "market.fee_basis_points=0,300", "--out", tmp_path)
    values = ("--set", "market.fee_basis_points=300", "--seed", str(seed_of(5, 2)))

    alone = market("run", tiny, *values, "--replicas", "1", "--out", tmp_path / "alone", "-q")

    assert (sweep.returncode, alone.returncode) == (0, 0), sweep.stderr + alone.stderr
    folder = tmp_path / "alone" / "tiny-1"
    assert (folder / "events.jsonl").read_bytes() == (
        tmp_path / "tiny-1" / "cell-002" / "replica-2" / "events.jsonl"
    ).read_bytes()
    assert not (folder / "sweep.json").exists()
    assert "Journeys" in alone.stdout


def test_an_interrupted_sweep_keeps_what_is_over_and_is_gone_on_with(tmp_path: Path) -> None:
    slow = written(tmp_path, SLOW)
    folder = tmp_path / "runs" / "tiny-1"
    values = ("--replicas", "4", "--set", "sellers.clerk.price=0.002")
    process = started("run", slow, *values, "--jobs", "2", "--out", tmp_path / "runs")
    wait_until(folder, lambda states: states["done"] >= 1 and states["playing"] >= 1)

    process.send_signal(signal.SIGINT)

    code, out, err = told(process)
    assert code == 130, err
    states = Counter(noted(folder).values())
    assert states["done"] >= 1
    assert states["interrupted"] >= 1
    assert set(states) <= {"done", "interrupted", "planned"}
    left = 4 - states["done"]
    assert f"this is partial: {left} of 4 runs are left to be played" in out
    assert f"market run --resume {folder}" in err
    [broken_off, *_] = [run for run, state in noted(folder).items() if state == "interrupted"]
    assert json.loads((folder / broken_off / "run.json").read_text())["is_interrupted"]
    over = {run for run, state in noted(folder).items() if state == "done"}
    before = {run: (folder / f"{run}.json").stat().st_mtime_ns for run in over}

    again = market("run", "--resume", folder, "--jobs", "2", "--json")

    assert again.returncode == 0, again.stderr
    assert set(noted(folder).values()) == {"done"}
    assert before == {run: (folder / f"{run}.json").stat().st_mtime_ns for run in over}
    assert again.stderr.count("✓") == left
    assert json.loads(again.stdout)["is_partial"] is False
    assert not json.loads((folder / broken_off / "run.json").read_text())["is_interrupted"]


def test_a_second_interrupt_aborts(tmp_path: Path) -> None:
    slow = written(tmp_path, SLOW.replace("speed = 20", "speed = 1"))
    folder = tmp_path / "runs" / "tiny-1"
    process = started("run", slow, "--jobs", "2", "--out", tmp_path / "runs")
    wait_until(folder, lambda states: states["playing"] == 2)
    workers = children(process.pid)

    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)

    code, out, err = told(process)
    assert code == 130
    assert out == ""
    assert f"market run --resume {folder}" in err
    assert set(noted(folder).values()) <= {"interrupted", "planned"}
    assert len(workers) == 2
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_a_process_that_is_killed_takes_its_run_alone(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "tiny-1"
    process = started("run", tiny, "--replicas", "3", "--jobs", "2", "--out", tmp_path / "runs")
    wait_until(folder, lambda states: states["playing"] == 2)

    os.kill(children(process.pid)[0], signal.SIGKILL)

    code, out, err = told(process)
    assert code == 130, err
    assert Counter(noted(folder).values()) == {"done": 2, "died": 1}
    assert "lost: its process was killed by SIGKILL" in out
    [died] = [folder / run for run, state in noted(folder).items() if state == "died"]
    died.mkdir(exist_ok=True)  # it may have been killed before it began
    (died / "note.txt").write_text("mine")
    again = market("run", tiny, "--resume", folder)
    assert again.returncode == 0, again.stderr
    assert (died / "note.txt").read_text() == "mine"
    assert set(noted(folder).values()) == {"done"}


def test_a_killed_sweep_leaves_nobody_behind_and_is_gone_on_with(tmp_path: Path) -> None:
    slow = written(tmp_path, SLOW)
    folder = tmp_path / "runs" / "tiny-1"
    process = started("run", slow, "--jobs", "2", "--out", tmp_path / "runs")
    wait_until(folder, lambda states: states["playing"] == 2)
    workers = children(process.pid)
    beside = market("run", "--resume", folder)

    process.kill()
    process.communicate()

    assert beside.returncode == 2
    assert "is being played by another process" in beside.stderr
    end = time.monotonic() + PATIENCE_SECONDS
    while any(alive(worker) for worker in workers):
        assert time.monotonic() < end
        time.sleep(0.02)
    again = market("run", "--resume", folder, "--jobs", "2")
    assert again.returncode == 0, again.stderr
    assert set(noted(folder).values()) == {"done"}


def alive(pid: int) -> bool:
    """Whether a process still runs; one that ended and that nobody asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_has_changed_is_not_gone_on_with(tiny: Path, tmp_path: Path) -> None:
    sweep = market("run", tiny, "--jobs", "2", "--out", tmp_path, "-q")
    folder = tmp_path / "tiny-1"

    other = market("run", tiny, "--resume", folder, "--set", "seed=3")
    tiny.write_text(TINY + "# more\n")
    changed = market("run", "--resume", folder)
    wrong = market("run", "--resume", tmp_path)

    assert sweep.returncode == 0, sweep.stderr
    assert (other.returncode, changed.returncode, wrong.returncode) == (2, 2, 2)
    assert "--set seed=3 was not given" in other.stderr
    assert "tiny.toml has changed since" in changed.stderr
    assert "there is no sweep.json" in wrong.stderr


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ('[[expect]]\nthat = "buyers.bought == 9"\n', 1, "✗ buyers.bought == 9   0 of 2"),
        (
            '[[faults]]\nkind = "disconnect"\nat = { agent = "walker-1", chunk = 9 }\n',
            2,
            "and 1 more: tested nothing: ",
        ),
    ],
)
def test_the_worst_run_decides(tmp_path: Path, more: str, code: int, said: str) -> None:
    ended = market("run", written(tmp_path, TINY + more), "--jobs", "2", "--out", tmp_path, "-q")

    assert ended.returncode == code, ended.stderr
    assert said in ended.stdout


def test_bad_options_start_nothing(tiny: Path, tmp_path: Path) -> None:
    ended = market("run", tiny, "--matrix", "buyers.wolker.count=1,2", "--out", tmp_path / "runs")

    assert (ended.returncode, ended.stdout) == (2, "")
    assert "nothing in buyers is called 'wolker' (did you mean 'walker'?)" in ended.stderr
    assert not (tmp_path / "runs").exists()


def test_nothing_stays_of_a_sweep_that_is_not_kept(tiny: Path, tmp_path: Path) -> None:
    environ: dict[str, Any] = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    (tmp_path / "temporary").mkdir()

    ended = subprocess.run(
        [COMMAND, "run", str(tiny), "--no-keep", "--jobs", "2", "-q"],
        capture_output=True,
        cwd=tmp_path,
        env=environ,
        timeout=PATIENCE_SECONDS,
    )

    assert ended.returncode == 0, ended.stderr
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not (tmp_path / "runs").exists()
