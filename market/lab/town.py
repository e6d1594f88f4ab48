"""A simulated market: its people, today's ranking, and how a buyer chooses by it."""

from collections.abc import Sequence
from itertools import accumulate
from math import exp
from random import Random
from typing import Final

from market import catalog
from market.base.work import UnitOfWork
from market.lab.people import (
    OVERSEERS,
    Buyer,
    Seller,
    enter,
    fund,
    list_service,
    vouch_for,
)
from market.lab.plan import SHOWN, Plan

EXPLORING: Final = 0.1
"""The part of orders for which the buyer takes any seller at all."""

TYPICAL_MINOR: Final = 10_000_000
"""What a typical order costs: 10 XTS."""

BAD_QUALITY: Final = 0.2
"""The quality of an attacker's service."""

_SPREAD: Final = 0.25
"""How far prices lie from the typical one (the deviation of their logarithm)."""


class Town:
    """One simulated market. ``chance_of`` gives each of its affairs a generator of its own."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan = plan
        self.seed = seed
        self.sellers: list[Seller] = []
        self.buyers: list[Buyer] = []
        self.ranking: list[Seller] = []
        self._people = self.chance_of("people")
        self._choices = self.chance_of("choices")
        self._ties = self.chance_of("ties")
        self._weights: list[float] = []

    def chance_of(self, affair: str) -> Random:
        """Return the generator of an affair: the same under every algorithm."""
        return Random(f"{self.seed}:{affair}")  # noqa: S311 - a simulation that must repeat

    @property
    def anchors(self) -> list[str]:
        """The ids of the vetted buyers."""
        return [buyer.id for buyer in self.buyers if buyer.is_anchor]

    def settle(self, uow: UnitOfWork) -> None:
        """Let everybody enter who is there from the first day."""
        for number in range(self.plan.sellers):
            self.add_seller(uow, f"seller-{number}", quality=self.drawn_quality(), day=0)
        for number in range(self.plan.buyers):
            self._add_buyer(uow, f"buyer-{number}", is_anchor=number < self.plan.anchors)
        overseers = [enter(uow, seed=self.seed, name=name, kind="overseer") for name in OVERSEERS]
        for buyer in self.buyers:
            if buyer.is_anchor:
                vouch_for(uow, buyer, overseers=overseers)
        self._weights = list(accumulate(buyer.activity for buyer in self.buyers))

    def drawn_quality(self) -> float:
        """Return the quality of one more honest seller: Beta(5, 2)."""
        return self._people.betavariate(5, 2)

    def add_seller(
        self,
        uow: UnitOfWork,
        name: str,
        *,
        day: int,
        quality: float = BAD_QUALITY,
        is_attacker: bool = False,
    ) -> Seller:
        """Let a seller enter and list its service."""
        agent = enter(uow, seed=self.seed, name=name, kind="seller")
        spread = 0.0 if is_attacker else self._people.gauss(0, _SPREAD)
        price_minor = round(round(TYPICAL_MINOR * exp(spread)), -4)
        service_id = list_service(uow, agent=agent, name=name, price_minor=price_minor)
        seller = Seller(agent, name, service_id, quality, day, is_attacker)
        self.sellers.append(seller)
        return seller

    def add_fakes(self, uow: UnitOfWork, count: int) -> list[Buyer]:
        """Let an attacker's buyers enter."""
        fakes = []
        for number in range(count):
            agent = enter(uow, seed=self.seed, name=f"fake-{number}", kind="buyer")
            fund(uow, agent)
            fakes.append(Buyer(agent, activity=0.0, is_honest=False))
        return fakes

    def retire(self, uow: UnitOfWork, seller: Seller) -> None:
        """Let a seller withdraw its service and be gone."""
        catalog.withdraw(uow, caller=seller.agent.caller, service_id=seller.service_id)
        self.sellers.remove(seller)

    def rank(self, scores: dict[str, float]) -> None:
        """Put the sellers in the order that buyers see today; ties fall by chance."""
        ties = self._ties
        self.ranking = sorted(self.sellers, key=lambda one: (-scores[one.id], ties.random()))

    def next_buyer(self) -> Buyer:
        """Return who buys next, by activity."""
        return self._choices.choices(self.buyers, cum_weights=self._weights)[0]

    def choose(self) -> Seller:
        """Return the seller that a buyer chooses who goes by the ranking.

        One order in ten explores. Else the buyer sees the first of the ranking or as many by
        chance, and takes the best of these with probability 1/2, the next with 1/4, and so on.
        """
        if self._choices.random() < EXPLORING:
            return self._choices.choice(self.sellers)
        shown: Sequence[Seller] = self.ranking[:SHOWN]
        if self._choices.random() < 0.5:
            places = self._choices.sample(range(len(self.ranking)), len(shown))
            shown = [self.ranking[place] for place in sorted(places)]
        for seller in shown:
            if self._choices.random() < 0.5:
                return seller
        return shown[-1]

    def _add_buyer(self, uow: UnitOfWork, name: str, *, is_anchor: bool) -> None:
        agent = enter(uow, seed=self.seed, name=name, kind="buyer")
        fund(uow, agent)
        activity = self._people.lognormvariate(0, 0.8)
        self.buyers.append(Buyer(agent, activity, is_anchor=is_anchor))
