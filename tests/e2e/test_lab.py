"""``market trust lab``, as people call it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from market.cli import main
from market.lab import ATTACKS, OWN, Plan
from tests.processes import COMMAND
from tests.sabotage import Spoiling

SIZE = ("--scale", "0.05", "--days", "12", "--seeds", "1")
LIMIT_SECONDS = 180


def lab(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "trust", "lab", *args],
        capture_output=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
        text=True,
        timeout=LIMIT_SECONDS,
    )


def test_the_table_has_a_row_for_each_algorithm_under_each_attack():
    said = lab(*SIZE, "--attacks", "exit,calm", "--jobs", "2")

    assert said.returncode == 0, said.stderr
    for title in (ATTACKS["calm"].title, ATTACKS["exit"].title):
        assert title in said.stdout
    for name in (OWN, "mean", "beta", "eigentrust"):
        assert said.stdout.count(f"\n  {name} ") == 2
    assert "✓ proven: 8 stores with" in said.stdout
    assert "8 of 8 markets: " in said.stderr


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_processes(tmp_path: Path):
    asked = (*SIZE, "--attacks", "sybil", "--algorithms", f"{OWN},eigentrust", "--json")

    one = lab(*asked, "--jobs", "1")
    two = lab(*asked, "--jobs", "2", "--out", str(tmp_path))

    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    assert one.stdout == two.stdout
    report = json.loads(one.stdout)["report"]
    assert [row["algorithm"] for row in report["rows"]] == [OWN, "eigentrust"]
    days = pl.read_parquet(tmp_path / "days.parquet")
    assert days.height == 2 * 12
    assert days["orders"].sum() == 2 * 12 * Plan(scale=0.05).orders_a_day
    ranks = pl.read_parquet(tmp_path / "ranks.parquet")
    assert set(ranks["algorithm"]) == {OWN, "eigentrust"}
    assert ranks.filter(pl.col("is_attacker"))["day"].min() == 3


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--attacks", "sybil,flattery"), "'flattery' is none of calm, sybil"),
        (("--algorithms", "karma"), f"'karma' is none of {OWN}, "),
        (("--full", "--scale", "0.1"), "not both"),
    ],
)
def test_what_cannot_be_played_is_a_usage_error(args: tuple[str, ...], told: str):
    said = lab(*args)

    assert said.returncode == 2
    assert told in said.stderr


@pytest.mark.parametrize("as_json", [True, False])
def test_a_broken_store_ends_with_code_5(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
):
    monkeypatch.setitem(ATTACKS, "calm", Spoiling)
    asked = ["--attacks", "calm", "--algorithms", "mean", "--jobs", "1", *SIZE]
    monkeypatch.setattr(
        sys, "argv", ["market", "trust", "lab", *asked, *(["--json"] if as_json else [])]
    )

    with pytest.raises(SystemExit) as caught:
        main()

    said = capsys.readouterr()
    assert caught.value.code == 5
    assert "calm under mean, seed 1: ledger: " in said.err
    if as_json:
        assert json.loads(said.out)["report"]["findings"]


def test_an_expectation_that_is_not_met_is_told_by_the_code_if_asked_for():
    """In twelve days no rule knows much of a dozen buyers' sellers."""
    asked = (*SIZE, "--attacks", "sybil", "--algorithms", OWN)

    quiet = lab(*asked)
    strict = lab(*asked, "--expect")

    assert "✗ " in quiet.stdout
    assert (quiet.returncode, strict.returncode) == (0, 1)
