"""The rule ``anchored-1`` in plain Python, fact by fact: what the market must agree with.

It shares nothing with the market but the arithmetic of ``scoring``: no frames, no batches kept.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from market.trust.scoring import (
    COUNTER,
    DAY_MICROS,
    MICRO,
    Evidence,
    Outcome,
    Standing,
    aged,
    halved,
    heard,
    order_weight,
    parted,
    rounded,
    shares,
    voice,
    voice_weight,
)

ENDINGS = ("order.settled", "order.failed", "order.cancelled")
STEP = MICRO // 20


class Fact(NamedTuple):
    number: int
    subject_id: str
    kind: str
    version: int
    seller_id: str
    buyer_id: str | None
    amount_minor: int | None
    currency: str | None
    is_on_time: int | None
    is_own: int
    recorded_at: int


class Weighed(NamedTuple):
    vouched: int
    crowd: int
    calibration: int


class Found(NamedTuple):
    typical: dict[str, int]
    buyers: dict[str, Weighed]
    pairs: dict[tuple[str, str], tuple[int, int, int]]
    standings: dict[str, Standing]


def found_by(facts: Iterable[Fact], day: int, last_fact: int, anchors: Iterable[str]) -> Found:
    """Everything that these facts amount to under a batch."""
    facts = sorted(facts)
    own = {fact.subject_id for fact in facts if fact.is_own}
    facts = [fact for fact in facts if fact.subject_id not in own]
    known = [fact for fact in facts if fact.number <= last_fact]
    typical = typical_prices(known, day, set(anchors))
    then, now = by_order(known), by_order(facts)
    buyers = weigh(then, typical, day, set(anchors))
    pairs = pairs_of(now, typical, day)
    standings = standings_of(facts, now)
    for (seller, buyer), (_, good, bad) in pairs.items():
        weights = buyers.get(buyer, Weighed(0, MICRO, MICRO))
        spoken = voice(good, bad)
        add(
            standings[seller],
            vouched_good=parted(spoken.good_micro, weights.vouched),
            vouched_bad=parted(spoken.bad_micro, weights.vouched),
            crowd_good=parted(spoken.good_micro, weights.crowd),
            crowd_bad=parted(spoken.bad_micro, weights.crowd),
        )
    remember(standings, then, now, buyers, typical)
    return Found(
        typical, buyers, pairs, {seller: Standing(**sums) for seller, sums in standings.items()}
    )


def by_order(facts: list[Fact]) -> dict[str, list[Fact]]:
    orders = defaultdict(list)
    for fact in facts:
        if fact.buyer_id is not None:
            orders[fact.subject_id].append(fact)
    return orders


def outcome(facts: list[Fact]) -> Outcome:
    endings = [f for f in facts if f.kind in ENDINGS]
    refunds = sorted(
        (f for f in facts if f.kind == "order.refunded"), key=lambda f: (-f.version, f.number)
    )
    reviews = sorted(
        (f for f in facts if f.kind.startswith("review.")), key=lambda f: (-f.version, f.number)
    )
    place = (endings or facts)[0]
    return Outcome(
        ending=endings[0].kind.removeprefix("order.") if endings else "",
        amount_minor=(endings[0].amount_minor or 0) if endings else 0,
        day=place.recorded_at // DAY_MICROS,
        refunded_minor=(refunds[0].amount_minor or 0) if refunds else 0,
        verdict=reviews[0].kind.removeprefix("review.") if reviews else "",
    )


def currency_of(facts: list[Fact]) -> str | None:
    return next((fact.currency for fact in facts if fact.kind in ENDINGS), None)


def median(values: list[int]) -> int:
    return sorted(values)[(len(values) - 1) // 2]


def typical_prices(facts: list[Fact], day: int, anchors: set[str]) -> dict[str, int]:
    refunded = {f.subject_id for f in facts if f.kind == "order.refunded"}
    sold = [f for f in facts if f.kind == "order.settled" and (f.amount_minor or 0) > 0]
    sold = [f for f in sold if f.subject_id not in refunded]
    tried = defaultdict(set)
    for fact in sold:
        tried[fact.seller_id] |= {fact.buyer_id} & anchors
    sold = [f for f in sold if len(tried[f.seller_id]) > 2] or sold
    recent = [f for f in sold if f.recorded_at // DAY_MICROS > day - 30]
    sellers = defaultdict(list)
    for fact in recent or sold:
        sellers[fact.currency, fact.seller_id].append(fact.amount_minor)
    medians = defaultdict(list)
    for (currency, _), amounts in sellers.items():
        medians[currency].append(median(amounts))
    return {currency: median(values) for currency, values in medians.items()}


def weight_of(facts: list[Fact], typical: dict[str, int]) -> int:
    return order_weight(outcome(facts).amount_minor, typical.get(currency_of(facts)))


def evidence(facts: list[Fact], typical: dict[str, int], day: int) -> Evidence:
    said = outcome(facts)
    left = aged(weight_of(facts, typical), day=said.day, today=day)
    return Evidence(*(parted(left, share) for share in shares(said)))


def pair_of(facts: list[Fact]) -> tuple[str, str]:
    return facts[0].seller_id, facts[0].buyer_id


def pairs_of(
    orders: dict[str, list[Fact]], typical: dict[str, int], day: int
) -> dict[tuple[str, str], tuple[int, int, int]]:
    pairs = {}
    for facts in orders.values():
        good, bad = evidence(facts, typical, day)
        count, so_good, so_bad = pairs.get(pair_of(facts), (0, 0, 0))
        pairs[pair_of(facts)] = (count + len(facts), so_good + good, so_bad + bad)
    return pairs


def weigh(
    orders: dict[str, list[Fact]], typical: dict[str, int], day: int, anchors: set[str]
) -> dict[str, Weighed]:
    pairs = pairs_of(orders, typical, day)
    nets = defaultdict(list)
    for (seller, buyer), (_, good, bad) in pairs.items():
        if buyer in anchors:
            spoken = voice(good, bad)
            nets[seller].append(spoken.good_micro - spoken.bad_micro)
    vouched = {}
    for seller, net in nets.items():
        left = sum(sorted(net, reverse=True)[2:])
        if left > 0:
            vouched[seller] = rounded(1e6 * left / (left + 0.5 * MICRO))
    spent = defaultdict(int)
    for pair, amount in spending(orders, typical, day).items():
        spent[pair[1]] += parted(min(amount, 68 * MICRO), vouched.get(pair[0], 0))
    steps = {}
    for _, buyer in pairs:
        spend = spent[buyer] / MICRO
        steps[buyer] = 20 if buyer in anchors else int(spend * spend / (spend * spend + 1e4) * 20)
    calibration = calibrate(orders, typical, day, steps)
    weighed = {}
    for buyer, step in steps.items():
        cut = calibration.get(buyer, 20)
        own = step * cut // 20
        weighed[buyer] = Weighed(own * STEP, (cut - own) * STEP, cut * STEP)
    return weighed


def spending(
    orders: dict[str, list[Fact]], typical: dict[str, int], day: int
) -> dict[tuple[str, str], int]:
    spent = defaultdict(int)
    for facts in orders.values():
        said, price = outcome(facts), typical.get(currency_of(facts))
        if said.ending in ("settled", "cancelled") and price:
            units = rounded(min(1e7 * said.amount_minor / price, 68e6))
            clean = MICRO - shares(said._replace(ending="", verdict="")).bad_micro
            spent[pair_of(facts)] += parted(aged(units, day=said.day, today=day), clean)
    return spent


def calibrate(
    orders: dict[str, list[Fact]], typical: dict[str, int], day: int, steps: dict[str, int]
) -> dict[str, int]:
    said: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for facts in orders.values():
        what = outcome(facts)
        if what.ending in ("settled", "cancelled") and what.verdict:
            clean = MICRO - shares(what._replace(ending="", verdict="")).bad_micro
            left = aged(weight_of(facts, typical), day=what.day, today=day)
            said[pair_of(facts)][what.verdict == "bad"] += parted(left, clean)
    voices = {pair: voice(*sums) for pair, sums in said.items() if sum(sums)}
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for (seller, buyer), (good, bad) in voices.items():
        own = steps[buyer] * STEP
        parts = (parted(good, own), parted(good + bad, own),
                 parted(good, MICRO - own), parted(good + bad, MICRO - own))  # fmt: skip
        sums[seller] = [one + part for one, part in zip(sums[seller], parts, strict=True)]
    everyone = {}
    for seller, (own_good, own, crowd_good, crowd) in sums.items():
        share = MICRO * voice_weight(max(crowd, 1)) / max(crowd, 1)
        everyone[seller] = (
            share,
            own_good + int(share * crowd_good),
            own + int(share * crowd),
        )
    usual = (sum(good for _, good, _ in everyone.values()) + 1.5 * MICRO) / (
        sum(whole for _, _, whole in everyone.values()) + 3.0 * MICRO
    )
    told: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for (seller, buyer), (good, bad) in voices.items():
        share, all_good, everything = everyone[seller]
        own = steps[buyer] * STEP
        others_good = all_good - parted(good, own) - int(share * parted(good, MICRO - own))
        others = everything - parted(good + bad, own) - int(share * parted(good + bad, MICRO - own))
        others_good, others = max(others_good, 0), max(others, 0)
        expected = (others_good + 3.0 * MICRO * usual) / (others + 3.0 * MICRO)
        size = (good + bad) / MICRO
        apart = good / MICRO - size * expected
        spread = size * expected * (1.0 - expected) * (1.0 + size / (others / MICRO + 3.0))
        sign = 1 if apart >= 0 else -1
        told[buyer][0] += sign * rounded(abs(apart * 1e6))
        told[buyer][1] += rounded(apart * apart * 1e6)
        told[buyer][2] += rounded(max(spread, 0.0) * 1e6)
    found = {}
    for buyer, (apart, squares, spread) in told.items():
        sigma = spread / MICRO + 0.25
        lean, swing = (apart / MICRO) * (apart / MICRO) / sigma, (squares / MICRO) / sigma - 1.0
        found[buyer] = int(0.6 * 0.6 / max(lean, swing, 0.6 * 0.6) * 20)
    return found


def remember(
    standings: dict[str, dict[str, int]],
    then: dict[str, list[Fact]],
    now: dict[str, list[Fact]],
    buyers: dict[str, Weighed],
    typical: dict[str, int],
) -> None:
    for name in ("vouched", "crowd"):
        behind: dict[str, int] = defaultdict(int)
        in_place = sorted(then.values(), key=place_of, reverse=True)
        for facts in in_place:
            seller = facts[0].seller_id
            weight, good, bad = adds(facts, name, buyers, typical)
            left = halved(behind[seller] / MICRO / 3)
            add(
                standings[seller],
                **{f"last_{name}_good": rounded(good * left),
                   f"last_{name}_bad": rounded(bad * left)},
            )  # fmt: skip
            behind[seller] += weight
        for orders, sign in ((now, 1), (then, -1)):
            for facts in orders.values():
                weight, good, bad = adds(facts, name, buyers, typical)
                add(
                    standings[facts[0].seller_id],
                    **{f"since_{name}": sign * weight, f"since_{name}_good": sign * good,
                       f"since_{name}_bad": sign * bad},
                )  # fmt: skip


def place_of(facts: list[Fact]) -> int:
    endings = [f for f in facts if f.kind in ENDINGS]
    return (endings or facts)[0].number


def adds(
    facts: list[Fact], name: str, buyers: dict[str, Weighed], typical: dict[str, int]
) -> tuple[int, int, int]:
    said = shares(outcome(facts)) if name == "vouched" else heard(outcome(facts))
    if not any(said):
        return 0, 0, 0
    weights = buyers.get(facts[0].buyer_id, Weighed(0, MICRO, MICRO))
    weight = parted(weight_of(facts, typical), getattr(weights, name))
    return weight, parted(weight, said.good_micro), parted(weight, said.bad_micro)


def standings_of(facts: list[Fact], orders: dict[str, list[Fact]]) -> dict[str, dict[str, int]]:
    sums: dict[str, dict[str, int]] = {
        fact.seller_id: dict.fromkeys(Standing._fields, 0) for fact in facts
    }
    buyers = defaultdict(set)
    for fact in facts:
        if fact.buyer_id is None:
            add(
                sums[fact.seller_id],
                price_changes=1,
                price_raises=int(fact.kind == "price.raised"),
            )
        else:
            buyers[fact.seller_id].add(fact.buyer_id)
            add(sums[fact.seller_id], on_time=fact.is_on_time or 0)
    for seller, known in buyers.items():
        add(sums[seller], distinct_buyers=len(known))
    for told in orders.values():
        for kind in {fact.kind for fact in told if not fact.kind.startswith("review.")}:
            add(sums[told[0].seller_id], **{COUNTER[kind]: 1})
        if verdict := outcome(told).verdict:
            add(sums[told[0].seller_id], **{f"reviews_{verdict}": 1})
    return sums


def add(sums: dict[str, Any], **more: int) -> None:
    for name, part in more.items():
        sums[name] += part
