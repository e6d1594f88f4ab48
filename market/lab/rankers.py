"""Algorithms that make scores of what happened: the market's own, and three to compare it with.

The three others all read the same rating of an order: bad if the ledger saw it fail or refunded
it, else what the buyer's review says; an order that settled without a word has none. They forget
nothing, and a seller without ratings stands where the algorithm puts one that it knows nothing of.
"""

from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from market import catalog, orders, trust
from market.base.store import Store
from market.lab.trading import Outcome
from market.trust import batches

OWN: Final = trust.RULE
"""The name of the market's own rule."""


class Ranker(ABC):
    """Makes the scores of one simulated market. More is better; only the order counts."""

    @abstractmethod
    def note(self, outcome: Outcome) -> None:
        """Take in what became of an order."""

    @abstractmethod
    def scores(self, seller_ids: Sequence[str]) -> dict[str, float]:
        """Return today's score of each of these sellers."""


class Own(Ranker):
    """The market's own rule, read through the door of the trust room; orders have told it all."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, outcome: Outcome) -> None:
        """Do nothing: the rooms have recorded the facts."""

    def scores(self, seller_ids: Sequence[str]) -> dict[str, float]:
        """Let the day's batch be made, and return what a search in this market would rank by."""
        if self._store.read_now(batches.is_due):
            prepared = self._store.read_now(batches.prepare)
            self._store.write_now(batches.put, prepared=prepared)
        return self._store.read_now(trust.scores, seller_ids=list(seller_ids))


class Gated(Own):
    """The market's own rule with its gates shut: bonds, order caps, and the freeze after a fall.

    They wait for a typical order, which a market's chores look for, and leave refunds owed, which
    they pay; the other rules, and the own one beside them, are compared without.
    """

    def scores(self, seller_ids: Sequence[str]) -> dict[str, float]:
        """Do these chores for the day, and return what a search would rank by."""
        typical = self._store.read_now(orders.typical_order)
        if typical is not None:
            currency = self._store.settings.currency
            self._store.write_now(catalog.set_order_limits, currency=currency, **typical._asdict())
        after = ""
        while owed := self._store.read_now(orders.owed, after=after):
            for after in owed:
                self._store.write_now(orders.pay_owed, order_id=after)
        return super().scores(seller_ids)


class Counted(Ranker):
    """The mean of Beta(prior, prior) after all ratings: (good + prior) / (all + 2 prior).

    Prior 0 is the plain mean, where a seller without ratings stands at one half.
    """

    def __init__(self, prior: int) -> None:
        self._prior = prior
        self._good: Counter[str] = Counter()
        self._all: Counter[str] = Counter()

    def note(self, outcome: Outcome) -> None:
        """Count a rating."""
        if outcome.rating is not None:
            self._good[outcome.deal.seller.id] += outcome.rating
            self._all[outcome.deal.seller.id] += 1

    def scores(self, seller_ids: Sequence[str]) -> dict[str, float]:
        """Return the mean of each."""
        return {seller_id: self._score(seller_id) for seller_id in seller_ids}

    def _score(self, seller_id: str) -> float:
        total = self._all[seller_id] + 2 * self._prior
        return (self._good[seller_id] + self._prior) / total if total else 0.5


class EigenTrust(Ranker):
    """EigenTrust (Kamvar and others, 2003) with the anchors pre-trusted.

    A buyer trusts a seller as far as its good ratings outnumber its bad ones; a seller trusts a
    buyer by the number of orders it was paid for.
    """

    def __init__(self, anchors: Sequence[str]) -> None:
        self._anchors = tuple(anchors)
        self._opinions: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._trust: dict[str, float] = {}

    def note(self, outcome: Outcome) -> None:
        """Count a rating and a payment."""
        buyer_id, seller_id = outcome.deal.buyer.id, outcome.deal.seller.id
        if outcome.rating is not None:
            self._opinions[buyer_id][seller_id] += 1 if outcome.rating else -1
        if outcome.is_settled:
            self._opinions[seller_id][buyer_id] += 1

    def scores(self, seller_ids: Sequence[str]) -> dict[str, float]:
        """Return where trust that starts at the anchors comes to rest."""
        self._trust = eigentrust(self._opinions, self._anchors, start=self._trust)
        return {seller_id: self._trust.get(seller_id, 0.0) for seller_id in seller_ids}


def eigentrust(
    opinions: Mapping[str, Mapping[str, int]],
    anchors: Sequence[str],
    *,
    start: Mapping[str, float] | None = None,
    damping: float = 0.15,
    tolerance: float = 1e-7,
    turns: int = 200,
) -> dict[str, float]:
    """Return everybody's global trust, which sums to 1: power iteration over local opinions.

    Opinions below zero count as none, and each node's are made to sum to 1; who has none thinks
    as the anchors are thought of. In each turn ``damping`` of the trust returns to the anchors.
    """
    rows = {node: _normal(row) for node, row in opinions.items()}
    known = dict.fromkeys((*anchors, *rows, *(to for row in rows.values() for to in row)))
    now = {node: (start or {}).get(node, 0.0) for node in known}
    if not start:
        now |= dict.fromkeys(anchors, 1.0 / len(anchors))
    for _ in range(turns):
        after = dict.fromkeys(known, 0.0)
        for node, row in rows.items():
            flow = (1 - damping) * now[node]
            if flow:
                for to, part in row.items():
                    after[to] += flow * part
        # What nobody passed on goes to the anchors, with the part that always does.
        rest = (1.0 - sum(after.values())) / len(anchors)
        for anchor in anchors:
            after[anchor] += rest
        change = sum(abs(after[node] - now[node]) for node in known)
        now = after
        if change < tolerance:
            break
    return now


def _normal(row: Mapping[str, int]) -> dict[str, float]:
    total = sum(count for count in row.values() if count > 0)
    return {to: count / total for to, count in row.items() if count > 0}


ALGORITHMS: Final[dict[str, Callable[[Store, Sequence[str]], Ranker]]] = {
    OWN: lambda store, anchors: Own(store),
    "gated": lambda store, anchors: Gated(store),
    "mean": lambda store, anchors: Counted(prior=0),
    "beta": lambda store, anchors: Counted(prior=1),
    "eigentrust": lambda store, anchors: EigenTrust(anchors),
}
"""Every algorithm by the name that ``--algorithms`` knows."""

COMPARED: Final = (OWN, "mean", "beta", "eigentrust")
"""Those that are compared unless others are named."""
