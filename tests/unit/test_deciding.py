"""What others' code returns is held against what it must return, and a wrong one is named."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from buyer_agents import Judgement, Ranked, Weighing
from buyer_agents.deciding import (
    checkers_of,
    complaint_of,
    countered_by,
    is_enough_for,
    judged_by,
    policy_for_journey,
    ranked_by,
    trusted_by,
)
from buyer_agents.needs import Offer
from buyer_agents.returning import WrongReturn
from buyer_agents.weighing import BestValue
from market.protocol.signing import SigningKey
from tests.unit.test_policies import NEED, candidate, report

ONE = candidate("one")
REPORT = report()


def saying(name: str) -> Any:
    """A method that returns what its object was told to."""

    def method(self: Any, *args: Any) -> Any:
        return self.returned

    method.__name__ = name
    return method


class Odd(BestValue):
    """A policy each of whose methods returns what it is told to."""

    def __init__(self, returned: Any) -> None:
        self.returned = returned

    rank = saying("rank")
    trusts = saying("trusts")
    judge = saying("judge")
    is_enough = saying("is_enough")
    counter = saying("counter")
    checkers = saying("checkers")
    complaint = saying("complaint")
    for_journey = saying("for_journey")


class Slow(BestValue):
    """A policy that answers late, and wrong."""

    async def trusts(self, report: Any, need: Any) -> Any:  # type: ignore[override]
        return True


class Lopsided(Weighing):
    """Its score is no score."""

    def __init__(self, parts: Any) -> None:
        self.returned = parts

    def parts(self, *args: Any) -> Any:
        return self.returned


async def asked(method: str, odd: Any) -> Any:
    """What comes of asking a policy for one thing."""
    ask: dict[str, Callable[[], Any]] = {
        "rank": lambda: ranked_by(odd, [ONE], NEED, {}),
        "trusts": lambda: trusted_by(odd, REPORT, NEED),
        "judge": lambda: judged_by(odd, [], NEED),
        "is_enough": lambda: is_enough_for(odd, cast("Offer", ONE), NEED),
        "counter": lambda: countered_by(odd, 10, 9, []),
        "checkers": lambda: checkers_of(odd),
        "complaint": lambda: complaint_of(odd, 0, {}, NEED),
        "for_journey": lambda: policy_for_journey(odd),
    }
    answer = ask[method]()
    return await answer if isinstance(answer, Awaitable) else answer


KEY = SigningKey.generate()
RIGHT = [
    ("rank", [Ranked(ONE, {"price": 1, "trust": 0.5})]),
    ("rank", []),
    ("trusts", "ask"),
    ("judge", Judgement("bad", "")),
    ("is_enough", False),
    ("counter", 7),
    ("counter", None),
    ("checkers", [KEY]),
    ("complaint", ""),
    ("for_journey", BestValue()),
]
WRONG = [
    ("rank", None, "None (NoneType); it returns a list of Ranked, best first"),
    ("rank", [ONE], "a list of Ranked, best first"),
    ("rank", [Ranked(ONE, {"price": float("nan")})], "Ranked whose parts are finite numbers"),
    ("rank", [Ranked(ONE, cast("Any", 0.5))], "Ranked whose parts are finite numbers"),
    ("rank", [Ranked(candidate("other"), {})], "'other' (str); it returns none but the given"),
    ("trusts", True, 'True (bool); it returns "allow", "ask" or "leave"'),
    ("trusts", "yes", "'yes' (str); it returns \"allow\""),
    ("judge", "good", "'good' (str); it returns a Judgement("),
    ("judge", Judgement(cast("Any", True), ""), "it returns a Judgement("),
    ("judge", Judgement("good", cast("Any", None)), "it returns a Judgement("),
    ("is_enough", 1, "1 (int); it returns True or False"),
    ("counter", 7.5, "7.5 (float); it returns a whole number of minor units, or None"),
    ("counter", True, "True (bool); it returns a whole number"),
    ("checkers", KEY, "it returns a list of SigningKey"),
    ("complaint", None, "None (NoneType); it returns a text"),
    ("for_journey", None, "None (NoneType); it returns a policy"),
]


@pytest.mark.parametrize(("method", "answer"), RIGHT)
async def test_a_right_answer_passes_as_it_is(method: str, answer: Any) -> None:
    assert await asked(method, Odd(answer)) == answer


@pytest.mark.parametrize(("method", "answer", "told"), WRONG)
async def test_a_wrong_answer_is_named_with_its_method_and_what_is_expected(
    method: str, answer: Any, told: str
) -> None:
    with pytest.raises(TypeError) as refusal:
        await asked(method, Odd(answer))

    assert told in str(refusal.value)
    assert str(refusal.value).startswith(f"{__name__}:Odd.{method} returned ")


async def test_a_late_answer_is_held_against_the_same() -> None:
    with pytest.raises(WrongReturn, match=rf"{__name__}:Slow\.trusts returned True \(bool\)"):
        await asked("trusts", Slow())


async def test_a_method_that_may_not_be_async_is_told_so() -> None:
    async def later() -> int:
        return 7

    with pytest.raises(WrongReturn, match="and is no coroutine function"):
        await asked("counter", Odd(later()))


@pytest.mark.parametrize("parts", [None, 0.5, {"price": "1"}, {"price": True}, {1: 1.0}])
def test_parts_that_are_no_score_are_named_by_their_method(parts: Any) -> None:
    with pytest.raises(WrongReturn, match=r"Lopsided\.parts returned .*; it returns finite num"):
        Lopsided(parts).rank([ONE], NEED, {})


async def test_a_policy_without_a_mind_for_it_reads_all_and_stays_the_same() -> None:
    policy = BestValue()

    assert is_enough_for(policy, cast("Offer", ONE), NEED) is False
    assert policy_for_journey(policy) is policy
