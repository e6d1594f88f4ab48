"""Trust: what the market has seen of a seller, and the number that it makes of it.

A *fact* is one thing that happened: an order settled, failed, was cancelled or refunded, a buyer
reviewed it, a price changed. Facts are told by the rooms above and never change; each is counted
once. A *pair* is one buyer with one seller: all its facts together are one *voice* of bounded
weight. A *standing* is a seller's sum over its pairs, kept up to date with every fact; its
*score* is computed from it on reading (``scoring``). Whoever holds the facts gets the same
numbers (``recompute``).

Trust asks nobody: it is told.
"""

from market.trust.scoring import RULE, FactKind, Score, Standing, score_of
from market.trust.service import (
    check,
    recompute,
    record,
    record_price_change,
    report,
    scores,
    standing,
)

__all__ = [
    "RULE",
    "FactKind",
    "Score",
    "Standing",
    "check",
    "recompute",
    "record",
    "record_price_change",
    "report",
    "score_of",
    "scores",
    "standing",
]
