"""How large a simulated market is, and when the attack begins."""

from typing import Final

import msgspec

DAYS: Final = 120
"""Days of a market in full size; those of the attacks are set for this many."""

SHOWN: Final = 10
"""How many sellers a buyer looks at, in a market of any size: the first, or as many by chance."""

_ATTACK_DAY: Final = 30
_EXIT_DAY: Final = 70
_LEAST_ANCHORS: Final = 5


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a market. ``scale`` 1 is the full size; days are not scaled with the rest."""

    scale: float = 1.0
    days: int = DAYS

    def sized(self, number: int, *, least: int = 1) -> int:
        """Return a number of the full size as it is here, at least ``least``."""
        return max(least, round(number * self.scale))

    @property
    def sellers(self) -> int:
        """Honest sellers that are there from the first day."""
        return self.sized(100, least=4)

    @property
    def newcomers(self) -> int:
        """Honest sellers that enter one by one."""
        return self.sized(20)

    @property
    def buyers(self) -> int:
        """Honest buyers, the anchors among them."""
        return self.sized(300, least=12)

    @property
    def anchors(self) -> int:
        """Vetted buyers: 15 of 300, but never fewer than the rule of trust works with."""
        return self.sized(15, least=_LEAST_ANCHORS)

    @property
    def orders_a_day(self) -> int:
        """What the honest buyers buy in a day, all together."""
        return self.sized(150, least=6)

    @property
    def top(self) -> int:
        """How many sellers are the best: 10 of 120."""
        return self.sized(10)

    @property
    def attack_day(self) -> int:
        """The first day of an attack; what attacks take is counted from here on."""
        return _ATTACK_DAY * self.days // DAYS

    @property
    def exit_day(self) -> int:
        """The day on which exit scammers stop delivering."""
        return _EXIT_DAY * self.days // DAYS

    def joining_day(self, number: int) -> int:
        """Return when newcomer ``number`` enters: evenly over the middle of the time."""
        first, last = self.days // 12, self.days - self.days // 4
        return first + (last - first) * number // self.newcomers
