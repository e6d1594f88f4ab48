"""Policies that do not weigh everything, and those that name prices: their choices alone."""

import random
from dataclasses import replace
from typing import Any

import pytest

from buyer_agents import BadParams, Experience, Need, UnknownPolicy, policy_named
from buyer_agents.needs import Candidate, Offer
from buyer_agents.weighing import PerJourney, Policy, Sequential
from tests.unit.test_policies import NEED, candidate, named

THREE = [candidate("best", price=50), candidate("middle", price=100), candidate("dear", price=900)]


def offer(name: str, **more: Any) -> Offer:
    """A candidate that fits; nobody looks at its manifest here."""
    one = candidate(name, **more)
    nothing: Any = None
    return Offer(found=one.found, amount_minor=one.amount_minor, service=nothing, quote=nothing)


def slugs(policy: Any, candidates: list[Any], **more: Any) -> list[str]:
    return [one.candidate.slug for one in policy.rank(candidates, NEED, more.get("memory", {}))]


# Explorer


def first_choices(rate: float, *, journeys: int = 400, seed: int = 7, **more: Any) -> list[str]:
    policy = named("explorer", seed, rate=rate)
    assert isinstance(policy, PerJourney)
    return [slugs(policy.for_journey(), THREE, **more)[0] for _ in range(journeys)]


def test_an_explorer_tries_strangers_as_often_as_its_rate_says() -> None:
    memory = {"id-of-best": Experience(good=3)}

    tried = [first != "best" for first in first_choices(0.25, memory=memory)]

    assert 0.18 < sum(tried) / len(tried) < 0.32


def test_every_stranger_has_the_same_chance_whatever_it_asks() -> None:
    firsts = first_choices(1.0, journeys=600)

    assert all(140 < firsts.count(one.slug) < 260 for one in THREE)


def test_an_explorer_repeats_itself_under_a_seed_and_no_other() -> None:
    assert first_choices(0.5) == first_choices(0.5)
    assert first_choices(0.5) != first_choices(0.5, seed=8)


@pytest.mark.parametrize(("rate", "memory"), [(0.0, {}), (1.0, "all")])
def test_without_curiosity_or_strangers_an_explorer_takes_the_best(
    rate: float, memory: Any
) -> None:
    known = {one.seller_id: Experience(good=1) for one in THREE} if memory else {}

    assert set(first_choices(rate, memory=known)) == {"best"}


def test_an_explorer_keeps_to_whom_it_tries_within_a_journey() -> None:
    policy = named("explorer", rate=1.0)
    for _ in range(50):
        journey = policy.for_journey()
        first, *_ = slugs(journey, THREE)
        fitting = [one for one in reversed(THREE) if one.slug in (first, "best")]

        assert slugs(journey, fitting)[0] == first


# First proposal, satisficer


def test_the_first_proposal_is_the_first_listed_whatever_it_costs() -> None:
    policy = named("first-proposal")

    assert slugs(policy, THREE[::-1]) == ["dear", "middle", "best"]
    assert policy.is_enough(offer("any", price=10**9, trust=0.0), NEED)


def test_the_first_proposal_must_be_trusted_enough() -> None:
    need = replace(NEED, min_trust=0.5)
    policy = named("first-proposal")

    assert [policy.is_enough(offer("any", trust=trust), need) for trust in (0.49, 0.5)] == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("params", "price", "trust", "is_enough"),
    [
        ({"price": "0.05"}, 50_000, 0.0, True),
        ({"price": "0.05"}, 50_001, 1.0, False),
        ({"trust": 0.4}, 10**9, 0.4, True),
        ({"trust": 0.4}, 1, 0.399, False),
        ({"trust": 0.4, "price": "0.05"}, 50_000, 0.4, True),
        ({"trust": 0.4, "price": "0.05"}, 50_001, 0.4, False),
    ],
)
def test_good_enough_is_by_thresholds(
    params: Any, price: int, trust: float, is_enough: bool
) -> None:
    policy = named("satisficer", **{"trust": 0.0, **params})

    assert isinstance(policy, Sequential)
    assert policy.is_enough(offer("any", price=price, trust=trust), NEED) == is_enough


