"""Policies that do not weigh everything: one is curious, two take what comes first."""

import random
from collections.abc import Sequence
from copy import copy
from decimal import Decimal

from buyer_agents.needs import Candidate, Memory, Need, Offer, Ranked
from buyer_agents.weighing import BestValue, Judging, Share, cheapness
from market.protocol.money import AmountText, decimal_text


class Explorer(BestValue):
    """Like best value, but now and then it prefers a seller that it has never bought from.

    It does on a share ``rate`` of its journeys. ``chance`` draws which, and whom: every stranger
    that fits has the same chance, whatever it asks and however it ranks.
    """

    def __init__(self, chance: random.Random, rate: Share = 0.2) -> None:
        self.chance = chance
        self.rate = rate
        self.lot: float | None = None

    def for_journey(self) -> "Explorer":
        """Return it with a lot, if it is curious on this journey."""
        journey = copy(self)
        is_curious, lot = self.chance.random() < self.rate, self.chance.random()
        journey.lot = lot if is_curious else None
        return journey

    def rank(self, candidates: Sequence[Candidate], need: Need, memory: Memory) -> list[Ranked]:
        ranked = super().rank(candidates, need, memory)
        strangers = [one for one in ranked if one.candidate.seller_id not in memory]
        if self.lot is None or not strangers:
            return ranked
        tried = max(strangers, key=lambda one: _draw(self.lot, one.candidate.seller_id))
        first = Ranked(tried.candidate, {**tried.parts, "curiosity": 1.0})
        return [first, *(one for one in ranked if one is not tried)]


class FirstProposal(Judging):
    """The first offer that is acceptable, in the order in which the market lists them.

    It compares nothing: an offer that fits the need, from a seller that is trusted enough, is
    bought, and those behind it are not read.
    """

    def rank(self, candidates: Sequence[Candidate], need: Need, memory: Memory) -> list[Ranked]:
        return [Ranked(one, {"listed": 1 / place}) for place, one in enumerate(candidates, start=1)]

    def is_enough(self, offer: Offer, need: Need) -> bool:
        return offer.found.trust >= need.min_trust


class Satisficer(FirstProposal):
    """The first offer that is good enough; it reads no more after that.

    Good enough is a seller with a score of at least ``trust``, and a ``price`` of at most so much
    for the whole job, a decimal such as "0.05". Where nothing is, it takes the cheapest that fits
    the need.
    """

    def __init__(self, trust: Share = 0.0, price: AmountText | None = None) -> None:
        if not trust and price is None:
            raise ValueError("say what is good enough: trust, price, or both")
        self.trust = trust
        self.price = None if price is None else Decimal(price)

    def rank(self, candidates: Sequence[Candidate], need: Need, memory: Memory) -> list[Ranked]:
        if not all(isinstance(one, Offer) for one in candidates):
            return super().rank(candidates, need, memory)
        lowest_minor = min((one.amount_minor for one in candidates), default=0)
        ranked = [
            Ranked(
                one,
                {
                    "enough": float(self.is_enough(one, need)),
                    "price": cheapness(one, lowest_minor) / 2,
                },
            )
            for one in candidates
            if isinstance(one, Offer)
        ]
        return sorted(ranked, key=lambda one: one.score, reverse=True)

    def is_enough(self, offer: Offer, need: Need) -> bool:
        if offer.found.trust < max(self.trust, need.min_trust):
            return False
        amount = Decimal(decimal_text(offer.amount_minor, need.currency))
        return self.price is None or amount <= self.price


def _draw(lot: float | None, seller_id: str) -> float:
    """Return a seller's number under a lot: the same one whoever else is there."""
    return random.Random(f"{lot} {seller_id}").random()  # noqa: S311 - a choice, not a secret
