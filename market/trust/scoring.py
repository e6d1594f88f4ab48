"""The rule ``anchored-1``: from counted facts to a score. Pure, and the same number everywhere.

Weights, evidence and sums are integers of millionths, so that sums do not depend on their order;
between them there are only ``+ - * /`` and the square root, which IEEE 754 rounds alike on every
machine, and rounding to the nearest integer, halves up. ``docs/trust.md`` tells the whole rule in
words; what stands here is one order, one pair and one seller. ``recount`` does the same for all.
"""

from functools import lru_cache
from math import sqrt
from typing import Any, Final, Literal, NamedTuple

RULE: Final = "anchored-1"
"""The name of this rule with these constants; it goes with every score."""

MICRO: Final = 1_000_000
"""Millionths: what weights and evidence are counted in."""

DAY_MICROS: Final = 86_400_000_000
TYPICAL: Final = 10
"""What a typical order costs, in the unit in which ``ENOUGH`` and ``MOST_AT_ONE`` are told."""

UNREVIEWED: Final = 0.25
BAD_REVIEW: Final = 0.5
MOST_WEIGHT: Final = 2.0
HALF_LIFE_DAYS: Final = 30
VOICE: Final = 2.0
VOUCHED_AT_HALF: Final = 0.5
GENEROUS_ANCHORS: Final = 2
ENOUGH: Final = 100
MOST_AT_ONE: Final = 68
TOLERANCE: Final = 0.6
STEPS: Final = 20
"""A buyer's weights are kept in twentieths, rounded down: a weight is no fingerprint."""

CONSENSUS_PRIOR: Final = 3.0
HONEST_DIFFERENCE: Final = 0.25
LONG_PRIOR: Final = (1.5, 1.5)
LONG_DOUBT: Final = 0.6
SHORT_PRIOR: Final = (0.45, 0.05)
SHORT_CREDIT: Final = 0.15
SHORT_HALF_LIFE: Final = 3
CONFIDENCE_AT_HALF: Final = 4.0
NEW_BELOW: Final = 3
"""Settled orders below which a seller is flagged as new."""

LN2: Final = 0.6931471805599453
TERMS: Final = 14
SQUARINGS: Final = 6

Real = Any
"""A float, or a column of floats."""

FactKind = Literal[
    "order.settled", "order.failed", "order.cancelled", "order.refunded", "order.disputed",
    "review.good", "review.bad",
]  # fmt: skip
"""What is recorded of an order. (``price.raised`` and ``price.changed`` have a verb of their own.)
"""

Flag = Literal["new", "low_score", "price_rising", "closed_ring"]
"""What a buyer is warned of; ``flags_of`` says of whom."""

COUNTER: Final[dict[FactKind, str]] = {
    "order.settled": "settled",
    "order.failed": "failed",
    "order.cancelled": "cancelled",
    "order.refunded": "refunded",
    "order.disputed": "disputed",
    "review.good": "reviews_good",
    "review.bad": "reviews_bad",
}
"""The counter of a seller that a fact of each kind raises by one."""


class Evidence(NamedTuple):
    """Evidence for and against a seller, in millionths."""

    good_micro: int
    bad_micro: int


class Weights(NamedTuple):
    """What a buyer's word weighs: with vouched money behind it, and as one of the crowd."""

    vouched_micro: int = 0
    crowd_micro: int = MICRO


UNKNOWN: Final = Weights()
"""A buyer that no batch has weighed yet is one of the crowd."""


class Outcome(NamedTuple):
    """What the latest facts say of one order.

    ``amount_minor`` is what was paid for it, or of a failed one its price; ``day`` counts from
    1970; ``refunded_minor`` is all that went back.
    """

    ending: Literal["settled", "failed", "cancelled", ""] = ""
    amount_minor: int = 0
    day: int = 0
    refunded_minor: int = 0
    verdict: Literal["good", "bad", ""] = ""


