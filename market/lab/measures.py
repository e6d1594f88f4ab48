"""What is measured of a simulated market: a line for each day, and the figures of the whole."""

from collections.abc import Sequence
from itertools import groupby
from math import sqrt
from typing import Final, Literal, NamedTuple

from market.lab.attacks import Attack
from market.lab.people import Seller
from market.lab.town import Town
from market.lab.trading import Outcome

LAST_DAYS: Final = 10
"""The days at the end over which ranks are averaged."""

GOOD_NEWCOMER: Final = 0.8
NEWCOMER_DAYS: Final = 25

Kind = Literal["part", "rank", "orders", "money", "days"]


class Measure(NamedTuple):
    """A figure of the report: its column's heading, how it is written, and what it means."""

    heading: str
    kind: Kind
    meaning: str


MEASURES: Final[dict[str, Measure]] = {
    "share": Measure(
        "share", "part",
        "attackers' part of what honest buyers order (in money), from the attack's first day on",
    ),
    "profit": Measure(
        "profit", "money",
        "what the attackers own at the end more than before, XTS: sales less fees and purchases",
    ),
    "top": Measure(
        "top days", "part", "part of these days with an attacker among the first (10 of 120)",
    ),
    "rho": Measure(
        "rho", "rank",
        "Spearman's rank correlation of score and true quality, mean of the last 10 days",
    ),
    "success": Measure(
        "success", "part", "honest buyers' orders that went well, from the first day on",
    ),
    "victim": Measure(
        "victim", "rank",
        "rank of the attacked sellers, mean of the last 10 days: 0 is the best, 1 the worst",
    ),
    "failed": Measure(
        "failed", "orders",
        "orders that fail at each defector before it leaves the upper half of the ranking",
    ),
    "leaves": Measure(
        "leaves", "days", "days that takes; one that never leaves counts all days that are left",
    ),
    "new": Measure(
        "new", "rank", "rank of a good newcomer (quality above 0.8) after 25 days",
    ),
}  # fmt: skip
"""Every figure of a cell, by its name in the report. Those of no meaning for an attack are None."""


class Day(NamedTuple):
    """One day of one market, seen from outside."""

    day: int
    orders: int
    failed: int
    refused: int
    ordered_minor: int
    to_attackers_minor: int
    rho: float
    attacker_on_top: bool
    victim: float | None


class Rank(NamedTuple):
    """Where a seller stood on a day. ``place`` 0 is the best."""

    day: int
    seller: str
    quality: float
    score: float
    place: int
    is_attacker: bool


class Diary:
    """Writes down what happens, day by day."""

    def __init__(self, town: Town, attack: Attack) -> None:
        self.days: list[Day] = []
        self.ranks: list[Rank] = []
        self._town = town
        self._attack = attack
        self._newcomers: list[float] = []
        self._failed: dict[Seller, int] = {}
        self._left: dict[Seller, int] = {}

    def write(
        self, day: int, scores: dict[str, float], outcomes: Sequence[Outcome], *, refused: int
    ) -> None:
        """Note a day that is over; ``refused`` orders the market did not take."""
        town = self._town
        places = {seller: place for place, seller in enumerate(town.ranking)}
        honest = [outcome for outcome in outcomes if outcome.deal.buyer.is_honest]
        is_on = day >= self._attack.first_day
        self._note_defectors(day, places, honest)
        self._note_newcomers(day, places)
        self.ranks += [
            Rank(day, one.name, one.quality, scores[one.id], place, one.is_attacker)
            for one, place in places.items()
        ]
        victims = self._attack.victims
        to_attackers = [each for each in honest if each.deal.seller.is_attacker]
        self.days.append(
            Day(
                day=day,
                orders=len(honest),
                failed=sum(each.deal.fate != "good" for each in honest),
                refused=refused,
                ordered_minor=sum(each.amount_minor for each in honest),
                to_attackers_minor=sum(each.amount_minor for each in to_attackers),
                rho=spearman(
                    [scores[one.id] for one in town.ranking],
                    [one.quality for one in town.ranking],
                ),
                attacker_on_top=is_on
                and any(one.is_attacker for one in town.ranking[: town.plan.top]),
                victim=_mean([self._percentile(places[one]) for one in victims]),
            )
        )

    def figures(self, *, profit_minor: int) -> dict[str, float | None]:
        """Return what the days amount to, by the names in ``MEASURES``."""
        attack = self._attack
        last = self.days[-LAST_DAYS:]
        during = [day for day in self.days if day.day >= attack.first_day]
        left = len(self.days) - attack.first_day
        ordered_minor = sum(day.ordered_minor for day in during) or 1
        share = sum(day.to_attackers_minor for day in during) / ordered_minor
        top = _mean([float(day.attacker_on_top) for day in during])
        orders = sum(day.orders for day in during)
        sells = any(rank.is_attacker for rank in self.ranks)
        return {
            "share": share if sells else None,
            "profit": profit_minor / 1_000_000 if attack.party else None,
            "top": top if sells else None,
            "rho": _mean([day.rho for day in last]),
            "success": 1 - sum(day.failed for day in during) / (orders or 1),
            "victim": _mean([day.victim for day in last if day.victim is not None]),
            "failed": _mean([float(self._failed.get(one, 0)) for one in attack.defectors]),
            "leaves": _mean([float(self._left.get(one, left)) for one in attack.defectors]),
            "new": _mean(self._newcomers),
        }

    def _percentile(self, place: int) -> float:
        return place / max(len(self._town.ranking) - 1, 1)

    def _note_defectors(
        self, day: int, places: dict[Seller, int], honest: Sequence[Outcome]
    ) -> None:
        for one in self._attack.defectors:
            if one in self._left:
                continue
            if self._percentile(places[one]) > 0.5:
                self._left[one] = day - self._attack.first_day
                continue
            failed = sum(each.deal.seller is one for each in honest)
            self._failed[one] = self._failed.get(one, 0) + failed

    def _note_newcomers(self, day: int, places: dict[Seller, int]) -> None:
        self._newcomers += [
            self._percentile(place)
            for one, place in places.items()
            if one.joined_on and one.joined_on + NEWCOMER_DAYS == day
            if one.quality > GOOD_NEWCOMER and not one.is_attacker
        ]


def spearman(left: Sequence[float], right: Sequence[float]) -> float:
    """Return the rank correlation of two lists; equal values share the mean of their ranks."""
    return _correlation(_ranks(left), _ranks(right))


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    place = 0
    for _, group in groupby(order, key=values.__getitem__):
        tied = list(group)
        for index in tied:
            ranks[index] = place + (len(tied) - 1) / 2
        place += len(tied)
    return ranks


def _correlation(left: Sequence[float], right: Sequence[float]) -> float:
    """Pearson's; 0 where one side does not vary."""
    count = len(left)
    mean_left, mean_right = sum(left) / count, sum(right) / count
    pairs = [(a - mean_left, b - mean_right) for a, b in zip(left, right, strict=True)]
    spread = sqrt(sum(a * a for a, _ in pairs) * sum(b * b for _, b in pairs))
    return sum(a * b for a, b in pairs) / spread if spread else 0.0


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
