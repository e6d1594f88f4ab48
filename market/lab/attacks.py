"""Attacks on a market's ranking. Each says what its people do on a day, and whom it is against."""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import ClassVar, Final

from market.base.work import UnitOfWork
from market.lab.people import Agent, Seller
from market.lab.town import Town
from market.lab.trading import Deal, Outcome, fate_of, honest_deal

ORDERS_A_DAY: Final = 30
"""What the fake buyers of an attack buy in a day, all together, in full size."""

TOLD_ENOUGH: Final = 2
"""Bad orders after which a whitewasher enters anew."""


class Attack:
    """Nobody attacks: the calm market, and what all attacks have in common.

    ``party`` are all its people, ``victims`` the sellers it is against, and ``defectors`` those
    who were honest before.
    """

    title: ClassVar[str] = "calm: nobody attacks"
    has_fakes: ClassVar[bool] = False

    def __init__(self, town: Town) -> None:
        self.town = town
        self.chance: Random = town.chance_of("attack")
        self.party: list[Agent] = []
        self.victims: list[Seller] = []
        self.defectors: list[Seller] = []

    @property
    def first_day(self) -> int:
        """The day from which on its effects are counted."""
        return self.town.plan.attack_day

    def begin(self, uow: UnitOfWork) -> None:
        """Let the attackers enter. Called once, in the morning of the first day."""

    def dawn(self, uow: UnitOfWork, day: int) -> None:
        """Change what the attackers are, in the morning of every day from the first."""

    def deals(self) -> list[Deal]:
        """Return what the fake buyers buy today."""
        return []

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Take in what became of today's orders."""


class Sybil(Attack):
    """Bad sellers whose own fake buyers buy from them and praise them."""

    title = "sybil: 3 bad sellers, 60 fake buyers, 30 wash orders a day"
    has_fakes = True
    ring: ClassVar[int] = 3
    fakes: ClassVar[int] = 60
    camouflage: ClassVar[float] = 0.0
    """The part of the fakes' orders that are real purchases with honest reviews."""

    def begin(self, uow: UnitOfWork) -> None:
        """Let the ring enter."""
        plan = self.town.plan
        self._ring = [
            self.town.add_seller(uow, f"ring-{number}", day=self.first_day, is_attacker=True)
            for number in range(plan.sized(self.ring))
        ]
        self._fakes = self.town.add_fakes(uow, plan.sized(self.fakes))
        self.party = [one.agent for one in self._ring] + [one.agent for one in self._fakes]

    def deals(self) -> list[Deal]:
        """Return today's wash orders, and the purchases that hide them."""
        return [self._deal() for _ in range(self.town.plan.sized(ORDERS_A_DAY))]

    def _deal(self) -> Deal:
        fake = self.chance.choice(self._fakes)
        if self.chance.random() < self.camouflage:
            honest = [seller for seller in self.town.ranking if not seller.is_attacker]
            return honest_deal(fake, self.chance.choice(honest), self.chance)
        return Deal(fake, self.chance.choice(self._ring), "good", "good")


class Collusion(Sybil):
    """A larger ring with fewer fakes, a fifth of whose orders are real purchases."""

    title = "collusion: 5 bad sellers, 40 fake buyers, a fifth of their orders real"
    ring = 5
    fakes = 40
    camouflage = 0.2


class ExitScam(Attack):
    """Some of the best-ranked sellers stop delivering."""

    title = "exit: 3 of the 10 best-ranked sellers stop delivering"
    count = 3

    @property
    def first_day(self) -> int:
        """The day on which they stop."""
        return self.town.plan.exit_day

    def begin(self, uow: UnitOfWork) -> None:
        """Turn the defectors."""
        best = self.town.ranking[: self.town.plan.top]
        self.defectors = self.chance.sample(best, self.town.plan.sized(self.count))
        for seller in self.defectors:
            seller.quality, seller.is_attacker = 0.0, True
        self.party = [seller.agent for seller in self.defectors]


class Whitewash(Attack):
    """Bad sellers that leave and enter anew when enough is known of them."""

    title = "whitewash: 10 bad sellers enter anew after two bad orders"
    count = 10

    def begin(self, uow: UnitOfWork) -> None:
        """Let them enter for the first time."""
        self._bad: Counter[str] = Counter()
        self._entered = 0
        for _ in range(self.town.plan.sized(self.count)):
            self._enter(uow, self.first_day)

    def dawn(self, uow: UnitOfWork, day: int) -> None:
        """Let those enter anew of whom enough was told."""
        known = [one for one in self.town.sellers if self._bad[one.id] >= TOLD_ENOUGH]
        for seller in known:
            self.town.retire(uow, seller)
            self._enter(uow, day)

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Count what was told of each."""
        for outcome in outcomes:
            if outcome.deal.seller.is_attacker and outcome.rating == 0:
                self._bad[outcome.deal.seller.id] += 1

    def _enter(self, uow: UnitOfWork, day: int) -> None:
        fresh = self.town.add_seller(uow, f"fresh-{self._entered}", day=day, is_attacker=True)
        self.party.append(fresh.agent)
        self._entered += 1


class BadMouthing(Attack):
    """Fake buyers that buy from the best sellers and say that all of it was bad."""

    title = "bad-mouthing: 40 fake buyers rate the 5 best sellers bad"
    has_fakes = True
    count = 5
    fakes = 40

    def begin(self, uow: UnitOfWork) -> None:
        """Choose the victims, by their true quality."""
        by_quality = sorted(self.town.sellers, key=lambda one: (-one.quality, one.name))
        self.victims = by_quality[: self.town.plan.sized(self.count)]
        self._fakes = self.town.add_fakes(uow, self.town.plan.sized(self.fakes))
        self.party = [fake.agent for fake in self._fakes]

    def deals(self) -> list[Deal]:
        """Return today's purchases, each with a bad word."""
        return [
            Deal(
                self.chance.choice(self._fakes),
                victim := self.chance.choice(self.victims),
                fate_of(victim, self.chance),
                "bad",
            )
            for _ in range(self.town.plan.sized(ORDERS_A_DAY))
        ]


ATTACKS: Final[dict[str, type[Attack]]] = {
    "calm": Attack,
    "sybil": Sybil,
    "collusion": Collusion,
    "exit": ExitScam,
    "whitewash": Whitewash,
    "bad-mouthing": BadMouthing,
}
"""Every attack by the name that ``--attacks`` knows."""