class Standing(NamedTuple):
    """Everything that is known of one seller, added up. All zero for one without facts.

    The sums of the long memory; those of the short memory as the last batch left them (``last``)
    and since then (``since``), each for vouched weight and for the crowd's; then what happened,
    counted.
    """

    vouched_good: int = 0
    vouched_bad: int = 0
    crowd_good: int = 0
    crowd_bad: int = 0
    last_vouched_good: int = 0
    last_vouched_bad: int = 0
    last_crowd_good: int = 0
    last_crowd_bad: int = 0
    since_vouched: int = 0
    since_vouched_good: int = 0
    since_vouched_bad: int = 0
    since_crowd: int = 0
    since_crowd_good: int = 0
    since_crowd_bad: int = 0
    settled: int = 0
    failed: int = 0
    cancelled: int = 0
    refunded: int = 0
    disputed: int = 0
    reviews_good: int = 0
    reviews_bad: int = 0
    on_time: int = 0
    distinct_buyers: int = 0
    price_changes: int = 0
    price_raises: int = 0


class Memory(NamedTuple):
    """The sums of ``Standing`` that a score is made of, in the same order."""

    vouched_good: int = 0
    vouched_bad: int = 0
    crowd_good: int = 0
    crowd_bad: int = 0
    last_vouched_good: int = 0
    last_vouched_bad: int = 0
    last_crowd_good: int = 0
    last_crowd_bad: int = 0
    since_vouched: int = 0
    since_vouched_good: int = 0
    since_vouched_bad: int = 0
    since_crowd: int = 0
    since_crowd_good: int = 0
    since_crowd_bad: int = 0


class Score(NamedTuple):
    """A score with its parts, each from 0 to 1 and rounded to four decimals.

    ``score`` is the lower of ``long`` and ``short``; ``good`` and ``bad`` are the weighed voices
    of the long memory, ``confidence`` how much of them there is.
    """

    score: float
    confidence: float
    long: float
    short: float
    good: float
    bad: float


def rounded(value: float) -> int:
    """Return the nearest integer of a number that is not negative, halves up."""
    return int(value + 0.5)


