"""Re-scoring a stored decision: what price would have won it. Pure.

A decision keeps the best ten services that the buyer weighed, with the parts of each score. Where
the parts add up to the score, and the part named ``price`` falls with the price as ``weight *
lowest / amount`` does (``lowest`` being the cheapest offer weighed), scores at another price follow
from what was recorded, whatever the other parts are. That is checked on the numbers; where it does
not hold, nothing is claimed. Offers beyond the ten can only make the true answer higher.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

PRICE: Final = "price"
ROUNDED: Final = 2e-6
"""How far apart two recorded numbers may be that are the same: they are rounded to millionths."""


class Weighed(NamedTuple):
    """A service as it was weighed, with the parts of its score by name."""

    service_id: str
    amount_minor: int
    score: float
    parts: dict[str, float]


class PriceRule(NamedTuple):
    """How a buyer scores prices: ``weight`` for the cheapest, less in proportion for the others.

    ``others_minor`` is the lowest price among the other offers.
    """

    weight: float
    others_minor: int

    def part(self, amount_minor: int, *, own_minor: int) -> float:
        """Return the price part of an offer, if one's own price were ``own_minor``."""
        return self.weight * min(own_minor, self.others_minor) / amount_minor


class CannotRescore(ValueError):
    """The recorded parts do not tell how the price went into the scores."""


def price_rule(own: Weighed, others: Sequence[Weighed]) -> PriceRule:
    """Return the rule by which the prices of all these offers went into their scores.

    Raises:
        CannotRescore: their parts do not add up, or do not follow the price.
    """
    weighed = [own, *others]
    if not others or any(PRICE not in one.parts or one.amount_minor <= 0 for one in weighed):
        raise CannotRescore("not every score has a part 'price'")
    for one in weighed:
        if abs(sum(one.parts.values()) - one.score) > ROUNDED * len(one.parts):
            raise CannotRescore("the parts do not add up to the score")
    amounts = [one.amount_minor for one in weighed]
    weight = max(one.parts[PRICE] for one in weighed)
    if min(amounts) == max(amounts) or weight <= 0:
        raise CannotRescore("nothing shows how the price counts")
    for one in weighed:
        if abs(weight * min(amounts) / one.amount_minor - one.parts[PRICE]) > ROUNDED:
            raise CannotRescore("the part 'price' does not follow the price")
    return PriceRule(weight, min(one.amount_minor for one in others))


def winning_price(
    own: Weighed, rivals: Sequence[Weighed], rule: PriceRule, *, places: int = 1
) -> int | None:
    """Return the highest price at which ``own`` would have been one of the first ``places``.

    ``rivals`` are those it has to be ahead of; their prices stay as they were. A tie loses. None if
    no price would do, its own if it was ahead already.
    """

    def wins(amount_minor: int) -> bool:
        score = own.score - own.parts[PRICE] + rule.part(amount_minor, own_minor=amount_minor)
        scores = [
            rival.score - rival.parts[PRICE] + rule.part(rival.amount_minor, own_minor=amount_minor)
            for rival in rivals
        ]
        return sum(other >= score - ROUNDED for other in scores) < places

    if wins(own.amount_minor):
        return own.amount_minor
    # A lower price never ranks lower, so the highest that wins is found by halving.
    low, high = 0, own.amount_minor
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if wins(middle) else (low, middle)
    return low or None
