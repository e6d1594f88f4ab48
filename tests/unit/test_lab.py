"""The lab's pure parts: algorithms on hand-computed cases, rank correlation, means and sizes."""

import hashlib

import pytest

from market import identity
from market.base.caller import Caller
from market.lab import Cell, Plan, Played, judge, report
from market.lab.measures import MEASURES, spearman
from market.lab.people import Agent, Buyer, Seller
from market.lab.rankers import OWN, Counted, EigenTrust, eigentrust
from market.lab.report import Figure, figure
from market.lab.trading import Deal, Fate, Outcome
from market.protocol.commitments import AgentKind, Verdict
from market.protocol.signing import SigningKey

VERDICTS: tuple[Verdict | None, ...] = ("good", "good", "bad", None)


def agent(name: str, kind: AgentKind) -> Agent:
    key = SigningKey.from_seed(hashlib.sha256(name.encode()).digest())
    scopes = frozenset(identity.SCOPES[kind])
    return Agent(key, Caller(key.kid, name, kind, None, scopes, {}, "http://market"))


def seller(name: str) -> Seller:
    return Seller(agent(name, "seller"), name, f"svc-{name}", quality=0.5, joined_on=0)


def buyer(name: str) -> Buyer:
    return Buyer(agent(name, "buyer"), activity=1.0)


def outcome(
    one: Buyer, other: Seller, verdict: Verdict | None = "good", fate: Fate = "good"
) -> Outcome:
    deal = Deal(one, other, fate, verdict)
    return Outcome(deal, "ord", 10, is_settled=fate in ("good", "poor"))


def test_a_rating_is_bad_if_the_ledger_saw_it_else_what_the_buyer_says():
    ann, sam = buyer("ann"), seller("sam")

    ratings = [
        outcome(ann, sam, "good").rating,
        outcome(ann, sam, "bad").rating,
        outcome(ann, sam, None).rating,
        outcome(ann, sam, "good", "late").rating,
        outcome(ann, sam, "good", "refunded").rating,
    ]

    assert ratings == [1, 0, None, 0, 0]


def test_mean_and_beta_count_ratings():
    ann, sam, new = buyer("ann"), seller("sam"), seller("new")
    mean, beta = Counted(prior=0), Counted(prior=1)
    for verdict in VERDICTS:
        mean.note(outcome(ann, sam, verdict))
        beta.note(outcome(ann, sam, verdict))

    assert mean.scores([sam.id, new.id]) == {sam.id: 2 / 3, new.id: 0.5}
    assert beta.scores([sam.id, new.id]) == {sam.id: 3 / 5, new.id: 0.5}


def test_eigentrust_comes_to_rest_where_the_equations_say():
    """With a = 0.15: S = 0.85 (A + B), B = 0.425 S, A = 0.425 S + 0.15, so S = 0.1275 / 0.2775."""
    opinions = {"A": {"S": 1}, "B": {"S": 3}, "S": {"A": 2, "B": 2}}

    found = eigentrust(opinions, ["A"])

    rest = 0.1275 / 0.2775
    assert found == pytest.approx(
        {"S": rest, "B": 0.425 * rest, "A": 0.425 * rest + 0.15}, abs=1e-6
    )
    assert sum(found.values()) == pytest.approx(1)


def test_eigentrust_of_a_node_without_opinions_goes_back_to_the_anchors():
    """S = 0.85 A, B = 0.425 S, and A + S + B = 1."""
    found = eigentrust({"A": {"S": 1}, "S": {"A": 1, "B": 1}, "B": {"S": -2}}, ["A"])

    anchor = 1 / (1 + 0.85 + 0.425 * 0.85)
    assert found == pytest.approx(
        {"A": anchor, "S": 0.85 * anchor, "B": 0.36125 * anchor}, abs=1e-6
    )


