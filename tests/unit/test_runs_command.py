"""``market runs list``, and which runs ``market runs diff`` takes, over folders made by hand."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from market.cli.failures import Failure
from market.cli.runfolders import Kept, kept_in, replicas_at
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
