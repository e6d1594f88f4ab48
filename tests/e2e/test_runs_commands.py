"""``market runs diff`` over runs of a story: two settings, each under the same two seeds."""

import json
from pathlib import Path
from subprocess import CompletedProcess

import anyio
import pytest

from scenarios.engine.play import run
from scenarios.engine.reading import load
from tests.processes import COMMAND

STORY = """
scenario = 1
name = "fees"
limit = "10m"
[market]
clock = { mode = "virtual" }
fee_basis_points = 0
[[sellers]]
name = "clerk"
service = "convert-units"
[[buyers]]
name = "walker"
count = 2
wallet = "1.00"
[buyers.need]
query = "convert units"
input = { items = [{ value = "1", from = "mile", to = "metre" }] }
"""
FEES = {"before": "0", "after": "500"}
SEEDS = (1, 2)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the folders ``before`` and ``after``, each with a run for each seed."""
    folder = tmp_path_factory.mktemp("played")
    for name, fee in FEES.items():
        story = folder / f"{name}.toml"
        story.write_text(STORY.replace("fee_basis_points = 0", f"fee_basis_points = {fee}"))
        for number, seed in enumerate(SEEDS, 1):
            place = folder / name / f"replica-{number}"
            place.mkdir(parents=True)
            anyio.run(lambda seed=seed, place=place, story=story: run(
                load(story), seed=seed, folder=place))  # fmt: skip
    return folder


async def market(folder: Path, *args: str) -> CompletedProcess[bytes]:
    with anyio.fail_after(60):
        return await anyio.run_process([COMMAND, *args], cwd=folder, check=False)


async def test_the_fees_differ_and_nothing_else_does(played: Path) -> None:
    done = await market(played, "runs", "diff", "before", "after", "--json")

    answer = json.loads(done.stdout)
    assert done.returncode == 0
    assert [one["seed"] for one in answer["before"]] == list(SEEDS)
    differing = {row["metric"]: row for row in answer["metrics"] if row["difference"]}
    assert list(differing) == ["fees"]
    fees = differing["fees"]
    # Two conversions at 0.002 each: 5 % of 0.004, in both runs.
    assert (fees["before"], fees["after"], fees["difference"]) == (0, 200, 200)
    assert (fees["low"], fees["high"], fees["is_clear"]) == (200, 200, True)
    assert (fees["method"], fees["runs_after"]) == ("paired t", 2)


async def test_the_table_says_how_it_was_compared_and_what_differs(played: Path) -> None:
    done = await market(played, "runs", "diff", "before", "after/replica-1")

    said = done.stdout.decode()
    assert "A: 2 runs, B: 1 run, not under the same seeds." in said
    assert "One run tells nothing about chance" in said
    [fees] = [line for line in said.splitlines() if line.startswith("fees")]
    assert fees.split() == ["fees", "0.0000", "XTS", "0.0002", "XTS", "+0.0002", "XTS"]
    assert "more do not differ (--all)" in said
