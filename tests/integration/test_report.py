"""``market report`` on stores, exports and runs: what it writes, and where."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import structlog
from click.testing import CliRunner, Result

from market import analytics
from market.cli.tree import ROOT
from tests.factories import Town, post_review
from tests.pages import Page

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """The command line, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> Result:
        return CliRunner().invoke(ROOT, ["report", *args], prog_name="market")

    yield run
    structlog.reset_defaults()


async def sold(town: Town) -> None:
    """One order that was delivered, paid and reviewed."""
    await post_review(town.buyer, await town.settled(), tags=["fast"])


def place_of(town: Town) -> str:
    """How the store is named in a command."""
    settings = town.store.settings
    return settings.store or str(settings.home)


def page_at(path: Path) -> Page:
    return Page(path.read_text("utf-8"))


async def test_a_store_is_audited_and_reported(
    town: Town, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    await sold(town)
    monkeypatch.setenv("MARKET_HOME", str(town.store.settings.home))

    done = run(place_of(town), "-o", "here/page.html", "--png", "plots")

    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == "here/page.html"
    page = page_at(tmp_path / "here" / "page.html")
    assert "✓ proven from the store" in page.text
    assert page.tables["money"][0][1][1:3] == ["1", "0.40"]
    facts = analytics.open(town.store, directory=tmp_path / "facts")
    assert page.tables["journey"][0][5][:3] == ["Use", "1", "1"]
    assert analytics.funnel(facts)["reached"].to_list()[4] == 1
    pictures = {path.name for path in (tmp_path / "plots").iterdir()}
    assert {"journey.png", "money.png", "latency.png"} <= pictures


async def test_an_export_is_reported_but_not_proven(town: Town, run: Run, tmp_path: Path):
    await sold(town)
    analytics.export(town.store, tmp_path / "facts")

    done = run("facts")

    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == ["facts/report.html"]
    assert "an export can be read, but not audited" in page_at(tmp_path / "facts/report.html").text


async def test_a_run_tells_its_name_its_expectations_and_its_proof(
    town: Town, run: Run, tmp_path: Path
):
    await sold(town)
    analytics.export(town.store, tmp_path / "facts")
    told = {
        "name": "a-story", "seed": 7, "is_over": False,
        "expectations": [
            {"title": "all is well", "status": "passed", "that": "1 == 1"},
            {"title": "more is sold", "status": "failed", "that": "sold > 9",
             "observed": {"sold": "1"}, "where": "story.toml:9"},
        ],
        "proven": {"postings": 5, "events": 3, "receipts": 1},
        "findings": [],
    }  # fmt: skip
    (tmp_path / "facts" / "run.json").write_bytes(msgspec.json.encode(told))

    done = run("facts")

    assert done.exit_code == 0, done.output
    text = page_at(tmp_path / "facts" / "report.html").text
    for words in ("a-story", "The report is partial", "1 passed, 1 failed", "sold > 9: sold = 1"):
        assert words in text
    assert "5 postings sum to zero" in text


async def test_a_broken_store_is_reported_and_the_command_fails(
    town: Town, run: Run, tmp_path: Path
):
    await sold(town)
    analytics.export(town.store, tmp_path / "facts")
    told = {"name": "a-story", "seed": 7, "findings": ["ledger.sum: a posting is gone"]}
    (tmp_path / "facts" / "run.json").write_bytes(msgspec.json.encode(told))

    done = run("facts")

    assert done.exit_code == 5
    assert "a posting is gone" in done.stderr
    assert "✗ The audit found 1 broken law" in page_at(tmp_path / "facts" / "report.html").text


async def test_with_json_there_is_a_page_only_where_one_is_asked_for(
    town: Town, run: Run, tmp_path: Path
):
    await sold(town)
    analytics.export(town.store, tmp_path / "facts")

    alone = run("facts", "--json")
    assert not (tmp_path / "facts" / "report.html").exists()
    both = run("facts", "--json", "-o", "page.html")

    assert alone.stdout == both.stdout
    assert (tmp_path / "page.html").is_file()
    told = msgspec.json.decode(alone.stdout)
    assert [block["name"] for block in told["blocks"]][:2] == ["journey", "dropoff"]


async def test_without_the_extra_pages_are_refused_and_json_is_not(
    town: Town, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    await sold(town)
    analytics.export(town.store, tmp_path / "facts")
    monkeypatch.setattr("market.report.extra.NEEDED", ("no_such_library",))

    refused = run("facts")
    told = run("facts", "--json")

    assert (refused.stdout, refused.exit_code) == ("", 2)
    assert "pip install 'agent-market[report]'" in refused.stderr
    assert told.exit_code == 0


async def test_what_is_not_there_is_refused(run: Run):
    done = run("nowhere")

    assert done.exit_code == 2
    assert "nowhere" in done.stderr


async def test_the_combinations_of_a_sweep_are_compared(town: Town, run: Run, tmp_path: Path):
    """Two runs, of which the second is the same market one sale later."""
    for number in (1, 2):
        await sold(town)
        folder = tmp_path / "sweep" / f"cell-{number}" / "replica-1"
        analytics.export(town.store, folder)
        told = {"name": "a-story", "seed": 7}
        (folder / "run.json").write_bytes(msgspec.json.encode(told))
        folder.with_name("replica-1.json").write_bytes(msgspec.json.encode({"state": "done"}))
    cells = [
        {"number": number, "overrides": {"fee": str(number)},
         "replicas": [{"number": 1, "seed": 7, "folder": f"cell-{number}/replica-1"}]}
        for number in (1, 2)
    ]  # fmt: skip
    (tmp_path / "sweep" / "sweep.json").write_bytes(
        msgspec.json.encode({"name": "a-story", "cells": cells})
    )

    done = run("sweep", "--json", "-o", "page.html")

    assert done.exit_code == 0, done.output
    made = msgspec.json.decode(done.stdout)
    replicas = made["blocks"][0]
    assert (replicas["name"], made["head"]["seed"]) == ("replicas", 7)
    [compared] = [one for one in replicas["tables"] if "(before)" in one["title"]]
    first, second = (
        analytics.Replica(analytics.open(tmp_path / "sweep" / f"cell-{number}" / "replica-1"), 7)
        for number in (1, 2)
    )
    expected = analytics.compare([first], [second]).to_dicts()
    assert sorted(map(repr, compared["rows"])) == sorted(map(repr, expected))
    [settled] = [row for row in compared["rows"] if row["metric"] == "settled"]
    assert (settled["before"], settled["after"], settled["difference"]) == (1, 2, 1)
    assert page_at(tmp_path / "page.html").tables["replicas"]
