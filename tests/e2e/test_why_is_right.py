"""``market why`` names the cause that a story planted first, though others cost sales as well.

Each story has a seller ``victim`` and a ``rival`` with as good an offer but for the planted cause,
customers who are lost for it, and strays who are lost, or not, for something else.
"""

import json
from pathlib import Path
from typing import Final, NamedTuple

import anyio
import pytest

from market import analytics
from scenarios.engine.play import run
from scenarios.engine.reading import load
from tests.processes import COMMAND

HEAD: Final = """
scenario = 1
name = "{name}"
seed = 5
limit = "10m"
[market]
clock = {{ mode = "virtual" }}
"""
NEED: Final = 'query = "extract the sentences of a text"\ninput = { text = "Bees fly. Bees sing." }'


def seller(name: str, service: str = "key-sentences", price: str = "0.03", more: str = "") -> str:
    return f'[[sellers]]\nname = "{name}"\nservice = "{service}"\nprice = "{price}"\n{more}\n'


def buyer(
    name: str, count: int, need: str = "", more: str = 'policy = "best-value"', wallet: str = "1"
) -> str:
    return (
        f'[[buyers]]\nname = "{name}"\ncount = {count}\nwallet = "{wallet}"\n{more}\n'
        f"[buyers.need]\n{NEED}\n{need}\n"
    )


class Planted(NamedTuple):
    """A story, and what it plants: the cause, how many journeys it costs, words of the remedy."""

    cause: str
    parts: list[str]
    journeys: int
    remedy: str


STORIES: Final = {
    "price": Planted(
        "price",
        [
            seller("victim", price="0.06"),
            seller("rival", price="0.03"),
            buyer("saver", 3),
            buyer("limited", 2, need='max_price = "0.05"'),
            buyer("hasty", 2, need='max_p95 = "1s"'),
        ],
        5,
        "would have preferred it at 0.0",
    ),
    "schema": Planted(
        "schema_mismatch",
        [
            seller("victim", "quick-sentences", price="0.02"),
            seller("rival", price="0.03"),
            buyer("reader", 4, need='wants = ["keywords"]'),
            buyer("poor", 1, need='max_price = "0.01"'),
            buyer("plain", 1),
        ],
        4,
        "its output has no keywords",
    ),
    "trust": Planted(
        "reputation",
        [
            seller("victim", more='behaviour = "schema-breaker"'),
            seller("rival", price="0.04"),
            # Two find out; the others hear of it.
            buyer("pioneer", 2),
            buyer("careful", 3, need="min_trust = 0.3", more='arrive = { after = "pioneer-*" }'),
            buyer("trusting", 2,
                  more='policy = "best-trusted"\narrive = { after = "pioneer-*" }'),
        ],
        5,
        "trust",
    ),
    "latency": Planted(
        "latency",
        [
            seller("victim", price="0.02"),
            seller("rival", "quick-sentences", price="0.02"),
            buyer("hasty", 4, need='max_p95 = "1s"'),
            buyer("poor", 2, need='max_price = "0.01"'),
            buyer("calm", 1, need='wants = ["keywords"]'),
        ],
        4,
        "it promises 4000 ms, not 1000",
    ),
    "mandate": Planted(
        "mandate",
        [
            seller("victim", price="0.02"),
            seller("rival", price="0.03"),
            buyer("ward", 4, more='mandate = { sellers_deny = ["victim"] }'),
            buyer("hasty", 2, need='max_p95 = "1s"'),
            buyer("free", 1),
        ],
        4,
        "mandate (4): ",
    ),
    "budget": Planted(
        "budget",
        [
            seller("victim", price="0.05"),
            seller("rival", price="0.09"),
            buyer("penniless", 3, wallet="0.01"),
            buyer("hasty", 1, need='max_p95 = "1s"'),
            buyer("free", 2),
        ],
        3,
        "budget (3): ",
    ),
}  # fmt: skip


async def played(name: str, folder: Path) -> Path:
    file = folder / f"{name}.toml"
    file.write_text("\n".join([HEAD.format(name=f"planted-{name}"), *STORIES[name].parts]))
    place = folder / "run"
    place.mkdir()
    result = await run(load(file), folder=place)
    assert (result.findings, result.is_over) == ([], True)
    return place


@pytest.mark.parametrize("name", STORIES)
async def test_the_planted_cause_is_named_first(name: str, tmp_path: Path) -> None:
    planted = STORIES[name]

    found = analytics.why(analytics.open(await played(name, tmp_path)), "victim")

    first = found.causes[0]
    assert (first.cause, first.journeys) == (planted.cause, planted.journeys), str(found)
    assert planted.remedy in first.change
    assert len(found.causes) > 1, "a story with one cause alone would prove little"
    assert found.lost == sum(cause.journeys for cause in found.causes)
    assert found.lost == sum(stage.journeys for stage in found.stages)


async def test_the_command_says_the_same(tmp_path: Path) -> None:
    place = await played("mandate", tmp_path)

    asked = [COMMAND, "why", "--seller", "victim", "--run", str(place), "--json"]
    with anyio.fail_after(60):
        done = await anyio.run_process(asked)

    answer = json.loads(done.stdout)
    assert answer["causes"][0]["cause"] == "mandate"
    assert answer["causes"][0]["at_stake_minor"] == {"XTS": 80_000}
