"""Policies and behaviours in a scenario file: a mistake in one is named by its line, and mended."""

from pathlib import Path
from typing import Any

import pytest

from market.protocol.wire import CounterView
from scenarios.engine import BadScenario
from scenarios.engine.deciding import policy_for
from scenarios.engine.form import BuyerPart, NeedPart, SellerPart
from scenarios.engine.overriding import Override
from scenarios.engine.reading import load
from scenarios.engine.services import seller_for

STORY = """\
scenario = 1
name = "shop"
[[sellers]]
name = "clerk"
service = "convert-units"
behaviour = "{behaviour}"
params = {{ {conduct} }}
[[buyers]]
name = "walker"
policy = "{policy}"
need = {{ query = "convert units", input = {{ items = [] }} }}

[buyers.params]
{params}
"""


@pytest.mark.parametrize(
    ("changes", "line", "what"),
    [
        ({"policy": "hagler"}, 10, "did you mean 'haggler'"),
        ({"policy": "haggler", "params": "openin = 0.5"}, 14, "did you mean 'opening'"),
        ({"policy": "haggler", "params": "opening = 2.0"}, 14, "opening of haggler"),
        ({"policy": "satisficer"}, 13, "good enough"),
        ({"policy": "explorer", "params": "chance = 5"}, 14, "no param 'chance'"),
        ({"policy": "explorer", "params": "agent = 'me'"}, 14, "no param 'agent'"),
        ({"policy": "outside"}, 13, "say who is asked"),
        ({"policy": "outside", "params": "replay = 'none'"}, 13, "cannot be read"),
        ({"behaviour": "discount"}, 6, "did you mean 'discounting'"),
        ({"behaviour": "flaky", "conduct": "fail = 0.5"}, 7, "did you mean 'fails'"),
        ({"behaviour": "flaky", "conduct": "fails = 1.5"}, 7, "fails of flaky"),
        ({"behaviour": "dynamic", "conduct": "idle = 3"}, 7, "idle is below busy"),
        ({"behaviour": "premium", "conduct": "percent = 0"}, 7, "percent of premium"),
    ],
)
def test_a_mistake_in_a_policy_or_behaviour_is_named_by_its_line(
    tmp_path: Path, changes: dict[str, str], line: int, what: str
) -> None:
    path = tmp_path / "shop.toml"
    members = {"behaviour": "honest", "conduct": "", "policy": "cheapest", "params": ""}
    path.write_text(STORY.format(**members | changes))

    with pytest.raises(BadScenario) as refusal:
        load(path)

    [trouble] = refusal.value.troubles
    assert trouble.where.endswith(f"shop.toml:{line}")
    assert what in trouble.detail


OWN = """\
from buyer_agents.weighing import Cheapest


class Cautious(Cheapest):
    def __init__(self, share: float = 0.5) -> None:
        self.share = 1 / share
"""


@pytest.mark.parametrize(
    ("code", "changes", "line", "said"),
    [
        (OWN, {"policy": "NAME:Cautius"}, 10, "did you mean 'Cautious'?"),
        (OWN, {"behaviour": "NAME:Cautius"}, 6, "did you mean 'Cautious'?"),
        (OWN, {"policy": "NAME:Cautious", "params": "share = 0"}, 10, "py:6: ZeroDivisionError: "),
        (OWN + "(", {"policy": "NAME:Cautious"}, 10, "py:7: SyntaxError: "),
        ("import no_such\n", {"policy": "NAME:Cautious"}, 10, "No module named 'no_such'"),
        ("x = {}['y']\n", {"policy": "NAME:Cautious"}, 10, "py:1: KeyError: 'y'"),
    ],
)
def test_a_mistake_in_code_of_ones_own_is_named_by_its_line_too(
    tmp_path: Path, code: str, changes: dict[str, str], line: int, said: str
) -> None:
    module = f"own_{abs(hash(tmp_path))}"
    (tmp_path / f"{module}.py").write_text(code)
    members = {"behaviour": "honest", "conduct": "", "policy": "cheapest", "params": ""}
    path = tmp_path / "shop.toml"
    text = STORY.format(**members | changes)
    path.write_text(text.replace("NAME", module))

    with pytest.raises(BadScenario) as refusal:
        load(path)

    [trouble] = refusal.value.troubles
    assert trouble.where == f"{path}:{line}"
    assert said in str(trouble)


