"""What a story knows of its agents, and how near the analytics come to it without being told."""

from pathlib import Path

import polars as pl
import pytest

from market import analytics
from scenarios.engine.play import run
from scenarios.engine.reading import load

STORY = """
scenario = 1
name = "ring"
seed = 3
limit = "10m"
[market]
clock = { mode = "virtual" }
[[sellers]]
name = "hollow"
service = "key-sentences"
[[sellers]]
name = "steady"
service = "key-sentences"
[[buyers]]
name = "fan"
count = 4
policy = "sybil-reviewer"
params = { target = "hollow" }
wallet = "1.00"
[buyers.need]
query = "extract the sentences of a text"
input = { text = "Bees fly. Bees sing." }
[[buyers]]
name = "customer"
count = 3
wallet = "1.00"
[buyers.need]
query = "extract the sentences of a text"
input = { text = "Bees fly. Bees sing." }
max_price = "0.10"
"""
FANS = [f"fan-{number}" for number in range(1, 5)]


@pytest.fixture
async def played(tmp_path: Path) -> Path:
    story = tmp_path / "ring.toml"
    story.write_text(STORY)
    folder = tmp_path / "run"
    folder.mkdir()
    result = await run(load(story), folder=folder)
    assert (result.findings, result.is_over) == ([], True)
    return folder


async def test_the_ring_of_the_story_is_found_whole_and_nobody_else(played: Path) -> None:
    facts, truth = analytics.open(played), analytics.truth(played)

    found = analytics.rings(facts, truth=truth)

    names = dict(truth.select("agent_id", "name").iter_rows())
    [ring] = found.rows(named=True)
    assert sorted(names[buyer] for buyer in ring["buyer_ids"]) == FANS
    assert (ring["sellers"], ring["choice_share"], ring["precision"]) == (["hollow"], 1.0, 1.0)
    accuracy = analytics.ring_accuracy(found, truth)
    assert accuracy.select("kind", "true", "hits").rows() == [
        ("all", 5, 5),
        ("buyer", 4, 4),
        ("seller", 1, 1),
    ]


async def test_the_agents_of_the_truth_are_those_of_the_market(played: Path) -> None:
    agents = analytics.open(played).agents.select("agent_id", "handle", "kind").collect()

    members = analytics.truth(played).select("agent_id", handle="name", kind="kind")

    registered = agents.filter(pl.col("kind") != "overseer").sort("handle")
    assert members.sort("handle").equals(registered)


async def test_the_limits_that_buyers_state_are_recorded_with_what_they_bought(
    played: Path,
) -> None:
    [whole] = analytics.welfare(analytics.open(played)).rows(named=True)

    # Three state 0.10 and pay 0.03; the fans state nothing.
    assert (whole["journeys"], whole["served"], whole["value_minor"]) == (3, 3, 300_000)
    assert (whole["surplus_minor"], whole["surplus_share"]) == (210_000, 1.0)
