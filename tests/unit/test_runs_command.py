"""``market runs list``, and which runs ``market runs diff`` takes, over folders made by hand."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from market.cli.failures import Failure
from market.cli.runfolders import Kept, kept_in, left_out_at, replicas_at
from tests.shell import Market


def wrote(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path.parent


def expectation(status: str) -> dict[str, Any]:
    return {"title": "one", "that": "orders == 1", "status": status, "observed": {}, "where": ""}


def run(folder: Path, **more: Any) -> Path:
    """A run's folder; more than this stands in a real one."""
    document = {"name": "story", "seed": 7, "is_interrupted": False, "findings": [],
                "expectations": [], "journeys": [], "events": 12}  # fmt: skip
    return wrote(folder / "run.json", document | more)


def sweep(folder: Path, cells: int, replicas: int, *, done: int) -> Path:
    """A sweep's folder, of which the first ``done`` runs of each cell are over."""
    planned = [
        {
            "number": cell,
            "overrides": {"market.fee_basis_points": str(cell)},
            "replicas": [
                {"number": number, "seed": 100 + number, "state": "planned", "detail": "",
                 "folder": f"cell-{cell:03}/replica-{number}"}
                for number in range(1, replicas + 1)
            ],
        }
        for cell in range(1, cells + 1)
    ]  # fmt: skip
    for cell in planned:
        for one in cell["replicas"][:done]:
            outcome = {"seed": one["seed"], "state": "done", "journeys": {"bought": 2, "left": 1},
                       "expectations": [expectation("passed")], "exit_code": 0}  # fmt: skip
            wrote(folder / f"{one['folder']}.json", outcome)
            run(folder / one["folder"], seed=one["seed"])
    return wrote(folder / "sweep.json", {"name": "story", "format": 1, "cells": planned})


def empty_run(folder: Path, run: str, detail: str = "a fault never happened") -> None:
    """Let a run of a sweep be one that tested nothing, whatever it sold."""
    outcome = {"seed": 1, "state": "bad", "detail": detail, "exit_code": 2,
               "journeys": {"bought": 99}}  # fmt: skip
    wrote(folder / f"{run}.json", outcome)


def the_only(parent: Path) -> Kept:
    [kept] = kept_in(parent)
    return kept


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({}, "passed"),
        ({"expectations": [expectation("passed"), expectation("warned")]}, "passed"),
        ({"expectations": [expectation("passed"), expectation("failed")]}, "failed"),
        ({"is_interrupted": True}, "interrupted"),
        ({"findings": ["a law is broken"], "is_interrupted": True}, "broken"),
        ({"troubles": [{"where": "a:1", "detail": "it tests nothing"}]}, "bad"),
        ({"troubles": [{"where": "", "detail": "x"}], "is_interrupted": True}, "interrupted"),
    ],
)
def test_a_run_is_listed_by_how_it_ended(tmp_path: Path, more: dict[str, Any], state: str):
    run(tmp_path / "story-1", **more)

    kept = the_only(tmp_path)

    assert (kept.name, kept.seed, kept.runs, kept.state) == ("story", 7, 1, state)
    assert kept.expectations == len(more.get("expectations", []))


@pytest.mark.parametrize(("done", "state"), [(3, "passed"), (2, "interrupted")])
def test_a_sweep_is_listed_once_with_all_its_runs(tmp_path: Path, done: int, state: str):
    sweep(tmp_path / "story-2", cells=2, replicas=3, done=done)

    kept = the_only(tmp_path)

    assert (kept.runs, kept.done, kept.journeys, kept.state) == (6, 2 * done, 6 * done, state)
    assert (kept.passed, kept.expectations) == (2 * done, 2 * done)


def test_a_sweep_whose_last_run_was_broken_off_is_interrupted(tmp_path: Path):
    folder = sweep(tmp_path / "story-2", cells=1, replicas=2, done=1)
    outcome = {"seed": 102, "state": "interrupted", "exit_code": 130}
    wrote(folder / "cell-001" / "replica-2.json", outcome)

    assert (the_only(tmp_path).done, the_only(tmp_path).state) == (1, "interrupted")


