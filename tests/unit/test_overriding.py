"""Values of a scenario that options replace: paths into it, and what is typed for them."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from scenarios.engine import BadScenario, Scenario, schema
from scenarios.engine.form import names_of
from scenarios.engine.overriding import Override, read_override, split_values
from scenarios.engine.overriding import changed as change
from scenarios.engine.reading import digest_of, load

TEXT = """\
scenario = 1
name = "whole"
[[sellers]]
name = "clerk"
service = "convert-units"
count = 4
[[sellers]]
name = "alone"
service = "convert-units"
[[buyers]]
name = "thrifty"
count = 25
wallet = "1.00"
need = { query = "convert units", input = { items = [{ value = "1" }] } }
[[faults]]
kind = "disconnect"
at = { agent = "thrifty-1", chunk = 3 }
[[expect]]
name = "a.b = c"
that = "orders.settled == 2"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "whole.toml"
    path.write_text(TEXT)
    return path


def changed(file: Path, *sets: str, scale: str | None = None) -> Scenario:
    return load(file, [read_override(typed) for typed in sets], scale).scenario


def at(tree: Any, *path: str | int) -> Any:
    for step in path:
        tree = tree[step] if isinstance(step, int) else getattr(tree, step)
    return tree


@pytest.mark.parametrize(
    ("typed", "path", "value"),
    [
        ("buyers.thrifty.count=80", ("buyers", 0, "count"), 80),
        ("buyers[0].count=80", ("buyers", 0, "count"), 80),
        ("market.fee_basis_points = 300", ("market", "fee_basis_points"), 300),
        ("market.clock.mode=virtual", ("market", "clock", "mode"), "virtual"),
        ("buyers.thrifty.wallet=2.50", ("buyers", 0, "wallet"), "2.50"),
        ('buyers.thrifty.wallet="2.50"', ("buyers", 0, "wallet"), "2.50"),
        ("buyers.thrifty.need.max_price=0.40", ("buyers", 0, "need", "max_price"), "0.40"),
        ("buyers.thrifty.need.query=find it, a=b", ("buyers", 0, "need", "query"), "find it, a=b"),
        ("buyers.thrifty.need.min_trust=0.5", ("buyers", 0, "need", "min_trust"), 0.5),
        ("buyers.thrifty.mandate.budget=3.00", ("buyers", 0, "mandate", "budget"), "3.00"),
        (
            'buyers.thrifty.recommend_to=["thrifty-*"]',
            ("buyers", 0, "recommend_to", 0),
            "thrifty-*",
        ),
        ("faults[0].times=2", ("faults", 0, "times"), 2),
        ('expect."a.b = c".severity=warn', ("expect", 0, "severity"), "warn"),
        ("replicas=3", ("replicas",), 3),
    ],
)
def test_a_value_is_replaced(file: Path, typed: str, path: tuple[Any, ...], value: Any) -> None:
    assert at(changed(file, typed), *path) == value


def test_what_a_policy_or_an_input_takes_is_free(file: Path) -> None:
    scenario = changed(
        file, "buyers.thrifty.need.input.items[0].value=7", "buyers[0].need.input.x=a"
    )

    assert scenario.buyers[0].need.input == {"items": [{"value": 7}], "x": "a"}


