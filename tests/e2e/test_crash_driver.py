"""Kills under load, on both databases: a short run, and proof that the judge sees what is wrong.

``make crash`` makes the long run of the same.
"""

from collections.abc import Callable, Sequence

import pytest

from tests.crash.__main__ import table
from tests.crash.driver import Figures, crash
from tests.crash.flawed import command
from tests.crash.places import sites

KILLS = 2
SEED = 2026


async def kills(store: str, serve: Sequence[str] | None = None, number: int = KILLS) -> Figures:
    said: list[str] = []
    tell: Callable[[str], None] = said.append
    with sites(store, *([serve] if serve else [])) as opened:
        return await crash(opened, kills=number, seed=SEED, say=tell)


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
async def test_what_was_acknowledged_survives_kills_at_random_moments(store: str):
    """M21, M15: nothing lost, nothing charged twice, no gap, no hold open past its time."""
    figures = await kills(store)

    assert figures.violations == []
    assert figures.kills.total() == KILLS
    assert figures.acknowledged["place"] > KILLS
    assert figures.in_doubt > KILLS
    assert any(line.startswith("lost ") and line.endswith(" 0") for line in table(figures))


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
async def test_a_market_that_answers_before_its_commit_is_caught(store: str):
    figures = await kills(store, command("answer-before-commit"), 3 * KILLS)

    assert {"lost", "broken", "doubled", "gap"} & figures.faults.keys()


async def test_a_market_that_commits_without_a_sync_is_caught_when_its_database_dies():
    figures = await kills("postgresql", command("commit-without-sync"), 6 * KILLS)

    assert {"lost", "broken", "doubled", "gap"} & figures.faults.keys()