def test_runs_that_tested_nothing_are_listed_as_such(tmp_path: Path):
    folder = sweep(tmp_path / "story-2", cells=1, replicas=3, done=3)
    empty_run(folder, "cell-001/replica-2")

    kept = the_only(tmp_path)
    assert (kept.runs, kept.done, kept.bad, kept.journeys, kept.state) == (3, 2, 1, 6, "passed")

    for number in (1, 3):
        empty_run(folder, f"cell-001/replica-{number}")
    assert (the_only(tmp_path).done, the_only(tmp_path).state) == (0, "bad")


def test_runs_that_tested_nothing_are_compared_with_nothing(tmp_path: Path):
    folder = sweep(tmp_path / "story-2", cells=1, replicas=3, done=3)
    empty_run(folder, "cell-001/replica-2")

    for place in (folder, folder / "cell-001"):
        assert [one.seed for one in replicas_at(str(place))] == [101, 103]
        [left_out] = left_out_at(str(place))
        assert left_out.folder == str(folder / "cell-001" / "replica-2")
        assert left_out.detail == "a fault never happened"
    assert left_out_at(str(folder / "cell-001" / "replica-1")) == []


def test_a_single_run_that_tested_nothing_is_compared_with_nothing(tmp_path: Path):
    trouble = {"where": "a.toml:3", "detail": "the fault never happened", "hint": ""}
    folder = run(tmp_path / "story-1", troubles=[trouble])

    with pytest.raises(Failure, match=r"it tested nothing: a\.toml:3: the fault never happened"):
        replicas_at(str(folder))


def test_where_every_run_tested_nothing_that_is_said(tmp_path: Path):
    folder = sweep(tmp_path / "story-2", cells=1, replicas=1, done=1)
    empty_run(folder, "cell-001/replica-1")

    for place in (folder, folder / "cell-001", folder / "cell-001" / "replica-1"):
        with pytest.raises(Failure, match="it tested nothing: a fault never happened"):
            replicas_at(str(place))


@pytest.mark.parametrize(
    ("newest", "proposed"),
    [
        (("story-3", "other-1", "story-2", "story-1"), "report runs/story-3"),
        (("other-1", "story-3", "story-2", "story-1"), "report runs/other-1"),
        (("story-2", "other-1", "story-3", "story-1"), "runs diff runs/story-1 runs/story-2"),
    ],
    ids=["a sweep of two settings", "another story", "two runs of one story"],
)
def test_what_is_proposed_next_can_be_carried_out(
    market: Market, newest: tuple[str, ...], proposed: str
):
    run(Path("runs/story-1"))
    run(Path("runs/story-2"))
    run(Path("runs/other-1"), name="other")
    sweep(Path("runs/story-3"), cells=2, replicas=1, done=1)
    for moment, name in enumerate(reversed(newest), 1_000):
        for path in [Path("runs", name), *Path("runs", name).rglob("*")]:
            os.utime(path, (moment, moment))

    assert market("runs", "list").err.strip().endswith(f"market {proposed}")