def test_eigentrust_gives_nothing_to_a_ring_that_no_anchor_reaches():
    anchor, fake, honest, ring = buyer("anchor"), buyer("fake"), seller("honest"), seller("ring")
    ranker = EigenTrust([anchor.id])
    ranker.note(outcome(anchor, honest))
    for _ in range(50):
        ranker.note(outcome(fake, ring))

    scores = ranker.scores([honest.id, ring.id])

    assert scores[ring.id] == 0
    assert scores[honest.id] > 0.4


def test_eigentrust_begins_where_it_was_yesterday_and_comes_to_the_same():
    opinions = {"A": {"S": 1, "T": 1}, "B": {"T": 1}, "S": {"A": 1}, "T": {"B": 2}}

    again = eigentrust(opinions, ["A"], start={"A": 0.2, "B": 0.5, "S": 0.3})

    assert again == pytest.approx(eigentrust(opinions, ["A"]), abs=1e-6)


@pytest.mark.parametrize(
    ("left", "right", "correlation"),
    [
        ([1, 2, 3, 4], [10, 20, 25, 90], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3], [1, 3, 2], 0.5),
        ([1, 1, 2, 3], [1, 2, 3, 4], 4.5 / (4.5 * 5) ** 0.5),
        ([1, 1, 1], [1, 2, 3], 0.0),
    ],
)
def test_rank_correlation_knows_ties(left: list[float], right: list[float], correlation: float):
    assert spearman(left, right) == pytest.approx(correlation)


def test_a_figure_is_a_mean_with_students_half_width():
    """Of 1, 2 and 3 the deviation is 1, and t is 4.303 for two degrees of freedom."""
    assert figure([1.0, 2.0, 3.0]) == Figure(2.0, round(4.303 / 3**0.5, 6), [1.0, 2.0, 3.0])
    assert figure([2.5, None]) == Figure(2.5, None, [2.5, None])
    assert figure([None]) is None


def test_a_plan_in_full_size_is_that_of_the_manual_and_shrinks_with_its_scale():
    full, small = Plan(), Plan(scale=0.2, days=60)

    assert (full.sellers, full.newcomers, full.buyers, full.anchors) == (100, 20, 300, 15)
    assert (full.orders_a_day, full.top, full.attack_day, full.exit_day) == (150, 10, 30, 70)
    assert (small.sellers, small.newcomers, small.buyers, small.anchors) == (20, 4, 60, 5)
    assert (small.orders_a_day, small.top, small.attack_day, small.exit_day) == (30, 2, 15, 35)


def test_newcomers_enter_one_by_one_and_early_enough_to_be_known():
    plan = Plan()
    days = [plan.joining_day(number) for number in range(plan.newcomers)]

    assert days == sorted(set(days))
    assert (days[0], days[-1]) == (10, 86)


def played(attack: str, seed: int, **figures: float) -> Played:
    cell = Cell(attack=attack, algorithm=OWN, seed=seed, plan=Plan())
    known = dict.fromkeys(MEASURES, None) | figures
    return Played(
        cell=cell, figures=known, orders=10, refused={"limited": 2}, findings=[], days=[], ranks=[]
    )


def test_a_report_puts_the_seeds_of_a_cell_together():
    [row] = report(Plan(), [played("calm", 2, rho=0.9), played("calm", 1, rho=0.7)]).rows

    assert (row.attack, row.seeds, row.orders, row.refused) == ("calm", [1, 2], 20, {"limited": 4})
    assert row.figures["rho"] == Figure(0.8, round(12.706 * 0.1, 6), [0.7, 0.9])
    assert row.figures["victim"] is None


def test_expectations_are_judged_by_the_least_favourable_attack():
    found = report(
        Plan(),
        [
            played("sybil", 1, share=0.004, rho=0.85),
            played("collusion", 1, share=0.02, rho=0.79),
            played("exit", 1, failed=20.0),
        ],
    )

    judged = {one.title: one for one in judge(found)}

    assert [(one.is_met, one.found, one.attack) for one in judged.values()] == [
        (True, 0.004, "sybil"),
        (False, 0.79, "collusion"),
        (False, 20.0, "exit"),
    ]
