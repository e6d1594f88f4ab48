"""``docs/policies.md`` is tested: its tables name all there is, and its examples work."""

import ast
import inspect
import random
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from buyer_agents import making
from buyer_agents.outside_questions import INSTRUCTIONS, PROTOCOL, REPLIES, ask_rank
from buyer_agents.policies import ADVERSARIES, POLICIES, policy_named
from scenarios.engine.reading import load
from scenarios.engine.services import seller_for
from seller_services.behaviours import BEHAVIOURS, behaviour_named
from tests.stand_in import answer
from tests.unit.test_policies import NEED, candidate

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text("utf-8")
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
REST = 4
"""Code that is no example of a class: two programs, and a line of one."""


def params_of(cls: Any) -> dict[str, Any]:
    parameters = inspect.signature(cls).parameters.items()
    return {name: one.default for name, one in parameters if name not in making.HANDED}


def row_of(name: str) -> str:
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    [row] = [line for line in rows if f"`{name}`" in line.split("|")[1]]
    return row


@pytest.mark.parametrize("name", [*POLICIES, *ADVERSARIES, *BEHAVIOURS])
def test_every_name_has_a_row_with_its_params(name: str) -> None:
    known = {**POLICIES, **ADVERSARIES, **BEHAVIOURS}
    params = params_of(making.class_named(name, known, "policy"))
    # The seat for an LLM has a table of its own.
    told = PAGE if name == "outside" else row_of(name)

    assert [param for param in params if f"`{param}`" not in told] == []


@pytest.mark.parametrize("name", ["explorer", "haggler", "satisficer", "delegating", "outside"])
def test_the_defaults_of_policies_are_as_they_are_told(name: str) -> None:
    defaults = params_of(making.class_named(name, POLICIES, "policy"))
    told = PAGE if name == "outside" else row_of(name)

    for param, default in defaults.items():
        if default is not None:
            assert f"`{param}` = {default}" in told


@pytest.mark.parametrize("name", ["premium", "discounting", "dynamic", "bargainer", "flaky"])
def test_the_defaults_of_behaviours_are_as_they_are_told(name: str) -> None:
    for param, default in params_of(making.class_named(name, BEHAVIOURS, "behaviour")).items():
        told = int(default) if param == "every_seconds" else default
        assert f"`{param}` = {told}" in row_of(name)


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A story's folder with the examples of the page in one module, as it says."""
    classes = [code for code in CODE if "class " in code and "HTTP" not in code]
    assert len(classes) == 2
    (tmp_path / "my_market.py").write_text("\n".join(classes), "utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "my_market", raising=False)
    return tmp_path


STORY = """\
scenario = 1
name = "own"
[[sellers]]
name = "clerk"
service = "convert-units"
behaviour = "my_market:HappyHour"
params = { percent = 60 }
[[buyers]]
name = "walker"
policy = "my_market:Impatient"
params = { refund_bonus = 0.5 }
need = { query = "convert units", input = { items = [] } }
"""


def test_classes_beside_a_story_are_found_and_do_what_the_page_says(beside: Path) -> None:
    path = beside / "own.toml"
    path.write_text(STORY)

    story = load(path)

    [seller], [buyer] = story.scenario.sellers, story.scenario.buyers
    assert seller_for(seller, "clerk", 1).listing["id"] == "clerk"
    policy: Any = policy_named(buyer.policy, **buyer.params)
    quick, slow = candidate("quick", price=300), candidate("slow", price=100)
    quick = type(quick)(found=_faster(quick.found), amount_minor=300)
    assert [one.candidate.slug for one in policy.rank([slow, quick], NEED, {})] == ["quick", "slow"]
    happy: Any = behaviour_named(seller.behaviour, seller.params)
    assert happy.percent == 60


def _faster(found: Any) -> Any:
    return msgspec.structs.replace(found, p95_ms=1)


def test_all_code_of_the_page_can_be_read() -> None:
    assert len(CODE) == REST
    for code in CODE:
        ast.parse(code)


def test_the_page_tells_the_message_that_a_typo_gets() -> None:
    with pytest.raises(making.BadParams) as refusal:
        policy_named("explorer", chance=random.Random(1), rat=0.3)

    assert str(refusal.value) in PAGE


def test_the_protocol_of_the_page_is_the_one_that_is_spoken() -> None:
    question = ask_rank([candidate("one")], NEED, {})

    assert f"protocol, version {PROTOCOL}" in PAGE
    assert all(f"| `{asked}` |" in PAGE for asked in INSTRUCTIONS)
    assert all(f"`{member}`" in PAGE for member in question)
    assert set(REPLIES) == set(INSTRUCTIONS)
    assert answer(dict(question))["order"] == [1]
