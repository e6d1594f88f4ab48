"""The rule ``beta-1``: from counted facts to a score. Pure, and exact in integers up to the end.

1. Of one buyer with one seller: ``good = max(settled - refunded, 0) + reviews_good / 2`` and
   ``bad = failed + refunded + reviews_bad / 2``. What the ledger saw weighs twice what a review
   says; a cancelled order says nothing either way.
2. One buyer, one voice: with ``n = good + bad`` the pair weighs ``2 (1 - exp(-n / 2))``, so a
   first order counts 0.79 and no number of orders counts more than 2. The weight is split as
   ``good : bad`` and rounded to millionths, so that sums do not depend on their order.
3. Over all pairs, with the weak prior Beta(1, 1): ``a = 1 + good``, ``b = 1 + bad``. The score is
   the mean ``a / (a + b)`` less one standard deviation, not below 0. A seller without facts
   stands at 0.2113.
4. Confidence is ``e / (e + 4)`` with ``e = good + bad``: half at five buyers with an order each.
"""

from math import exp, sqrt
from typing import Final, Literal, NamedTuple

RULE: Final = "beta-1"
"""The name of this rule with these constants; it goes with every score."""

MICRO: Final = 1_000_000
PRIOR: Final = 1.0
DOUBT: Final = 1.0
REVIEW_WEIGHT: Final = 0.5
VOICE: Final = 2.0
CONFIDENCE_AT_HALF: Final = 4.0
NEW_BELOW: Final = 3
"""Settled orders below which a seller is flagged as new."""

FactKind = Literal[
    "order.settled", "order.failed", "order.cancelled", "order.refunded",
    "review.good", "review.bad",
]  # fmt: skip


class Counts(NamedTuple):
    """What happened between one buyer and one seller, counted."""

    settled: int = 0
    failed: int = 0
    cancelled: int = 0
    refunded: int = 0
    reviews_good: int = 0
    reviews_bad: int = 0


COUNTER: Final[dict[FactKind, str]] = {
    "order.settled": "settled",
    "order.failed": "failed",
    "order.cancelled": "cancelled",
    "order.refunded": "refunded",
    "review.good": "reviews_good",
    "review.bad": "reviews_bad",
}
"""The counter that a fact of each kind raises by one."""


class Evidence(NamedTuple):
    """Weighed evidence for and against a seller, in millionths of a voice."""

    good_micro: int
    bad_micro: int


class Standing(NamedTuple):
    """Everything that is known of one seller, added up. All zero for one without facts."""

    good_micro: int = 0
    bad_micro: int = 0
    settled: int = 0
    failed: int = 0
    cancelled: int = 0
    refunded: int = 0
    reviews_good: int = 0
    reviews_bad: int = 0
    on_time: int = 0
    distinct_buyers: int = 0
    price_changes: int = 0
    price_raises: int = 0


class Score(NamedTuple):
    """``score`` and ``confidence`` from 0 to 1, rounded to four decimals."""

    score: float
    confidence: float


def voice(counts: Counts) -> Evidence:
    """Return the evidence that one buyer gives, however often it bought."""
    good = max(counts.settled - counts.refunded, 0) + REVIEW_WEIGHT * counts.reviews_good
    bad = counts.failed + counts.refunded + REVIEW_WEIGHT * counts.reviews_bad
    total = good + bad
    if not total:
        return Evidence(0, 0)
    weight = VOICE * (1 - exp(-total / 2))
    return Evidence(round(MICRO * weight * good / total), round(MICRO * weight * bad / total))


def score_of(good_micro: int, bad_micro: int) -> Score:
    """Return what the evidence of all voices amounts to."""
    a, b = PRIOR + good_micro / MICRO, PRIOR + bad_micro / MICRO
    deviation = sqrt(a * b / (a + b + 1)) / (a + b)
    evidence = (good_micro + bad_micro) / MICRO
    return Score(
        score=round(max(a / (a + b) - DOUBT * deviation, 0.0), 4),
        confidence=round(evidence / (evidence + CONFIDENCE_AT_HALF), 4),
    )


def flags_of(standing: Standing) -> list[str]:
    """Return what a buyer should notice.

    ``new``: fewer than three settled orders. ``low_score``: more evidence against than for it.
    ``price_rising``: more than half of its price changes were raises.
    """
    signs = {
        "new": standing.settled < NEW_BELOW,
        "low_score": standing.bad_micro > standing.good_micro,
        "price_rising": 2 * standing.price_raises > standing.price_changes,
    }
    return [name for name, is_raised in signs.items() if is_raised]
