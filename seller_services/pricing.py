"""How sellers go about their prices: dear and accommodating, cheaper by and by, or with demand.

In a scenario each is ``behaviour = "..."`` of a seller, and its members are ``params``. Percents
are of the price that the seller began with: its manifest's, or the story's.
"""

from abc import abstractmethod
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from seller_services.bargaining import down_to, stand_firm
from seller_services.repricing import FULL, Sales, priced
from seller_services.seller import Seller

Percent = Annotated[int, Meta(ge=1, le=1_000)]
Orders = Annotated[int, Meta(ge=0, le=1_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]


class Conduct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a seller does differently from its manifest and handler.

    One that means harm says ``is_honest = False`` in its class.
    """

    is_honest: ClassVar[bool] = True

    @abstractmethod
    def joins(self, seller: Seller) -> Seller:
        """Return a seller that sells what ``seller`` does, and behaves so."""


class Honest(Conduct, frozen=True, kw_only=True):
    """Sells what its manifest says, at the price that stands there."""

    def joins(self, seller: Seller) -> Seller:
        return seller


class Premium(Conduct, frozen=True, kw_only=True):
    """Asks more, and gives the money back to whoever is not content.

    It sells at ``percent`` of the price; for ``refund_seconds`` after an order is settled its
    buyer may have a refund without a reason.
    """

    percent: Percent = 150
    refund_seconds: Annotated[int, Meta(ge=1, le=31_536_000)] = 86_400

    def joins(self, seller: Seller) -> Seller:
        terms = {"refund": "within-window", "refund_window_seconds": self.refund_seconds}
        dearer = seller.with_listing(priced(seller.listing, self.percent))
        return dearer.with_listing({"policies": terms})


class Firm(Conduct, frozen=True, kw_only=True):
    """Declines every lower price that buyers name, whatever its own program would say."""

    def joins(self, seller: Seller) -> Seller:
        return seller.with_bargain(stand_firm)


class Bargainer(Conduct, frozen=True, kw_only=True):
    """Meets buyers who name a lower price, down to ``floor_percent`` of what it quoted."""

    floor_percent: Annotated[int, Meta(ge=1, le=100)] = 80

    def joins(self, seller: Seller) -> Seller:
        return seller.with_bargain(down_to(self.floor_percent))


class Repricing(Conduct, frozen=True, kw_only=True):
    """Looks ``every_seconds`` at what it sold since, and publishes another price if it wants to."""

    every_seconds: Seconds = 60.0

    def joins(self, seller: Seller) -> Seller:
        return seller.with_pricing(self.percent, every_seconds=self.every_seconds)

    @abstractmethod
    def percent(self, sales: Sales) -> int:
        """Return the price from now on, in percent of the one that it began with."""


class Discounting(Repricing, frozen=True, kw_only=True):
    """Lowers its price by ``step_percent`` while it sells fewer than ``fewest`` orders.

    It stops at ``floor_percent``, and never raises it again.
    """

    fewest: Orders = 1
    step_percent: Percent = 10
    floor_percent: Percent = 50

    def percent(self, sales: Sales) -> int:
        if sales.sold >= self.fewest:
            return sales.percent
        return min(sales.percent, max(self.floor_percent, sales.percent - self.step_percent))


class Dynamic(Repricing, frozen=True, kw_only=True):
    """Raises its price with demand, and lowers it without, by ``step_percent`` each time.

    Demand is ``busy`` orders or more since it looked last; none is ``idle`` or fewer. The price
    stays from ``floor_percent`` to ``ceiling_percent``.
    """

    busy: Orders = 3
    idle: Orders = 0
    step_percent: Percent = 10
    floor_percent: Percent = 50
    ceiling_percent: Percent = 200

    def __post_init__(self) -> None:
        if self.idle >= self.busy:
            raise ValueError("idle is below busy: else it would raise and lower at once")
        if not self.floor_percent <= FULL <= self.ceiling_percent:
            raise ValueError("floor_percent is at most 100, and ceiling_percent at least")

    def percent(self, sales: Sales) -> int:
        if sales.sold >= self.busy:
            return min(self.ceiling_percent, sales.percent + self.step_percent)
        if sales.sold <= self.idle:
            return max(self.floor_percent, sales.percent - self.step_percent)
        return sales.percent