def test_the_newest_is_what_was_played_last_and_not_what_was_touched(
    market: Market, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    moments = {"a": "2026-11-22T10:00:00.000000Z", "b": "2026-11-22T10:00:00.000001Z"}
    for name, moment in moments.items():
        wrote(run(tmp_path / "runs" / name) / "played.json", {"played_at": moment})
    swept = sweep(tmp_path / "runs" / "c", cells=1, replicas=1, done=1)
    planned = json.loads((swept / "sweep.json").read_text())
    wrote(swept / "sweep.json", planned | {"played_at": "2026-11-22T09:00:00.000000Z"})
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "runs" / "a" / "report.html").write_text("later")
    os.utime(tmp_path / "runs" / "a", (4e9, 4e9))

    listed = kept_in(tmp_path / "runs")
    told = market("why", "--seller", "clerk")
    named = market("why", "--seller", "clerk", "--run", "runs/a")
    none = market("report", "runs/none")
    swept_too = market("why", "--seller", "clerk", "--run", "runs/c")

    assert [Path(kept.folder).name for kept in listed] == ["b", "a", "c"]
    assert [kept.played_at for kept in listed][:2] == [moments["b"], moments["a"]]
    assert told.err.startswith("About runs/b, played last (2026-11-22 10:00:00 UTC)\n")
    assert "About" not in named.err
    assert swept_too.err == (
        "market: runs/c is a sweep: name one of its runs (runs/c/cell-001/replica-1)\n"
    )
    assert (none.exit_code, none.err) == (
        2,
        "market: runs/none does not exist (market runs list)\n",
    )


def test_the_newest_is_first_and_what_is_no_run_is_left_out(tmp_path: Path):
    for name, moment in [("old-1", 1_000), ("new-1", 2_000), ("no-run", 3_000), ("bad-1", 4_000)]:
        folder = tmp_path / name
        folder.mkdir()
        if name == "bad-1":
            (folder / "run.json").write_text("{")
        elif name != "no-run":
            run(folder)
        os.utime(folder, (moment, moment))

    assert [Path(kept.folder).name for kept in kept_in(tmp_path)] == ["new-1", "old-1"]


def test_the_list_is_a_table_and_a_document(market: Market):
    run(Path("runs/story-1"), expectations=[expectation("passed")])

    said = market("runs", "list")
    document = json.loads(market("runs", "list", "--json").out)

    assert "runs/story-1" in said.out
    assert "1 of 1" in said.out
    assert "Next: " in said.err
    assert [one["folder"] for one in document] == ["runs/story-1"]


def test_without_a_run_the_list_is_empty(market: Market):
    assert json.loads(market("runs", "list", "--json").out) == []


def test_the_runs_of_a_setting_are_those_that_are_over(tmp_path: Path):
    folder = sweep(tmp_path / "story-2", cells=1, replicas=3, done=2)

    found = replicas_at(str(folder))

    assert [(Path(one.folder).name, one.seed) for one in found] == [
        ("replica-1", 101),
        ("replica-2", 102),
    ]
    assert replicas_at(str(folder / "cell-001")) == found
    assert replicas_at(str(folder / "cell-001" / "replica-2")) == found[1:]


def test_a_run_goes_by_its_name_in_runs(market: Market):
    run(Path("runs/story-1"))

    assert [(one.folder, one.seed) for one in replicas_at("story-1")] == [("runs/story-1", 7)]


def test_of_a_sweep_of_several_settings_one_is_asked_for(tmp_path: Path):
    folder = sweep(tmp_path / "story-2", cells=2, replicas=1, done=1)

    with pytest.raises(Failure, match="2 settings; name one of its cells") as refused:
        replicas_at(str(folder))

    assert str(folder / "cell-001") in refused.value.report.hint


def test_where_no_run_is_over_nothing_is_compared(tmp_path: Path):
    with pytest.raises(Failure, match=r"no run of .* is over"):
        replicas_at(str(sweep(tmp_path / "story-2", cells=1, replicas=1, done=0)))


def test_a_folder_without_a_run_is_a_usage_error(market: Market):
    Path("empty").mkdir()

    for place in ("empty", "nowhere"):
        said = market("runs", "diff", place, place)
        assert (said.exit_code, said.out) == (2, "")
        assert f"there is no run in {place}" in said.err


def test_a_store_of_another_version_is_told_and_not_blamed_on_the_program(market: Market):
    with closing(sqlite3.connect(run(Path("runs/old-1")) / "market.db")) as connection:
        connection.execute("CREATE TABLE sessions (id TEXT)")

    said = market("runs", "diff", "old-1", "old-1")

    assert (said.out, said.exit_code) == ("", 2)
    assert "made by another version" in said.err
    assert "market migrate --home" in said.err