def test_a_satisficer_takes_the_cheapest_where_nothing_is_enough() -> None:
    policy = named("satisficer", trust=0.0, price="0.001")
    seen = [offer("dear", price=9_000), offer("cheap", price=2_000)]

    assert slugs(policy, seen) == ["cheap", "dear"]
    assert slugs(policy, [*seen, offer("enough", price=1_000)])[0] == "enough"


# Haggler


def bargain(policy: Any, quoted: int, floor: int) -> tuple[list[int], int]:
    """Bargain with a seller that meets whoever names its floor or more, and else offers that."""
    named_amounts: list[int] = []
    best = quoted
    while (amount := policy.counter(quoted, best, named_amounts)) is not None:
        named_amounts.append(amount)
        if len(named_amounts) == 1 or amount >= floor:
            best = min(best, max(amount, floor))
    return named_amounts, best


@pytest.mark.parametrize(
    ("floor", "named_amounts", "paid"),
    [
        (800, [700, 750, 775], 800),
        (600, [700], 700),
        (720, [700, 710, 715], 720),
        (1_000, [700, 850, 925], 1_000),
    ],
)
def test_a_haggler_goes_up_to_the_middle_and_keeps_the_best(
    floor: int, named_amounts: list[int], paid: int
) -> None:
    assert bargain(named("haggler"), 1_000, floor) == (named_amounts, paid)


@pytest.mark.parametrize("rounds", [1, 5])
def test_a_haggler_names_no_more_prices_than_its_rounds(rounds: int) -> None:
    named_amounts, _ = bargain(named("haggler", rounds=rounds), 1_000_000, 1_000_000)

    assert len(named_amounts) == rounds
    assert named_amounts == sorted(set(named_amounts))


@pytest.mark.parametrize("quoted", [1, 2])
def test_nothing_can_be_named_below_one_unit(quoted: int) -> None:
    assert all(0 < amount < quoted for amount in bargain(named("haggler"), quoted, quoted)[0])


# Params


@pytest.mark.parametrize(
    ("name", "params", "what"),
    [
        ("explorer", {"rat": 0.1}, "did you mean 'rate'"),
        ("explorer", {"rate": 1.5}, "rate of explorer"),
        ("explorer", {"rate": "often"}, "rate of explorer"),
        ("haggler", {"rounds": 6}, "rounds of haggler"),
        ("satisficer", {}, "good enough"),
        ("satisficer", {"price": "cheap"}, "price of satisficer"),
        ("delegating", {"workers": 0}, "workers of delegating"),
        ("cheapest", {"weight": 1}, "it takes none"),
        ("sybil-reviewer", {}, "needs the param target"),
    ],
)
def test_params_that_a_policy_does_not_take_are_refused(name: str, params: Any, what: str) -> None:
    with pytest.raises(BadParams, match=what):
        policy_named(name, chance=random.Random(1), **params)


def test_chance_is_handed_in_and_never_made_up() -> None:
    with pytest.raises(BadParams, match=r"explorer needs the param chance \(a random.Random\)"):
        policy_named("explorer")
    assert isinstance(policy_named("cheapest", chance=random.Random(1), agent="walker"), Policy)


class Own:
    """A policy of one's own that asks for all that is handed in."""

    def __init__(self, chance: random.Random, agent: str, *, colour: str = "red") -> None:
        self.told = (chance.random(), agent, colour)

    def rank(self, candidates: Any, need: Need, memory: Any) -> list[Candidate]:
        return []

    trusts = judge = rank


def test_a_policy_of_ones_own_gets_what_it_asks_for() -> None:
    policy: Any = policy_named(f"{__name__}:Own", chance=random.Random(3), agent="w", colour="blue")

    assert policy.told == (random.Random(3).random(), "w", "blue")
    with pytest.raises(BadParams, match="did you mean 'colour'"):
        policy_named(f"{__name__}:Own", chance=random.Random(3), agent="w", color="blue")
    with pytest.raises(UnknownPolicy, match="did you mean 'explorer'"):
        policy_named("explore")
