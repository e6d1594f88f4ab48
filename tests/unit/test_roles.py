"""Who is who in a story, and how a run's folder tells it."""

from pathlib import Path

import msgspec
import pytest

from buyer_agents import BadParams, policy_named
from buyer_agents.weighing import Cheapest
from market.analytics import NoFacts, truth
from market.analytics.truths import CAST_FILE
from scenarios.engine import BuyerPart, NeedPart, Scenario, SellerPart
from scenarios.engine.roles import cast_of
from seller_services.behaviours import BEHAVIOURS, UnknownBehaviour, behaviour_named
from seller_services.pricing import Honest

NEED = NeedPart(query="sentences", input={"text": "A word."})
STORY = Scenario(
    scenario=1,
    name="roles",
    sellers=[
        SellerPart(name="steady", service="key-sentences"),
        SellerPart(name="costly", service="key-sentences", behaviour="premium"),
        SellerPart(
            name="hollow", service="key-sentences", count=2, behaviour="schema-breaker"
        ),
    ],
    buyers=[
        BuyerPart(name="customer", need=NEED),
        BuyerPart(name="fan", count=2, need=NEED, policy="sybil-reviewer",
                  params={"target": "hollow-1"}),
        BuyerPart(name="rival", need=NEED, policy="buyer_agents.adversaries:BadMouther",
                  params={"target": "steady"}),
    ],
)  # fmt: skip
NAMES = ("steady", "costly", "hollow-1", "hollow-2", "customer", "fan-1", "fan-2", "rival")


def kept(folder: Path) -> Path:
    members = cast_of(STORY, {f"id-{name}": name for name in (*NAMES, "overseer")})
    (folder / CAST_FILE).write_bytes(msgspec.json.encode(members))
    return folder


def test_a_run_tells_who_meant_well_and_who_was_in_a_ring(tmp_path: Path):
    found = truth(kept(tmp_path))

    assert found.select("name", "kind", "part", "is_honest", "ring").rows() == [
        ("costly", "seller", "costly", True, None),
        ("customer", "buyer", "customer", True, None),
        ("fan-1", "buyer", "fan", False, "hollow-1"),
        ("fan-2", "buyer", "fan", False, "hollow-1"),
        ("hollow-1", "seller", "hollow", False, "hollow-1"),
        ("hollow-2", "seller", "hollow", False, None),
        ("rival", "buyer", "rival", False, None),
        ("steady", "seller", "steady", True, None),
    ]
    assert found["agent_id"][0] == "id-costly"
    assert found["policy"].to_list()[1:3] == ["best-value", "sybil-reviewer"]
    assert found["behaviour"].to_list()[4] == "schema-breaker"


def test_the_facts_beside_a_run_tell_the_same(tmp_path: Path):
    (kept(tmp_path) / "facts").mkdir()

    assert truth(tmp_path / "facts").height == len(NAMES)


def test_what_is_no_run_has_no_truth(tmp_path: Path):
    with pytest.raises(NoFacts, match="no run of a scenario"):
        truth(tmp_path)

    (tmp_path / CAST_FILE).write_text("{}")
    with pytest.raises(NoFacts, match="cannot be read"):
        truth(tmp_path)


@pytest.mark.parametrize("behaviour", sorted(BEHAVIOURS))
def test_every_behaviour_is_honest_or_an_adversarys(behaviour: str):
    story = Scenario(
        scenario=1,
        name="one",
        sellers=[SellerPart(name="one", service="key-sentences", behaviour=behaviour)],
        buyers=[],
    )

    [member] = cast_of(story, {"id": "one"})

    honest = {"honest", "premium", "discounting", "dynamic", "firm", "bargainer", "flaky"}
    assert member.is_honest == (behaviour in honest)


class Sly(Honest, frozen=True, kw_only=True):
    """Means harm, and says so."""

    is_honest = False
    skim: int = 1


class Shill(Cheapest):
    """Means harm, and says so."""

    is_honest = False


class Vague(Honest, frozen=True, kw_only=True):
    """Makes a param of it by mistake."""

    is_honest: bool = False  # type: ignore[misc]


class Unsure(Cheapest):
    is_honest = "no"


def test_what_is_ones_own_says_itself_whether_it_means_well():
    story = Scenario(
        scenario=1,
        name="own",
        sellers=[SellerPart(name="one", service="key-sentences", behaviour=f"{__name__}:Sly")],
        buyers=[
            BuyerPart(name="shill", need=NEED, policy=f"{__name__}:Shill"),
            BuyerPart(name="silent", need=NEED, policy="buyer_agents.weighing:Cheapest"),
        ],
    )

    members = cast_of(story, {name: name for name in ("one", "shill", "silent")})

    assert {one.name: one.is_honest for one in members} == {
        "one": False,
        "shill": False,
        "silent": True,
    }
    assert behaviour_named(f"{__name__}:Sly", {"skim": 2}) == Sly(skim=2)


def test_who_says_it_in_another_way_is_told_how():
    with pytest.raises((UnknownBehaviour, BadParams), match="without an annotation"):
        behaviour_named(f"{__name__}:Vague", {})
    with pytest.raises(BadParams, match="is_honest of Unsure is neither True nor False"):
        policy_named(f"{__name__}:Unsure")