def test_later_values_see_earlier_ones(file: Path) -> None:
    scenario = changed(
        file, "buyers.thrifty.name=frugal", "buyers.frugal.count=3", 'faults[0].at.agent="frugal-1"'
    )

    assert names_of(scenario.buyers[0]) == ["frugal-1", "frugal-2", "frugal-3"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            "buyers.thrfty.count=80",
            "nothing in buyers is called 'thrfty' (did you mean 'thrifty'?)",
        ),
        (
            "buyers.thrifty.cuont=80",
            "buyers[0].cuont is not known here (did you mean 'count'?)",
        ),
        (
            "market.fee_basis_point=3",
            "market.fee_basis_point is not known here (did you mean 'fee_basis_points'?)",
        ),
        ("faults.disconnect.times=2", "nothing in faults is called 'disconnect' (write faults[0])"),
        ("faults[1].times=2", "faults has 1 items; the first is faults[0]"),
        ("seed.more=2", "seed is a value, and has no members"),
        ("market.currency.name=2", "market.currency is a value, and has no members"),
        ("buyers.thrifty.count=many", "buyers.thrifty.count: expected `int`, got `str`"),
        ("buyers.thrifty.count=0", "buyers.thrifty.count: expected `int` >= 1"),
        ("buyers.thrifty.policy=cheepest", "no policy 'cheepest'"),
        ("expect[0].that=orders.setled == 2", "did you mean 'orders.settled'?"),
        ("buyers..count=1", "'buyers..count' is no path"),
        ("buyers.=1", "'buyers.' is no path"),
    ],
)
def test_what_is_wrong_with_a_value_names_the_option(file: Path, typed: str, said: str) -> None:
    with pytest.raises(BadScenario) as caught:
        changed(file, typed)

    assert str(caught.value).startswith(f"--set {typed}: ")
    assert said in str(caught.value)


@pytest.mark.parametrize("typed", ["buyers.thrifty.count", "=3", "x" * 5_000, '"open=3'])
def test_what_is_no_pair_is_refused(typed: str) -> None:
    with pytest.raises(BadScenario, match="it is written path=value"):
        read_override(typed)


def test_a_mistake_of_the_file_keeps_its_line(file: Path) -> None:
    file.write_text(TEXT.replace('kind = "disconnect"', 'kind = "nothing"'))

    with pytest.raises(BadScenario, match=r"whole.toml:16: faults\[0\].kind cannot be 'nothing'"):
        changed(file, "buyers.thrifty.count=80")


@pytest.mark.parametrize(
    ("scale", "sellers", "buyers"),
    [("0.1", 2, 3), ("0.5", 2, 13), ("1", 4, 25), ("2.5", 10, 63), ("0.0001", 2, 2)],
)
def test_counts_are_scaled_and_one_alone_stays_alone(
    file: Path, scale: str, sellers: int, buyers: int
) -> None:
    scenario = changed(file, scale=scale)

    assert [part.count for part in scenario.sellers] == [sellers, 1]
    assert [part.count for part in scenario.buyers] == [buyers]


def test_counts_are_scaled_after_they_are_set(file: Path) -> None:
    assert changed(file, "buyers.thrifty.count=80", scale="0.1").buyers[0].count == 8


def test_what_the_file_says_stays_as_it_was_read(file: Path) -> None:
    tree = tomllib.loads(TEXT)
    overrides = [read_override("buyers.thrifty.need.query=other"), read_override("market.x={}")]

    with pytest.raises(BadScenario):
        change(tree, overrides, None, schema())
    whole = change(tree, overrides[:1], "3", schema())

    assert tree == tomllib.loads(TEXT)
    assert whole.tree["buyers"][0]["need"]["query"] == "other"
    assert [one.get("count") for one in whole.tree["sellers"]] == [12, None]
    assert whole.given[("sellers", 0, "count")] == "--scale 3"


def test_counts_that_become_too_many_are_refused(file: Path) -> None:
    with pytest.raises(
        BadScenario, match=r"^--scale 100: buyers.thrifty.count: expected `int` <= "
    ):
        changed(file, scale="100")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0,150, 500", ["0", "150", "500"]),
        ('[1,2],{a=1,b=[2,3]},"x,y",z', ["[1,2]", "{a=1,b=[2,3]}", '"x,y"', "z"]),
        ("it's, one", ["it's, one"]),
        ("a,,b", ["a", "", "b"]),
    ],
)
def test_values_are_split_at_commas_that_stand_alone(text: str, values: list[str]) -> None:
    assert split_values(text) == values


def test_the_digest_is_that_of_the_file_whatever_is_replaced(file: Path) -> None:
    before = load(file)

    after = load(file, [Override("buyers.thrifty.count", "3")])

    assert before.digest == after.digest == digest_of(file)
    file.write_text(TEXT + "# more\n")
    assert digest_of(file) != before.digest
