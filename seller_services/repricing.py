"""Changing a price while one sells: each change is a new version of the manifest, signed.

The rules are the market's. A quote that was given stays good at its price; a version once
published never changes; every change is counted in the seller's trust report, and one whose
changes are mostly raises is marked ``price_rising`` there.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import anyio
import structlog

from buyer_agents import MarketClient, Refused
from buyer_agents.returning import WrongReturn
from market.protocol.money import decimal_text, parse_amount
from market.protocol.wire import ServiceView

FULL: Final = 100
"""Percent: the price that the seller began with."""

_PARTS: Final = 3
_AMOUNTS: Final = ("amount", "beyond")

log = structlog.get_logger(__name__)


class Sales(NamedTuple):
    """What a seller sees when it looks at its price: orders since it looked last, and the price.

    ``percent`` is the present price in percent of the one that it began with.
    """

    sold: int
    percent: int


Reprice = Callable[[Sales], int]
"""Decides the price from now on, in percent of the one that the seller began with."""


class Repricer:
    """Looks at one service's price every so often. Its orders are counted in ``sold``."""

    def __init__(self, decide: Reprice, every_seconds: float) -> None:
        self.sold = 0
        self._decide = decide
        self._every_seconds = every_seconds

    async def run(self, market: MarketClient, service: ServiceView) -> None:
        """Reprice a service that has just been listed, until cancelled.

        Raises:
            WrongReturn: the decision is no whole number of percent.
        """
        tree, version, percent = service.manifest, service.version, FULL
        while True:
            await anyio.sleep(self._every_seconds)
            wanted = _wanted(self._decide, Sales(self.sold, percent))
            self.sold = 0
            if wanted == percent:
                continue
            version = version_above(version)
            try:
                await market.publish({**priced(tree, wanted), "version": version})
            except Refused as refused:
                # Suspended, or out of its quota: the price stays, and the next look comes.
                log.warning("price.kept", code=refused.code, detail=refused.detail)
            else:
                log.info("price.changed", slug=service.slug, version=version, percent=wanted)
                percent = wanted


def _wanted(decide: Reprice, sales: Sales) -> int:
    percent: Any = decide(sales)
    if type(percent) is not int or percent < 1:
        raise WrongReturn(decide, percent, "a whole number of percent, at least 1")
    return percent


def priced(tree: Mapping[str, Any], percent: int) -> dict[str, Any]:
    """Return a manifest with every amount of its price at ``percent`` of what it was.

    Amounts are rounded down to minor units, and are never less than one.
    """
    return {**tree, "price": _scaled(tree["price"], tree["price"]["currency"], percent)}


def version_above(version: str) -> str:
    """Return the next version: ``1.0`` is followed by ``1.0.1``."""
    parts = [int(part) for part in version.split(".")]
    parts += [0] * (_PARTS - len(parts))
    return ".".join(str(part) for part in [*parts[:-1], parts[-1] + 1])


def _scaled(value: Any, currency: str, percent: int) -> Any:
    if isinstance(value, list):
        return [_scaled(one, currency, percent) for one in value]
    if not isinstance(value, Mapping):
        return value
    return {
        name: _amount(one, currency, percent)
        if name in _AMOUNTS
        else _scaled(one, currency, percent)
        for name, one in value.items()
    }


def _amount(text: str, currency: str, percent: int) -> str:
    minor = parse_amount(text, currency) * percent // FULL
    return decimal_text(max(1, minor), currency)
