"""Buyers and sellers who mean harm do what they are named for."""

from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buyer_agents import BadParams
from buyer_agents.needs import Need
from buyer_agents.policies import ADVERSARIES, UnknownPolicy, policy_named
from market.protocol.signing import SigningKey
from seller_services import Chunk, Order, Seller
from seller_services.behaviours import UnknownBehaviour, behaviour_named
from seller_services.handling import CannotDeliver, check_handler
from seller_services.outputs import members_of
from seller_services.samples import SAMPLES
from tests.unit.test_policies import candidate, report

NEED = Need(query="profile a table", input={"csv": "a\n1\n"}, wants=("column",))


# Buyers


@pytest.mark.parametrize("name", ADVERSARIES)
def test_an_adversary_buys_from_its_target_alone(name: str) -> None:
    policy = policy_named(name, target="friend")
    offers = [candidate("best", price=1), candidate("friend", price=900), candidate("other")]

    assert [one.candidate.slug for one in policy.rank(offers, NEED, {})] == ["friend"]
    assert policy.rank(offers[:1], NEED, {}) == []
    assert policy.trusts(report(score=0.0, flags=["frozen"]), NEED) == "allow"


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("sybil-reviewer", "good"), ("wash-trader", "good"), ("bad-mouther", "bad")],
)
def test_an_adversary_knows_its_verdict_before_the_delivery(name: str, verdict: str) -> None:
    policy = policy_named(name, target="friend")

    for outputs in ([], [{"column": "a"}], [{"junk": 1}]):
        assert policy.judge(outputs, NEED).verdict == verdict


def test_a_misspelt_adversary_is_corrected() -> None:
    with pytest.raises(UnknownPolicy, match="did you mean 'bad-mouther'"):
        policy_named("bad-mouth")


# Sellers


def work(order: Order) -> Iterator[Chunk]:
    """Honest work: three chunks."""
    for number in range(3):
        yield Chunk({"row": number, "note": "as promised"}, units=1)


async def plain(order: Order) -> AsyncIterator[dict[str, Any]]:
    """Honest work that is paid by the call."""
    yield {"row": 0, "note": "as promised"}


def order(name: str = "ord_1") -> Order:
    return cast("Order", SimpleNamespace(id=name))


async def delivered(handler: Any, name: str = "ord_1") -> list[Any]:
    return [chunk async for chunk in handler(order(name))]


def behaving(handler: Any, name: str, params: dict[str, Any]) -> Any:
    return cast("Any", behaviour_named(name, params)).of(handler)


def test_an_honest_seller_is_left_alone() -> None:
    seller = cast("Any", object())

    assert behaviour_named("honest", {}).joins(seller) is seller


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("non-deliverer", {"says": "no"}),
        ("exit-scammer", {}),
        ("whitewasher", {}),
        ("bait-and-switch", {"drops": ["note"]}),
        ("schema-breaker", {}),
        ("slow-loris", {"pause_seconds": 0}),
    ],
)
async def test_every_behaviour_is_a_handler_that_can_be_honest_first(name, params) -> None:
    handler = behaving(work, name, {**params, "honest": 2})

    check_handler(handler)
    for number in range(2):
        assert await delivered(handler, f"ord_{number}") == list(work(order()))
    # An order that is worked on again after a crash is still one of the first two.
    assert await delivered(handler, "ord_0") == list(work(order()))


async def test_a_non_deliverer_gives_up_after_what_it_pleases() -> None:
    handler = behaving(work, "non-deliverer", {"chunks": 1, "says": "my dog ate it"})
    chunks = handler(order())

    assert await anext(chunks) == next(work(order()))
    with pytest.raises(CannotDeliver, match="my dog ate it"):
        await anext(chunks)


async def test_bait_and_switch_leaves_out_what_nobody_can_demand() -> None:
    params = {"drops": ["note"]}

    assert await delivered(behaving(work, "bait-and-switch", params)) == [
        Chunk({"row": number}, units=1) for number in range(3)
    ]
    assert await delivered(behaving(plain, "bait-and-switch", params)) == [{"row": 0}]


async def test_a_schema_breaker_delivers_other_types_than_it_promised() -> None:
    first, *_ = await delivered(behaving(work, "schema-breaker", {}))

    assert first == Chunk({"row": [0], "note": ["as promised"]}, units=1)


async def test_a_slow_loris_delivers_all_in_its_own_time() -> None:
    handler = behaving(work, "slow-loris", {"pause_seconds": 0})

    assert await delivered(handler) == list(work(order()))


@pytest.mark.parametrize(
    ("name", "params", "what"),
    [
        ("kind", {}, "no behaviour 'kind'"),
        ("exit-scamer", {}, "did you mean 'exit-scammer'"),
        ("honest", {"honest": 1}, "it takes none"),
        ("bait-and-switch", {}, "needs the param drops"),
        ("slow-loris", {"pause": 1}, "did you mean 'pause_seconds'"),
        ("non-deliverer", {"chunks": "two"}, "chunks of non-deliverer"),
        (f"{__name__}:UnknownBehaviour", {}, "no kind of Conduct"),
    ],
)
def test_what_no_behaviour_knows_is_refused(name: str, params: dict[str, Any], what: str) -> None:
    with pytest.raises((UnknownBehaviour, BadParams), match=what):
        behaviour_named(name, params)


# What is left out


def sample(service: str = "convert-units") -> Seller:
    seller = Seller(SAMPLES[service].manifest, key=SigningKey.generate())
    seller.handle(SAMPLES[service].handler)
    return seller


def test_a_member_that_no_output_has_cannot_be_left_out() -> None:
    said = r"the output of convert-units has no 'valeu'; did you mean 'value'\?"

    with pytest.raises(BadParams, match=said) as refusal:
        behaviour_named("bait-and-switch", {"drops": ["value", "valeu"]}).joins(sample())

    assert refusal.value.param == "drops"
    with pytest.raises(BadParams, match="'zzz'; it has item, value, unit, exact"):
        behaviour_named("bait-and-switch", {"drops": ["zzz"]}).joins(sample())


def test_a_member_that_the_output_has_is_left_out() -> None:
    seller = behaviour_named("bait-and-switch", {"drops": ["value"]}).joins(sample())

    assert seller.manifest.id == "convert-units"


@pytest.mark.parametrize(
    ("schema", "members"),
    [
        ({}, []),
        ({"properties": {"a": {"properties": {"inner": {}}}}, "required": ["b"]}, ["a", "b"]),
        ({"oneOf": [{"required": ["a"]}, {"properties": {"b": {}}}]}, ["a", "b"]),
        ({"if": {}, "then": {"properties": {"a": {}}}, "else": {"required": ["b"]}}, ["a", "b"]),
        (
            {
                "$ref": "#/$defs/a~1row",
                "$defs": {"a/row": {"properties": {"a": {}}, "allOf": [{"$ref": "#"}]}},
            },
            ["a"],
        ),
        ({"$ref": "#/$defs/none", "allOf": [True]}, []),
    ],
)
def test_the_members_of_an_output_are_found_wherever_its_schema_names_them(
    schema: dict[str, Any], members: list[str]
) -> None:
    assert members_of(schema) == members
