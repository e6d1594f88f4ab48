"""Rings, over buyers and sellers planted by hand."""

from typing import Any

import polars as pl
import pytest

from market.analytics import Facts, ring_accuracy, rings
from tests.planted import NOON, after, planted

SELLERS = ("hollow", "shell", "steady", "fine")
FANS = [f"fan-{number}" for number in range(1, 5)]


def looks(buyer: str, shown: tuple[str, ...], *looked: str) -> list[dict]:
    """A buyer that was shown some sellers and read about some of them."""
    kinds = [
        *[("finding.listed", one) for one in shown],
        *[("evaluating.read", one) for one in looked],
    ]
    return [
        {"session_id": f"ses-{buyer}", "offset": offset, "place": 1, "kind": kind,
         "seller_id": seller, "service_id": f"svc-{seller}"}
        for offset, (kind, seller) in enumerate(kinds)
    ]  # fmt: skip


def review(buyer: str, seller: str, seconds: float, verdict: str = "good") -> dict:
    return {
        "review_id": f"{buyer}-{seller}-{seconds}", "buyer_id": buyer, "seller_id": seller,
        "verdict": verdict, "posted_at": after(seconds),
    }  # fmt: skip


def market(
    sightings: list[dict], reviews: list[dict], recommendations: list[dict] | None = None
) -> Facts:
    buyers = sorted({one["session_id"].removeprefix("ses-") for one in sightings})
    return planted(
        sightings=sightings,
        reviews=reviews,
        recommendations=recommendations or [],
        sessions=[{"session_id": f"ses-{buyer}", "buyer_id": buyer} for buyer in buyers],
        services=[{"service_id": f"svc-{one}", "seller_id": one} for one in SELLERS],
        agents=[
            {"agent_id": name, "handle": f"{name}-handle", "registered_at": NOON}
            for name in (*SELLERS, *buyers)
        ],
        events=[
            {"session_id": "first", "offset": 0, "recorded_at": NOON},
            {"session_id": "last", "offset": 0, "recorded_at": after(100)},
        ],
    )


FANS_LOOK = [one for fan in FANS for one in looks(fan, SELLERS, "hollow")]
FANS_PRAISE = [
    review(fan, "hollow", seconds) for fan, seconds in zip(FANS, (50, 51, 52, 90), strict=True)
]
HONEST = [
    one
    for name in ("ann", "bob", "cid")
    for one in looks(name, SELLERS, "steady", "fine", "hollow")
]
HONEST_PRAISE = [review(name, "steady", 40) for name in ("ann", "bob", "cid")]
TRUTH = pl.DataFrame(
    {
        "agent_id": [*FANS, "fan-9", "hollow", "steady"],
        "kind": ["buyer"] * 5 + ["seller"] * 2,
        "ring": ["hollow"] * 6 + [None],
    }
)


def test_buyers_who_looked_at_one_seller_only_and_praised_it_are_a_ring_with_it():
    found = rings(market([*FANS_LOOK, *HONEST], [*FANS_PRAISE, *HONEST_PRAISE])).rows(named=True)

    assert found == [
        {
            "ring": 1, "sellers": ["hollow-handle"], "seller_ids": ["hollow"],
            "buyer_ids": FANS, "members": 5, "praise": 4, "praise_share": 1.0,
            "praise_per_buyer": 1.0, "choice_share": 1.0,
            # Three of four within ten of a hundred seconds.
            "burst_share": 0.75, "age_seconds": 51.5, "true_members": None, "precision": None,
        }
    ]  # fmt: skip


def test_one_that_looked_around_is_in_no_ring_even_if_it_praises_the_same():
    also = [review(name, "hollow", 60) for name in ("ann", "bob")]

    [ring] = rings(market([*FANS_LOOK, *HONEST], [*FANS_PRAISE, *also])).rows(named=True)

    assert ring["buyer_ids"] == FANS
    assert (ring["praise"], ring["praise_share"]) == (4, 4 / 6)


def test_a_seller_that_mostly_others_praise_does_not_lean_on_closed_buyers():
    others = [review(name, "hollow", 60 + n) for name in ("ann", "bob") for n in range(3)]

    assert rings(market([*FANS_LOOK, *HONEST], [*FANS_PRAISE, *others])).is_empty()


def test_one_that_blames_is_not_in_a_ring():
    bad = review("fan-4", "hollow", 95, "bad")

    [ring] = rings(market(FANS_LOOK, [*FANS_PRAISE, bad])).rows(named=True)

    assert ring["buyer_ids"] == FANS[:3]


@pytest.mark.parametrize(("least_buyers", "rings_found"), [(4, 1), (5, 0)])
def test_a_ring_has_at_least_so_many_buyers(least_buyers: int, rings_found: int):
    facts = market(FANS_LOOK, FANS_PRAISE)

    assert rings(facts, least_buyers=least_buyers).height == rings_found


def test_sellers_that_share_closed_buyers_are_one_ring():
    looked = [one for fan in FANS for one in looks(fan, SELLERS, "hollow", "shell")]
    praise = [review(fan, seller, 9) for fan in FANS for seller in ("hollow", "shell")]

    [ring] = rings(market(looked, praise)).rows(named=True)

    assert ring["seller_ids"] == ["hollow", "shell"]
    assert (ring["members"], ring["praise_per_buyer"]) == (6, 2.0)


def test_buyers_who_saw_nobody_else_had_no_choice():
    looked = [one for fan in FANS for one in looks(fan, ("hollow",), "hollow")]

    [ring] = rings(market(looked, FANS_PRAISE)).rows(named=True)

    assert ring["choice_share"] == 0.0


def test_closed_buyers_that_recommend_in_a_circle_are_a_ring_of_their_own():
    """Their seller is praised by many others, so it does not lean on them."""
    circle: list[dict[str, Any]] = [
        {"recommendation_id": f"r-{one}", "from_id": one, "recipient_id": other}
        for one, other in zip(FANS, [*FANS[1:], FANS[0]], strict=True)
    ]
    others = [review(name, "hollow", 60 + n) for name in ("ann", "bob") for n in range(5)]

    [ring] = rings(market([*FANS_LOOK, *HONEST], [*FANS_PRAISE, *others], circle)).rows(named=True)

    assert (ring["buyer_ids"], ring["seller_ids"]) == (FANS, [])
    assert (ring["praise"], ring["praise_share"]) == (0, None)


def test_the_truth_tells_how_many_members_are_true_and_what_was_missed():
    facts = market([*FANS_LOOK, *HONEST], [*FANS_PRAISE, *HONEST_PRAISE])

    found = rings(facts, truth=TRUTH)

    assert found.select("true_members", "precision").rows() == [(5, 1.0)]
    accuracy = ring_accuracy(found, TRUTH)
    columns = ("kind", "named", "true", "hits", "precision", "recall")
    assert accuracy.select(columns).rows() == [
        ("all", 5, 6, 5, 1.0, 5 / 6),
        ("buyer", 4, 5, 4, 1.0, 0.8),
        ("seller", 1, 1, 1, 1.0, 1.0),
    ]
    assert accuracy["recall_low"][1] == pytest.approx(0.3755, abs=1e-4)


def test_where_nothing_was_found_there_is_no_precision_but_a_recall_of_0():
    accuracy = ring_accuracy(rings(planted()), TRUTH).row(0, named=True)

    assert (accuracy["precision"], accuracy["recall"]) == (None, 0.0)
