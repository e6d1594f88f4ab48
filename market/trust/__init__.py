"""Trust: what the market has seen of a seller, and the number that it makes of it.

A *fact* is one thing that happened: an order settled, failed, was cancelled or refunded, a buyer
reviewed it, a price changed. Facts are told by the rooms above and never change; each is counted
once. A *pair* is one buyer with one seller: all its facts together are one *voice* of bounded
weight. An *anchor* is a buyer whom two overseers vouch for; sellers whom anchors liked are
*vouched*, and a buyer's word weighs by what it spent there; the rest are the *crowd*, one voice
together. A *batch* fixes these weights every few minutes. A *standing* is a seller's sums, moved by
every fact; its *score* is computed from it on reading (``scoring``). Whoever holds the facts gets
the same numbers.

Trust asks nobody: it is told. What weighs all facts at once (``batches``, ``recount``) knows polars
and is entered by itself.
"""

from market.trust.anchors import (
    anchor,
    confirm_anchor,
    list_anchors,
    propose_anchor,
    revoke_anchor,
)
from market.trust.errors import (
    AnchorNotFound,
    AnchorNotProposed,
    NotABuyer,
    SecondOverseerNeeded,
)
from market.trust.publishing import FactLimit, batch, facts_page, list_rings, list_standings
from market.trust.recording import record, record_price_change
from market.trust.scoring import RULE, FactKind, Score, Standing, memory_of, score_of
from market.trust.service import report, scores, standing, typical_minor

__all__ = [
    "RULE",
    "AnchorNotFound",
    "AnchorNotProposed",
    "FactKind",
    "FactLimit",
    "NotABuyer",
    "Score",
    "SecondOverseerNeeded",
    "Standing",
    "anchor",
    "batch",
    "confirm_anchor",
    "facts_page",
    "list_anchors",
    "list_rings",
    "list_standings",
    "memory_of",
    "propose_anchor",
    "record",
    "record_price_change",
    "report",
    "revoke_anchor",
    "score_of",
    "scores",
    "standing",
    "typical_minor",
]