def parted(amount: int, part_micro: int) -> int:
    """Return so many millionths of an amount, rounded."""
    return (amount * part_micro + MICRO // 2) // MICRO


def halved(times: float) -> float:
    """Return one half to the power ``times`` (which may be a fraction), from 0 to 64."""
    power: float = falling(min(times, 64.0) * (LN2 / 64))
    return power


def falling(exponent: Real) -> Real:
    """Return e to the power ``-64 exponent``, of a number or of a column of them.

    It is Taylor's series and six squarings, so that every machine finds the same.
    """
    power = 1.0 - exponent / TERMS
    for term in range(TERMS - 1, 0, -1):
        power = 1.0 - power * exponent / term
    for _ in range(SQUARINGS):
        power = power * power
    return power


def voice_weight(total_micro: int) -> float:
    """Return what so much evidence of one voice weighs: ``2 (1 - exp(-n / 2))``."""
    return VOICE * (1.0 - halved(total_micro / MICRO / (2 * LN2)))


def voice(good_micro: int, bad_micro: int) -> Evidence:
    """Return the evidence that one voice gives, however much it has to say."""
    total = good_micro + bad_micro
    if total <= 0:
        return Evidence(0, 0)
    scale = MICRO * voice_weight(total) / total
    return Evidence(rounded(scale * good_micro), rounded(scale * bad_micro))


def order_weight(amount_minor: int, typical_minor: int | None) -> int:
    """Return what an order of this price weighs, in millionths: a typical one 1, none above 2.

    Before a batch knows what is typical, every order that cost something weighs 1.
    """
    if amount_minor <= 0:
        return 0
    if not typical_minor:
        return MICRO
    return rounded(MICRO * min(sqrt(amount_minor / typical_minor), MOST_WEIGHT))


def shares(outcome: Outcome) -> Evidence:
    """Return what an order says for and against its seller, in millionths of its weight.

    What the ledger saw goes first: a failure is all bad, and so is the part that was refunded. Of
    the rest a review says good in full or bad by half; silence says good by a quarter.
    """
    if outcome.ending == "failed":
        return Evidence(0, MICRO)
    back = _refunded(outcome)
    if outcome.ending == "" or (outcome.ending == "cancelled" and not outcome.verdict):
        return Evidence(0, back)
    clean = MICRO - back
    if outcome.verdict == "good":
        return Evidence(clean, back)
    if outcome.verdict == "bad":
        return Evidence(0, back + rounded(clean * BAD_REVIEW))
    return Evidence(rounded(clean * UNREVIEWED), back)


def heard(outcome: Outcome) -> Evidence:
    """Return what an order says where reviews are not heard: as ``shares``, with silence.

    So the short memory takes the crowd's orders: opinions that anybody can buy freeze nobody.
    """
    return shares(outcome._replace(verdict=""))


def _refunded(outcome: Outcome) -> int:
    if outcome.refunded_minor <= 0:
        return 0
    if outcome.amount_minor <= 0:
        return MICRO
    return min(rounded(1e6 * outcome.refunded_minor / outcome.amount_minor), MICRO)


def aged(weight_micro: int, *, day: int, today: int) -> int:
    """Return what is left of a weight: half after every 30 days."""
    return rounded(weight_micro * halved(max(today - day, 0) / HALF_LIFE_DAYS))


@lru_cache(maxsize=8_192)
def score_of(memory: Memory) -> Score:
    """Return what the sums of a seller amount to. Kept, since search asks for the same again."""
    crowd = voice(memory.crowd_good, memory.crowd_bad)
    good = memory.vouched_good + crowd.good_micro
    bad = memory.vouched_bad + crowd.bad_micro
    long = _posterior(good, bad, LONG_PRIOR, -LONG_DOUBT)
    recent = recently(memory)
    short = _posterior(recent.good_micro, recent.bad_micro, SHORT_PRIOR, SHORT_CREDIT)
    evidence = (good + bad) / MICRO
    return Score(
        score=min(long, short),
        confidence=_shown(evidence / (evidence + CONFIDENCE_AT_HALF)),
        long=long,
        short=short,
        good=good / MICRO,
        bad=bad / MICRO,
    )


def recently(memory: Memory) -> Evidence:
    """Return the evidence of the short memory: the last orders, the crowd's cut to one voice.

    What came since the last batch counts as if it had come evenly.
    """
    last, since = _halvings(memory.since_vouched)
    good = _joined(memory.last_vouched_good, last, memory.since_vouched_good, since)
    bad = _joined(memory.last_vouched_bad, last, memory.since_vouched_bad, since)
    last, since = _halvings(memory.since_crowd)
    crowd = voice(
        _joined(memory.last_crowd_good, last, memory.since_crowd_good, since),
        _joined(memory.last_crowd_bad, last, memory.since_crowd_bad, since),
    )
    return Evidence(good + crowd.good_micro, bad + crowd.bad_micro)


def flags_of(standing: Standing, *, is_ringed: bool = False) -> list[Flag]:
    """Return what a buyer should notice.

    ``new``: fewer than three settled orders. ``low_score``: more evidence against than for it.
    ``price_rising``: more than half of its price changes were raises. ``closed_ring``: its praise
    comes from buyers without vouched money who praise hardly anybody else.
    """
    score = score_of(memory_of(standing))
    signs: dict[Flag, bool] = {
        "new": standing.settled < NEW_BELOW,
        "low_score": score.bad > score.good,
        "price_rising": 2 * standing.price_raises > standing.price_changes,
        "closed_ring": is_ringed,
    }
    return [name for name, is_raised in signs.items() if is_raised]


def memory_of(standing: Standing) -> Memory:
    """Return the sums of a standing that its score is made of."""
    return Memory(*standing[: len(Memory._fields)])


def _posterior(good_micro: int, bad_micro: int, prior: tuple[float, float], sigmas: float) -> float:
    """Return the mean of a beta distribution with so many standard deviations added."""
    a, b = prior[0] + good_micro / MICRO, prior[1] + bad_micro / MICRO
    total = a + b
    deviation = sqrt(a * b / (total + 1.0)) / total
    return _shown(min(max(a / total + sigmas * deviation, 0.0), 1.0))


def _halvings(since_micro: int) -> tuple[float, float]:
    """Return what orders of this weight leave of what came before them, and on average of them."""
    if since_micro <= 0:
        return 1.0, 1.0
    halvings = since_micro / MICRO / SHORT_HALF_LIFE
    left = halved(halvings)
    return left, (1.0 - left) / (halvings * LN2)


def _joined(last: int, last_part: float, since: int, since_part: float) -> int:
    return rounded(max(last * last_part + since * since_part, 0.0))


def _shown(value: float) -> float:
    return rounded(value * 10_000) / 10_000