def test_params_that_stayed_when_an_option_changed_the_policy_are_said_to_be_the_files(
    tmp_path: Path,
) -> None:
    path = tmp_path / "shop.toml"
    members = {"behaviour": "honest", "conduct": "", "policy": "explorer", "params": "rate = 0.5"}
    path.write_text(STORY.format(**members))
    matrix = [Override("buyers.walker.policy", "loyal", "--matrix")]

    with pytest.raises(BadScenario) as refusal:
        load(path, matrix)
    mended = load(path, [*matrix, Override("buyers.walker.params", "{}")])

    assert refusal.value.troubles[0].hint == "--set buyers.walker.params={}"
    assert mended.scenario.buyers[0].policy == "loyal"


def test_what_is_wrong_with_one_file_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text("{bad")
    members = {"behaviour": "honest", "conduct": "", "policy": "explorer", "params": ""}
    one = STORY.format(**members).replace(
        "input = { items = [] }", 'input = { file = "input.json" }'
    )
    path = tmp_path / "shop.toml"
    path.write_text(one + one[one.index("[[buyers]]") :].replace("walker", "other"))

    with pytest.raises(BadScenario) as refusal:
        load(path)

    [trouble] = refusal.value.troubles
    assert trouble.where == f"{path}:11"


def test_a_pattern_of_nobody_is_held_against_the_tables(tmp_path: Path) -> None:
    members = {"behaviour": "honest", "conduct": "", "policy": "cheapest", "params": ""}
    fault = '[[faults]]\nkind = "disconnect"\nat = { agent = "walkr-*", chunk = 0 }\n'
    path = tmp_path / "shop.toml"
    path.write_text(STORY.format(**members).replace('"walker"', '"walker"\ncount = 2') + fault)

    with pytest.raises(BadScenario, match=r"did you mean 'walker-\*'"):
        load(path)


def test_each_agent_has_a_chance_of_its_own_under_the_seed() -> None:
    need = NeedPart(query="x", input={})
    part = BuyerPart(name="walker", need=need, policy="explorer", params={"rate": 0.5})

    def draws(name: str, seed: int) -> list[bool]:
        policy = policy_for(part, name, seed)
        return [policy.for_journey().lot is None for _ in range(40)]  # type: ignore[attr-defined]

    assert draws("walker", 1) == draws("walker", 1)
    assert draws("walker", 1) != draws("walker-2", 1)
    assert draws("walker", 1) != draws("walker", 2)


def test_what_the_story_says_of_a_service_is_what_its_pricing_begins_with() -> None:
    part = SellerPart(
        name="clerk", service="convert-units", price="0.01", behaviour="premium",
        params={"percent": 300}, deliver_within="30s",
    )  # fmt: skip

    listing = seller_for(part, "clerk", 1).listing

    assert (listing["id"], listing["price"]["amount"]) == ("clerk", "0.03")
    assert listing["limits"]["deliver_seconds"] == 30


@pytest.mark.parametrize(
    ("service", "behaviour", "offered"),
    [
        # It meets buyers down to 80 % of its price, whatever else it is in the story.
        ("convert-units", "honest", 800),
        ("convert-units", "flaky", 800),
        ("convert-units", "bargainer", 700),
        ("convert-units", "firm", None),
        ("profile-csv", "honest", None),
        ("profile-csv", "bargainer", 700),
    ],
)
def test_a_sample_bargains_in_a_story_as_by_itself(
    service: str, behaviour: str, offered: int | None
) -> None:
    params: dict[str, Any] = {"floor_percent": 70} if behaviour == "bargainer" else {}
    part = SellerPart(name="clerk", service=service, behaviour=behaviour, params=params)
    known: dict[str, Any] = dict.fromkeys(CounterView.__struct_fields__, 0)
    counter = CounterView(**known | {"quoted_minor": 1_000, "amount_minor": 500, "round": 1})

    assert seller_for(part, "clerk", 1)._bargain(counter) == offered
