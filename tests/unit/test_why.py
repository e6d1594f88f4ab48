"""Why sales were lost: re-scoring, the fate of a seller in a journey, and the words for it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.analytics import Facts, UnknownSeller, losses, why
from market.analytics.fates import Basis, Fate, Loss, fate_of
from market.analytics.journeys import Decided, Journey, Option, Ordered, Part, Sighted
from market.analytics.remedies import best_offer, remedy
from market.analytics.rescoring import CannotRescore, Weighed, price_rule, winning_price
from market.protocol.events import STAGES, Stage
from tests.planted import NOON, after, planted

MINE = {"mine"}


# Re-scoring


def scored(amounts: dict[str, int], merits: dict[str, float]) -> dict[str, Weighed]:
    """What a buyer records that weighs the price by 0.35 and the rest by merit."""
    lowest = min(amounts.values())
    offers = {}
    for name, amount in amounts.items():
        parts = {"merit": round(merits[name], 6), "price": round(0.35 * lowest / amount, 6)}
        score = round(merits[name] + 0.35 * lowest / amount, 6)
        offers[name] = Weighed(name, amount, score, parts)
    return offers


def ranks_first(amounts: dict[str, int], merits: dict[str, float]) -> bool:
    lowest = min(amounts.values())
    scores = {name: merits[name] + 0.35 * lowest / amounts[name] for name in amounts}
    return all(scores["mine"] > scores[name] for name in scores if name != "mine")


def answer(amounts: dict[str, int], merits: dict[str, float]) -> int | None:
    offers = scored(amounts, merits)
    own = offers.pop("mine")
    rivals = list(offers.values())
    return winning_price(own, rivals, price_rule(own, rivals))


def test_the_price_that_would_have_won_is_found():
    amounts, merits = {"mine": 400_000, "rival": 300_000}, {"mine": 0.5, "rival": 0.5}

    found = answer(amounts, merits)

    assert found is not None
    assert 299_000 < found < 300_000


def test_better_merit_wins_at_a_higher_price_than_the_rivals():
    amounts, merits = {"mine": 900_000, "rival": 300_000}, {"mine": 0.55, "rival": 0.5}

    found = answer(amounts, merits)

    assert found is not None
    assert 300_000 < found < 900_000


def test_worse_merit_wins_only_as_the_cheapest():
    amounts, merits = {"mine": 900_000, "rival": 300_000}, {"mine": 0.4, "rival": 0.5}

    found = answer(amounts, merits)

    assert found is not None
    assert found == pytest.approx(300_000 * (0.35 - 0.1) / 0.35, rel=1e-4)


def test_no_price_makes_up_for_too_little_merit():
    assert answer({"mine": 900_000, "rival": 300_000}, {"mine": 0.1, "rival": 0.5}) is None


@given(
    own=st.integers(100_000, 5_000_000),
    others=st.lists(st.integers(100_000, 5_000_000), min_size=1, max_size=4, unique=True),
    merits=st.lists(st.integers(0, 650), min_size=5, max_size=5),
)
def test_at_the_price_found_it_wins_and_above_it_does_not(own, others, merits):
    names = ["mine", *[f"rival-{n}" for n in range(len(others))]]
    amounts = dict(zip(names, [own, *others], strict=True))
    worth = {name: merit / 1_000 for name, merit in zip(names, merits, strict=False)}
    if len(set(amounts.values())) == 1 or ranks_first(amounts, worth):
        return

    found = answer(amounts, worth)

    if found is None:
        assert not ranks_first(amounts | {"mine": 1}, worth)
    else:
        assert ranks_first(amounts | {"mine": found}, worth)
        above = int(found * 1.01) + 2
        assert above > own or not ranks_first(amounts | {"mine": above}, worth)


def test_more_places_are_won_at_a_higher_price():
    amounts = {"mine": 900_000, "one": 300_000, "two": 400_000}
    offers = scored(amounts, dict.fromkeys(amounts, 0.5))
    own = offers.pop("mine")
    rivals = list(offers.values())
    rule = price_rule(own, rivals)

    first = winning_price(own, rivals, rule)
    second = winning_price(own, rivals, rule, places=2)

    assert first is not None
    assert second is not None
    assert first < 300_000 <= second < 400_000


@pytest.mark.parametrize(
    ("own", "rival"),
    [
        (Weighed("mine", 4, 0.5, {"trust": 0.5}), Weighed("b", 2, 0.7, {"price": 0.7})),
        (Weighed("mine", 4, 0.5, {"price": 0.4}), Weighed("b", 2, 0.8, {"price": 0.8})),
        (Weighed("mine", 4, 0.5, {"price": 0.5}), Weighed("b", 2, 0.6, {"price": 0.6})),
        (Weighed("mine", 4, 0.5, {"price": 0.5}), Weighed("b", 4, 0.5, {"price": 0.5})),
        (Weighed("mine", 4, 0.0, {"price": 0.0}), Weighed("b", 2, 0.0, {"price": 0.0})),
    ],
    ids=["no price part", "parts do not add up", "another rule", "one price", "no weight"],
)
def test_where_the_parts_do_not_tell_nothing_is_claimed(own: Weighed, rival: Weighed):
    with pytest.raises(CannotRescore):
        price_rule(own, [rival])


# Fates


def option(service_id: str, amount_minor: int | None = 400_000, **more: Any) -> Option:
    parts = more.pop("parts", {})
    values = {
        "slug": f"{service_id}-slug",
        "score": sum(parts.values()),
        "reason": None,
        "limit_minor": None,
        **more,
    }
    return Option(
        service_id=service_id,
        amount_minor=amount_minor,
        parts=[Part(name, value) for name, value in parts.items()],
        **values,
    )


def decided(stage: Stage, service_id: str | None = None, *options: Option, **more: Any) -> Decided:
    values = {"outcome": "advance", "reason": None, "detail": "said", "currency": "XTS", **more}
    return Decided(stage=stage, service_id=service_id, alternatives=list(options), **values)


def sighted(service_id: str, kind: str, trust: float | None = None) -> Sighted:
    return Sighted(
        kind=kind, service_id=service_id, slug=service_id, amount_minor=400_000, trust=trust
    )


def ordered(service_id: str, state: str) -> Ordered:
    return Ordered(
        service_id=service_id,
        slug=f"{service_id}-slug",
        state=state,
        amount_minor=400_000,
        currency="XTS",
    )


def journey(**more: Any) -> Journey:
    values = {
        "session_id": "ses",
        "buyer_id": "buyer",
        "is_closed": False,
        "left_stage": None,
        "left_reason": None,
        "decisions": [],
        "sightings": [sighted("mine", "finding.listed")],
        "orders": [],
        **more,
    }
    return Journey(**values)


def lost(fate: Fate) -> Loss:
    assert isinstance(fate, Loss), fate
    return fate


def test_a_settled_order_is_won():
    assert fate_of(journey(orders=[ordered("mine", "settled")]), MINE) == "won"


@pytest.mark.parametrize("state", ["awaiting_approval", "placed", "started", "delivered"])
def test_an_order_under_way_is_open(state: str):
    assert fate_of(journey(orders=[ordered("mine", state)]), MINE) == "open"


def test_a_journey_that_may_still_choose_is_open():
    weighed = [option("rival"), option("mine")]
    so_far = [
        decided("finding", None, *weighed),
        decided("evaluating", "rival", *weighed),
    ]

    assert fate_of(journey(decisions=so_far[:1]), MINE) == "open"
    assert fate_of(journey(decisions=so_far), MINE) == "open"


def test_what_was_listed_and_never_looked_at_is_lost_while_finding():
    decisions = [
        decided("finding", None, option("rival"), option("mine")),
        decided("evaluating", "rival", option("rival")),
    ]

    loss = lost(fate_of(journey(decisions=decisions), MINE))

    assert (loss.stage, loss.reason, loss.to_slug) == ("finding", None, "rival-slug")
    assert (loss.amount_minor, loss.currency) == (400_000, "XTS")


def test_a_price_above_the_limit_is_lost_at_the_limit():
    too_dear = option("mine", 600_000, reason="price", limit_minor=350_000)
    decisions = [decided("evaluating", "mine", too_dear, outcome="leave", reason="price")]

    loss = lost(fate_of(journey(decisions=decisions), MINE))

    assert (loss.stage, loss.reason, loss.detail) == ("evaluating", "price", "said")
    assert (loss.winning_minor, loss.basis) == (350_000, "limit")
    assert loss.to_service_id is None


def weighed_below(rule: float = 0.35) -> list[Decided]:
    """The rival has the same merit and a price of 0.30 against 0.40."""
    rival = option("rival", 300_000, parts={"merit": 0.5, "price": 0.35})
    own = option("mine", 400_000, parts={"merit": 0.5, "price": rule * 300_000 / 400_000})
    return [
        decided("evaluating", "rival", rival, own),
        decided("trust_checking", "rival", rival),
    ]


def test_one_that_was_ranked_lower_is_re_scored():
    loss = lost(fate_of(journey(decisions=weighed_below()), MINE))

    assert (loss.stage, loss.reason, loss.to_slug) == ("evaluating", None, "rival-slug")
    assert loss.basis == "rescored"
    assert loss.winning_minor is not None
    assert 299_000 < loss.winning_minor < 300_000


def test_without_a_rule_the_gap_to_the_rival_is_told():
    loss = lost(fate_of(journey(decisions=weighed_below(rule=0.2)), MINE))

    assert (loss.winning_minor, loss.basis) == (300_000, "gap")


def test_one_that_does_not_fit_is_not_promised_a_price():
    decisions = [
        decided("evaluating", "rival", option("rival", 300_000), option("mine", reason="latency")),
        decided("trust_checking", "rival"),
    ]

    loss = lost(fate_of(journey(decisions=decisions), MINE))

    assert (loss.reason, loss.winning_minor, loss.basis) == ("latency", None, None)


def test_one_that_ranked_higher_and_was_passed_over_has_its_reason_in_the_detail():
    rival = option("rival", 300_000, parts={"merit": 0.1, "price": 0.35})
    own = option("mine", 400_000, parts={"merit": 0.5, "price": 0.2625})
    decisions = [
        decided("evaluating", "rival", rival, own, detail="mine: no tables"),
        decided("trust_checking", "rival", rival),
    ]

    loss = lost(fate_of(journey(decisions=decisions), MINE))

    assert (loss.reason, loss.detail) == ("other", "mine: no tables")
    assert (loss.winning_minor, loss.basis) == (None, None)


def test_one_that_is_not_trusted_is_lost_there_with_both_scores():
    decisions = [
        decided("evaluating", "mine", option("mine"), option("rival")),
        decided("trust_checking", "rival", option("mine", reason="reputation"), option("rival")),
    ]
    sightings = [sighted("mine", "trust.reported", 0.2), sighted("rival", "trust.reported", 0.6)]

    loss = lost(fate_of(journey(decisions=decisions, sightings=sightings), MINE))

    assert (loss.stage, loss.reason, loss.to_slug) == ("trust_checking", "reputation", "rival-slug")
    assert (loss.trust, loss.to_trust) == (0.2, 0.6)


def test_one_that_was_chosen_and_not_paid_is_lost_while_transacting():
    decisions = [
        decided("trust_checking", "mine", option("mine")),
        decided("transacting", "mine", option("mine"), outcome="leave", reason="mandate"),
    ]

    loss = lost(fate_of(journey(decisions=decisions), MINE))

    assert (loss.stage, loss.reason, loss.to_slug) == ("transacting", "mandate", None)


def test_a_failed_order_is_lost_while_using():
    decisions = [decided("using", "mine", option("mine"), outcome="leave", reason="timeout")]
    broken = journey(
        decisions=decisions,
        orders=[ordered("mine", "failed")],
        left_stage="using",
        left_reason="timeout",
    )

    loss = lost(fate_of(broken, MINE))

    assert (loss.stage, loss.reason, loss.detail) == ("using", "timeout", "said")


def test_a_failed_order_whose_buyer_went_elsewhere_is_lost_to_that_one():
    both = [ordered("mine", "failed"), ordered("rival", "settled")]

    loss = lost(fate_of(journey(orders=both), MINE))

    assert (loss.stage, loss.reason, loss.to_slug) == ("using", "delivery_failed", "rival-slug")


def test_a_paid_order_that_was_not_good_enough_is_lost():
    decisions = [decided("using", "mine", option("mine"), outcome="leave", reason="quality")]
    poor = journey(
        decisions=decisions,
        orders=[ordered("mine", "settled")],
        left_stage="using",
        left_reason="quality",
    )

    assert lost(fate_of(poor, MINE)).reason == "quality"


def test_a_journey_closed_without_a_word_is_lost_where_it_stood():
    loss = lost(fate_of(journey(is_closed=True), MINE))

    assert (loss.stage, loss.reason, loss.amount_minor) == ("finding", None, 400_000)


def test_a_buyer_that_records_nothing_and_buys_elsewhere_is_lost_to_that_one():
    sightings = [sighted("mine", "finding.listed"), sighted("mine", "evaluating.quoted")]
    silent = journey(sightings=sightings, orders=[ordered("rival", "settled")])

    loss = lost(fate_of(silent, MINE))

    assert (loss.stage, loss.to_slug, loss.amount_minor) == ("evaluating", "rival-slug", 400_000)


def test_an_order_that_was_paid_is_told_with_what_was_paid():
    """What came was not good enough: the money is gone, and nothing is at stake any more."""
    paid = [
        Ordered(service_id="mine", slug="mine-slug", state="settled", amount_minor=400_000,
                currency="XTS", captured_minor=400_000, refunded_minor=refunded_minor)
        for refunded_minor in (0, 150_000)
    ]  # fmt: skip
    decisions = [decided("using", "mine", option("mine"), outcome="leave", reason="quality")]

    found = [
        lost(
            fate_of(
                journey(
                    decisions=decisions, orders=[one], left_stage="using", left_reason="quality"
                ),
                MINE,
            )
        )
        for one in paid
    ]

    assert [one.paid_minor for one in found] == [400_000, 250_000]
    assert remedy(found) == "quality (2, paid): said"
    assert (
        remedy([*found, losing(None, None, reason="quality", cause="quality", detail="said")])
        == "quality (3, 2 of them paid): said"
    )


# Gates of the market

CAPPED = (
    "409 The order is larger than the seller may get now: This seller may get orders of up to"
    " {} XTS now. Order less at a time, or choose another."
)
FROZEN = (
    "409 The seller is frozen, and has as many orders as it may: This seller is frozen: it has 3"
    " orders at a time, until they end well."
)


@pytest.mark.parametrize(
    ("words", "cause"),
    [(CAPPED.format("0.03"), "order_cap_exceeded"), (FROZEN, "seller_frozen")],
)
def test_a_gate_of_the_market_is_a_cause_of_its_own(words: str, cause: str):
    decisions = [
        decided("evaluating", "rival", option("rival"), option("mine", reason="other"),
                detail=f"1 fits. odd-slug: other: what. mine-slug: other: {words}. z-slug: price"),
        decided("trust_checking", "rival", option("rival")),
    ]  # fmt: skip
    refused = [
        decided("trust_checking", "mine", option("mine")),
        decided("transacting", "mine", option("mine"), outcome="leave", reason="other",
                detail=words),
    ]  # fmt: skip

    for one in (decisions, refused):
        loss = lost(fate_of(journey(decisions=one), MINE))
        assert (loss.reason, loss.cause) == ("other", cause)


def test_a_gate_that_another_seller_met_is_none_of_this_one():
    decisions = [
        decided("evaluating", "rival", option("mine", parts={"price": 2.0}), option("rival"),
                detail=f"2 fit. odd-slug: other: {CAPPED.format('0.03')}."),
        decided("trust_checking", "rival", option("rival")),
    ]  # fmt: skip

    assert lost(fate_of(journey(decisions=decisions), MINE)).cause == "other"


def test_what_would_have_opened_a_gate_is_told_with_its_number():
    capped = [
        losing(None, None, reason="other", cause="order_cap_exceeded", detail=CAPPED.format(cap))
        for cap in ("0.03", "0.03", "0.1")
    ]
    frozen = losing(None, None, reason="other", cause="seller_frozen", detail=FROZEN)

    assert remedy(capped) == (
        "3 wanted a larger order than the market let it have then, 0.03 to 0.1 XTS: smaller orders,"
        " or more sales first, as that grows with them"
    )
    assert "1 found it frozen for its failures: until 3 small orders in a row" in remedy([frozen])


# Causes


@pytest.mark.parametrize(
    ("own", "rival", "cause"),
    [
        ({"price": 0.2, "trust": 0.1}, {"price": 0.35, "trust": 0.2}, "price"),
        ({"price": 0.3, "trust": 0.1}, {"price": 0.35, "trust": 0.2}, "reputation"),
        ({"price": 0.3, "fit": 0.1}, {"price": 0.3, "fit": 0.2}, "fit"),
        # A part that only the other has counts as well.
        ({"price": 0.3}, {"price": 0.3, "loyalty": 0.5}, "loyalty"),
        ({}, {}, "price"),
    ],
    ids=["price", "trust", "fit", "loyalty", "no parts"],
)
def test_the_part_by_which_it_fell_behind_most_is_the_cause(own, rival, cause: str):
    decisions = [
        decided("evaluating", "rival", option("rival", 300_000, parts=rival),
                option("mine", parts=own)),
        decided("trust_checking", "rival"),
    ]  # fmt: skip

    assert lost(fate_of(journey(decisions=decisions), MINE)).cause == cause


def test_while_finding_it_is_held_against_the_last_that_was_looked_at():
    weighed = [
        option("first", parts={"price": 0.9, "trust": 0.5}),
        option("second", parts={"price": 0.3, "trust": 0.4}),
        option("mine", parts={"price": 0.3, "trust": 0.1}),
    ]
    sightings = [
        sighted(name, kind)
        for name, kind in [("mine", "finding.listed"), ("first", "evaluating.read"),
                           ("second", "evaluating.read")]
    ]  # fmt: skip
    decisions = [
        decided("finding", None, *weighed),
        decided("evaluating", "first", *weighed[:2]),
    ]

    loss = lost(fate_of(journey(decisions=decisions, sightings=sightings), MINE))

    assert (loss.stage, loss.cause) == ("finding", "reputation")


def test_a_reason_that_was_given_is_the_cause_whatever_the_scores_say():
    own = option("mine", parts={"price": 0.1}, reason="latency")
    decisions = [
        decided("evaluating", "rival", option("rival", parts={"price": 0.9}), own),
        decided("trust_checking", "rival"),
    ]

    assert lost(fate_of(journey(decisions=decisions), MINE)).cause == "latency"


def test_who_goes_without_a_word_leaves_no_cause():
    assert lost(fate_of(journey(is_closed=True), MINE)).cause == "unsaid"


def test_what_lost_most_journeys_is_named_first():
    found = why(facts(), "acme-works")

    assert [(one.cause, one.journeys, one.at_stake_minor) for one in found.causes] == [
        ("price", 2, {"XTS": 800_000}),
        ("reputation", 1, {"XTS": 400_000}),
        ("delivery_failed", 1, {"XTS": 400_000}),
    ]


# The offer that brings most, and the words


def losing(winning_minor: int | None, basis: Basis | None, **more: Any) -> Loss:
    values: dict[str, Any] = {
        "session_id": "ses", "buyer_id": "buyer", "stage": "evaluating", "reason": None,
        "to_service_id": "rival", "to_slug": "rival", "amount_minor": 400_000, "currency": "XTS",
        "trust": None, "to_trust": None, "detail": "",
    } | more  # fmt: skip
    return Loss(winning_minor=winning_minor, basis=basis, **values)


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ([losing(350_000, "limit")], "price 0.40; 1 would pay 0.35 or less"),
        (
            [losing(300_000, "rescored"), losing(100_000, "rescored")],
            "price 0.40; 1 would have preferred it at 0.30 or less",
        ),
        (
            [losing(300_000, "rescored", stage="finding")],
            "price 0.40; 1 would have looked closer at 0.30 or less",
        ),
        ([losing(390_000, "gap")], "price 0.40; 1 went where it cost 0.39 or less"),
        (
            [losing(300_000, "limit"), losing(140_000, "limit", amount_minor=200_000)],
            "2 would pay 30 % less",
        ),
        (
            [losing(None, None, stage="trust_checking", trust=0.2)],
            "trust 0.20 is not enough",
        ),
        ([losing(None, None)], "1 ranked it lower, and not for its price"),
        (
            [losing(None, None, reason="latency")],
            "latency (1): the promised latency is above the limit",
        ),
        (
            [losing(None, None, reason="quality", detail="word " * 30)],
            f"quality (1): {('word ' * 30)[:79].rstrip()}…",
        ),
        (
            [losing(None, None), losing(None, None), losing(None, None, reason="policy")],
            "2 ranked it lower, and not for its price; policy (1): the seller's terms (refund, "
            "retention, data use) are not acceptable",
        ),
        (
            [losing(350_000, "limit"), losing(300_000, "rescored")],
            "price 0.40; 1 would pay 0.35 or less; 1 would have preferred it at 0.30 or less",
        ),
        (
            [losing(300_000, "rescored", cause="reputation")],
            "1 ranked it lower for its reputation (price 0.40; 1 would have preferred it at 0.30 or"
            " less)",
        ),
        (
            [losing(None, None, cause="fit"), losing(None, None, cause="unsaid")],
            "1 ranked it lower for its fit; 1 did not say why",
        ),
        (
            [
                losing(350_000, "limit"),
                losing(None, None, reason="latency"),
                losing(None, None, reason="latency"),
            ],
            "latency (2): the promised latency is above the limit; price 0.40; 1 would pay 0.35 or"
            " less",
        ),
        (
            [losing(350_000, "limit"), losing(None, None)],
            "price 0.40; 1 would pay 0.35 or less; 1 ranked it lower, and not for its price",
        ),
    ],
)
def test_what_would_have_changed_it_is_said_in_words(lost: list[Loss], words: str):
    assert remedy(lost) == words


def test_a_currency_of_unknown_decimals_is_told_in_minor_units():
    foreign = losing(350_000, "limit", currency="CHF")

    found = remedy([foreign])

    assert found == "price 400000 CHF (minor units); 1 would pay 350000 CHF (minor units) or less"


def test_the_best_lower_price_weighs_how_many_come_back():
    best = best_offer([(40, 39), (40, 30), (40, 30), (40, 1)])

    assert (best.share, best.sales) == (30 / 40, 3)


def facts() -> Facts:
    """acme-pdf at 0.40 in five journeys: one bought, two limits, one distrusted, one failed."""

    def stage_rows(session: str, last: int, outcome: str, reason: str | None) -> list[dict]:
        return [
            {
                "session_id": session,
                "stage": name,
                "outcome": "passed" if number < last else outcome,
                "reason": reason if number == last else None,
            }
            for number, name in enumerate(STAGES[: last + 1])
        ]

    def weighed(service: str, **more: Any) -> dict[str, Any]:
        base = {"service_id": service, "slug": f"{service}-pdf", "amount_minor": 400_000}
        return {**base, "score": 0.0, "parts": [], "reason": None, "limit_minor": None, **more}

    def decision(session: str, name: str, service: str | None, *alternatives, **more: Any) -> dict:
        base = {"session_id": session, "offset": STAGES.index(name), "made_at": NOON}
        said = {"outcome": "advance", "detail": "", "currency": "XTS", "stage": name}
        told = {"service_id": service, "alternatives": list(alternatives)}
        return {**base, **said, **told, **more}

    def limited(session: str, limit_minor: int) -> dict:
        own = weighed("acme", reason="price", limit_minor=limit_minor)
        return decision(session, "evaluating", "cheap", weighed("cheap", amount_minor=300_000), own)

    def order(session: str, service: str, state: str) -> dict:
        return {
            "order_id": f"ord-{session}", "session_id": session, "service_id": service,
            "slug": f"{service}-pdf", "state": state, "amount_minor": 400_000, "currency": "XTS",
            "captured_minor": 0, "refunded_minor": 0,
        }  # fmt: skip

    distrusted = decision(
        "d", "trust_checking", "cheap", weighed("acme", reason="reputation"), weighed("cheap")
    )
    failed = decision(
        "e", "using", "acme", weighed("acme"), outcome="leave", reason="delivery_failed",
        detail="chunk hash mismatch",
    )  # fmt: skip
    return planted(
        services=[
            {
                "service_id": name, "slug": f"{name}-pdf", "seller_id": f"agent-{name}",
                "seller_handle": f"{name}-works",
            }
            for name in ("acme", "cheap")
        ],
        sessions=[
            {"session_id": session, "buyer_id": f"buyer-{session}", "opened_at": NOON,
             "closed_at": after(9)}
            for session in "abcdef"
        ],
        stages=[
            *stage_rows("a", 5, "passed", None),
            *stage_rows("e", 4, "left", "delivery_failed"),
        ],
        decisions=[limited("b", 350_000), limited("c", 360_000), distrusted, failed],
        sightings=[
            *[
                {"session_id": session, "offset": 1, "kind": "finding.listed", "place": 1,
                 "service_id": "acme", "slug": "acme-pdf", "amount_minor": 400_000}
                for session in "abcde"
            ],
            {"session_id": "d", "offset": 2, "kind": "trust.reported", "place": 1,
             "service_id": "acme", "slug": "acme-pdf", "trust": 0.21},
            {"session_id": "d", "offset": 3, "kind": "trust.reported", "place": 1,
             "service_id": "cheap", "slug": "cheap-pdf", "trust": 0.63},
        ],
        orders=[
            order("a", "acme", "settled"),
            order("b", "cheap", "settled"),
            order("c", "cheap", "settled"),
            order("d", "cheap", "settled"),
            order("e", "acme", "failed"),
        ],
    )  # fmt: skip


TABLE = """\
acme-works was seen in 5 journeys; 1 finished (20%).
  lost for         journeys  at stake  what would have changed it
  price                   2  0.80 XTS  price 0.40; 2 would pay 0.35 or less
  reputation              1  0.40 XTS  trust 0.21; those taken show 0.63
  delivery_failed         1  0.40 XTS  delivery_failed (1): chunk hash mismatch

  lost at         journeys  to whom        what would have changed it
  Evaluating             2  cheap-pdf (2)  price 0.40; 2 would pay 0.35 or less
  Trust-checking         1  cheap-pdf (1)  trust 0.21; those taken show 0.63
  Using                  1  -              delivery_failed (1): chunk hash mismatch"""


def test_the_whole_answer_reads_as_a_table():
    found = why(facts(), "acme-works")

    assert (found.seen, found.won, found.open, found.lost) == (5, 1, 0, 4)
    assert str(found) == TABLE


@pytest.mark.parametrize("name", ["acme-pdf", "acme", "agent-acme", "acme-works"])
def test_a_seller_goes_by_handle_and_id_and_its_service_by_slug_and_id(name: str):
    assert why(facts(), name).lost == 4


def test_no_line_of_a_table_is_longer_than_a_screen():
    long = why(facts(), "acme-works")
    words = "; ".join(["2 would pay 0.35 or less and not a single unit more than that"] * 6)
    stages = [msgspec.structs.replace(one, change=words) for one in long.stages]

    lines = str(msgspec.structs.replace(long, stages=stages)).splitlines()

    assert max(map(len, lines)) < 160
    assert " ".join(" ".join(lines).split()).count(words) == len(stages)


def test_a_seller_that_lost_nothing_has_no_table():
    only_bought = planted(
        services=[{"service_id": "s", "slug": "solo", "seller_id": "x", "seller_handle": "x"}]
    )

    assert str(why(only_bought, "solo")) == "solo was seen in 0 journeys; 0 finished."


def test_an_unknown_seller_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownSeller, match="Did you mean 'acme-pdf'"):
        why(facts(), "acme-pfd")


def test_losses_are_a_frame_with_a_row_for_each():
    found = losses(facts(), "acme-pdf")

    assert found["session_id"].to_list() == ["b", "c", "d", "e"]
    assert found["winning_minor"].to_list() == [350_000, 360_000, None, None]
    assert found["to_slug"].to_list() == ["cheap-pdf"] * 3 + [None]
