import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from buyer_agents import (
    POLICIES,
    Candidate,
    Experience,
    Judgement,
    Memory,
    Need,
    Policy,
    Ranked,
    UnknownPolicy,
    policy_named,
)
from market.protocol.text import Tag
from market.protocol.wire import FoundView, TrustView

NEED = Need(query="profile a table", input={"csv": "a\n1\n"}, wants=("column",))


def candidate(name: str, *, price: int = 100, trust: float = 0.5, fit: float = 0.5) -> Candidate:
    found = FoundView(
        service_id=f"svc_{name}",
        slug=name,
        seller_id=f"id-of-{name}",
        seller_handle=name,
        summary="",
        tags=[],
        price_per="call",
        amount_minor=price,
        currency="XTS",
        unit=None,
        p95_ms=100,
        refund="never",
        trust=trust,
        score=fit,
        parts={},
        flags=[],
    )
    return Candidate(found=found, amount_minor=price)


def report(*, score: float = 0.5, flags: Sequence[str] = ()) -> TrustView:
    known: dict[str, Any] = dict.fromkeys(TrustView.__struct_fields__, 0)
    return TrustView(**(known | {"score": score, "flags": list(flags)}))


def named(name: str, seed: int = 1, **params: Any) -> Any:
    """A policy with what it cannot do without."""
    needed = {"satisficer": {"trust": 0.9}}.get(name, {})
    return policy_named(name, chance=random.Random(seed), **{**needed, **params})


def order(policy: str, *candidates: Candidate, memory: Memory | None = None) -> list[str]:
    ranked = named(policy).rank(candidates, NEED, memory or {})
    return [one.candidate.slug for one in ranked]


def test_cheapest_takes_the_lowest_price_whoever_asks_it() -> None:
    dear = candidate("dear", price=300, trust=1.0, fit=1.0)
    cheap = candidate("cheap", price=100, trust=0.0, fit=0.0)

    assert order("cheapest", dear, cheap) == ["cheap", "dear"]


def test_best_trusted_takes_the_best_name_at_any_price() -> None:
    known = candidate("known", price=900, trust=0.9)
    unknown = candidate("unknown", price=1, trust=0.3)

    assert order("best-trusted", unknown, known) == ["known", "unknown"]


def test_best_value_pays_more_for_trust_but_not_any_price() -> None:
    good = candidate("good", price=120, trust=0.9)
    poor = candidate("poor", price=100, trust=0.2)
    gold = candidate("gold", price=10_000, trust=1.0)

    assert order("best-value", poor, gold, good) == ["good", "gold", "poor"]


def test_loyal_comes_back_to_who_delivered_well_and_shuns_who_did_not() -> None:
    new, known, bad = candidate("new", price=90), candidate("known"), candidate("bad", price=80)
    memory = {"id-of-known": Experience(good=2), "id-of-bad": Experience(bad=1)}

    assert order("loyal", bad, new, known, memory=memory) == ["known", "new", "bad"]
    assert order("best-value", bad, new, known, memory=memory)[0] == "bad"


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "outside"])
def test_equals_keep_the_order_of_the_search(name: str) -> None:
    assert order(name, candidate("first"), candidate("second")) == ["first", "second"]


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "outside"])
def test_the_parts_of_a_score_add_up_and_can_be_recorded(name: str) -> None:
    ranked = named(name).rank([candidate("a"), candidate("b", price=30)], NEED, {})

    for one in ranked:
        assert one.score == pytest.approx(sum(one.parts.values()))
        msgspec.convert(dict(one.parts), dict[Tag, float])


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "outside"])
def test_ranking_nothing_gives_nothing(name: str) -> None:
    assert named(name).rank([], NEED, {}) == []


@pytest.mark.parametrize(("score", "answer"), [(0.6, "allow"), (0.5999, "leave")])
def test_trust_is_allowed_from_the_limit_of_the_need_on(score: float, answer: str) -> None:
    need = Need(query="x", input={}, min_trust=0.6)

    assert policy_named("cheapest").trusts(report(score=score), need) == answer


def test_best_trusted_asks_about_a_warning_but_not_about_being_new() -> None:
    policy = policy_named("best-trusted")

    assert policy.trusts(report(flags=["price_rising"]), NEED) == "ask"
    assert policy.trusts(report(flags=["new"]), NEED) == "allow"


def test_a_delivery_is_good_if_it_has_what_is_wanted() -> None:
    policy = policy_named("best-value")

    assert policy.judge([{"column": "a"}], NEED).verdict == "good"
    assert policy.judge([{"column": "a"}, {"rows": 1}], NEED).verdict == "bad"
    assert policy.judge([], NEED).verdict == "bad"


def test_the_check_of_the_need_has_the_last_word() -> None:
    need = Need(query="x", input={}, check=lambda outputs: len(outputs) == 2)
    policy = policy_named("cheapest")

    assert policy.judge([{}, {}], need).verdict == "good"
    assert policy.judge([{}], need).verdict == "bad"


class Contrary:
    """A policy of one's own: the dearest."""

    def __init__(self, verdict: str = "bad") -> None:
        self.verdict = verdict

    def rank(self, candidates: Sequence[Candidate], need: Need, memory: Memory) -> list[Ranked]:
        return [Ranked(one, {"price": float(one.amount_minor)}) for one in candidates]

    def trusts(self, report: TrustView, need: Need) -> str:
        return "leave"

    def judge(self, outputs: Any, need: Need) -> Judgement:
        return Judgement("bad", self.verdict)


class NoPolicy:
    """It cannot judge."""


def test_a_policy_of_ones_own_is_named_by_module_and_class() -> None:
    policy = policy_named(f"{__name__}:Contrary", verdict="never good")

    assert isinstance(policy, Policy)
    assert policy.judge([], NEED) == Judgement("bad", "never good")


def test_an_unknown_policy_names_those_there_are_and_the_nearest() -> None:
    with pytest.raises(UnknownPolicy) as refusal:
        policy_named("best-trust")

    assert "did you mean 'best-trusted'?" in str(refusal.value)
    assert all(name in str(refusal.value) for name in POLICIES)


@pytest.mark.parametrize(
    "name", ["", "no.such.module:Class", f"{__name__}:Missing", ":Class", f"{__name__}:NoPolicy"]
)
def test_what_is_no_policy_is_refused(name: str) -> None:
    with pytest.raises(UnknownPolicy):
        policy_named(name)
