"""Stories about whose word is taken: what their keys do, and that their endings hang on them."""

import sqlite3
from pathlib import Path

import pytest

from scenarios.engine.overriding import read_override
from scenarios.engine.play import run
from scenarios.engine.reading import load
from scenarios.engine.result import RunResult
from scenarios.engine.seeds import key_of
from tests.processes import ROOT

SHOP = """
scenario = 1
name = "shop"
seed = 7
[market]
clock = { mode = "virtual", until = "1h" }
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


def failed(result: RunResult) -> list[int]:
    """Which expectations were not met, by their places from 0."""
    return [place for place, one in enumerate(result.expectations) if one.status != "passed"]


@pytest.mark.parametrize(
    ("name", "other", "fails"),
    [
        ("reviews", "market.reviews=false", [1, 2, 3, 4]),
        ("wash_trader", "buyers.vetted.vouched=false", [2, 3]),
        ("wash_trader", "buyers.washer.vouched=true", [1, 2, 3]),
        ("bad_mouther", "buyers.vetted.vouched=false", [1, 2]),
        ("bad_mouther", "buyers.mouth.vouched=true", [1, 2]),
        ("bad_mouther", "buyers.mouth.count=40", []),
        ("bait_and_switch", "sellers.switcher.refund=never", [2]),
        ("bait_and_switch", "market.reviews=false", [1]),
    ],
)
async def test_a_story_ends_otherwise_without_what_it_is_about(
    name: str, other: str, fails: list[int], tmp_path: Path
) -> None:
    story = load(ROOT / "scenarios" / f"{name}.toml", [read_override(other)])

    result = await run(story, folder=tmp_path)

    assert failed(result) == fails
    assert result.findings == []


async def played(tmp_path: Path, text: str) -> RunResult:
    path, folder = tmp_path / "shop.toml", tmp_path / "run"
    path.write_text(text)
    folder.mkdir()
    return await run(load(path), folder=folder)


async def test_two_overseers_make_anchors_of_who_is_vouched_for(tmp_path: Path) -> None:
    vouched = SHOP.replace("count = 2", "count = 2\nvouched = true")
    stranger = SHOP.partition("[[buyers]]")[2].replace("walker", "stranger")

    result = await played(tmp_path, f"{vouched}[[buyers]]{stranger}")

    assert result.exit_code == 0
    with sqlite3.connect(tmp_path / "run" / "market.db") as database:
        query = "SELECT buyer_id, act, overseer_id FROM trust_anchors ORDER BY number"
        acts = database.execute(query).fetchall()
    first, second = (key_of(7, name).kid for name in ("overseer", "second-overseer"))
    assert acts == [
        (key_of(7, buyer).kid, act, overseer)
        for buyer in ("walker-1", "walker-2")
        for act, overseer in (("proposed", first), ("confirmed", second))
    ]


async def test_a_story_that_vouches_for_nobody_has_one_overseer(tmp_path: Path) -> None:
    await played(tmp_path, SHOP)

    with sqlite3.connect(tmp_path / "run" / "market.db") as database:
        found = database.execute("SELECT handle FROM agents WHERE kind = 'overseer'").fetchall()
        assert found == [("overseer",)]
        assert database.execute("SELECT count(*) FROM trust_anchors").fetchone() == (0,)


@pytest.mark.parametrize(("said", "good"), [("true", 2), ("false", 0)])
async def test_buyers_review_what_they_bought_or_do_not(
    said: str, good: int, tmp_path: Path
) -> None:
    text = SHOP.replace("[market]", f"[market]\nreviews = {said}")
    expected = f'[[expect]]\nthat = "reviews.good == {good} and buyers.bought == 2"\n'

    result = await played(tmp_path, text + expected)

    assert failed(result) == []
    assert result.market.reviews == (said == "true")
