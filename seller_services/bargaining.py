"""Bargaining as a seller: what it answers to those who name another price.

A decision is a plain function of the counter-offer. It returns an amount, which the seller signs,
or None, which declines. The market takes no amount above the quoted one: asking for more than the
signed price counts against a seller.
"""

from collections.abc import Callable
from typing import Final

import structlog

from buyer_agents import MarketClient, Refused, every
from buyer_agents.returning import WrongReturn
from market.protocol.wire import CounterView, Page

Bargain = Callable[[CounterView], int | None]

NOT_FOR_THIS: Final = "not for this price"
FULL: Final = 100
"""Percent of the quoted price."""

log = structlog.get_logger(__name__)


def stand_firm(counter: CounterView) -> int | None:
    """Decline: the price is the price."""
    return None


def down_to(percent: int) -> Bargain:
    """Return a decision that meets every buyer, but goes no lower than ``percent`` of the quote.

    Who names that or more gets what was named; who names less gets an offer at the floor. It has
    one word for a piece of work: in a later round the quote may be what it went down to already.
    """

    def decide(counter: CounterView) -> int | None:
        floor_minor = -(-counter.quoted_minor * percent // FULL)
        return max(counter.amount_minor, floor_minor) if counter.round == 1 else None

    return decide


class Counter:
    """Where one service's counter-offers are answered."""

    def __init__(self, market: MarketClient, slug: str, decide: Bargain) -> None:
        self._market = market
        self._slug = slug
        self._decide = decide

    async def answer_open(self) -> None:
        """Answer those that came while nobody was here."""

        async def fetch(cursor: str | None) -> Page[CounterView]:
            return await self._market.counters(state="open", cursor=cursor)

        async for one in every(fetch):
            await self._answer(one)

    async def answer(self, counter_id: str) -> None:
        """Answer one, unless it has its answer."""
        one = await self._market.counter_offer(counter_id)
        if one.state == "open":
            await self._answer(one)

    async def _answer(self, one: CounterView) -> None:
        if one.slug != self._slug or one.seller_id != self._market.agent_id:
            return
        amount_minor = self._decide(one)
        if amount_minor is not None and type(amount_minor) is not int:
            expected = "a whole number of minor units, or None to decline"
            raise WrongReturn(self._decide, amount_minor, expected)
        try:
            if amount_minor is None:
                await self._market.decline_counter(one.id, NOT_FOR_THIS)
            else:
                await self._market.answer_counter(one, amount_minor)
        except Refused as refused:
            # Its time was over, or the service has another version by now: the buyer asks again.
            log.info("counter.left", counter_id=one.id, code=refused.code, why=refused.detail)
        else:
            log.info("counter.answered", counter_id=one.id, amount_minor=amount_minor)
