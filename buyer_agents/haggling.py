"""Bargaining as a buyer: naming lower prices for a quote's work, and taking the best answer.

What is named and answered stands in the session's log. A seller that declines, or says nothing,
has lost nothing: its quote stays good at its own price.
"""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Annotated, Final

import anyio
from msgspec import Meta

from buyer_agents.client import MarketClient
from buyer_agents.deciding import countered_by
from buyer_agents.errors import Refused
from buyer_agents.streams import follow_session
from buyer_agents.weighing import Bargaining, BestValue, Share
from market.protocol.events import Event
from market.protocol.signing import BadSignature
from market.protocol.wire import QuoteView

ANSWER_SECONDS: Final = 10.0
"""How long a seller may think about a price."""

MAX_ROUNDS: Final = 5
"""The market's own limit over one piece of work."""

_ANSWERS: Final = ("quote.answered", "quote.declined", "quote.expired")


class Haggler(BestValue):
    """Like best value, but it names a lower price for every offer that fits, and sees.

    It begins with the share ``opening`` of what is asked, then names the middle between its last
    word and the best that the seller has signed, for at most ``rounds``.
    """

    def __init__(
        self, opening: Share = 0.7, rounds: Annotated[int, Meta(ge=1, le=MAX_ROUNDS)] = 3
    ) -> None:
        self.opening = opening
        self.rounds = rounds

    def counter(self, quoted_minor: int, best_minor: int, named: Sequence[int]) -> int | None:
        if len(named) == self.rounds or best_minor in named:
            return None
        amount = (named[-1] + best_minor) // 2 if named else int(quoted_minor * self.opening)
        amount = max(amount, 1)
        return amount if amount < best_minor and amount not in named else None


async def haggle(
    market: MarketClient,
    policy: Bargaining,
    quote: QuoteView,
    *,
    session_id: str,
    answer_seconds: float = ANSWER_SECONDS,
) -> QuoteView:
    """Bargain over a quote as the policy will, and return the best: a new one, or the same."""
    best, named = quote, list[int]()
    while True:
        amount_minor = countered_by(policy, quote.amount_minor, best.amount_minor, named)
        if amount_minor is None or not 0 < amount_minor < best.amount_minor:
            return best
        named.append(amount_minor)
        try:
            after = (await market.session(session_id)).next_offset - 1
            # Always over the first quote: what the seller goes down to is a part of that.
            counter = await market.counter(quote, amount_minor, session_id=session_id)
            with anyio.move_on_after(answer_seconds):
                await _answered(market, session_id, after, counter.id)
            counter = await market.counter_offer(counter.id)
            if counter.state == "open":
                return best  # one at a time: who is silent is not asked again
            if counter.answer_quote_id is None:
                continue
            fresh = await market.quote(counter.answer_quote_id)
            await market.read_offer(fresh)
        except (Refused, BadSignature):
            # Too many rounds, another version by now, or not the seller's word.
            return best
        best = min(best, fresh, key=lambda one: one.amount_minor)


async def _answered(market: MarketClient, session_id: str, after: int, counter_id: str) -> None:
    """Wait until the log has the end of a counter-offer."""
    async with aclosing(follow_session(market, session_id, after)) as entries:
        async for entry in entries:
            if not isinstance(entry, Event) or entry.kind not in _ANSWERS:
                continue
            if entry.body["counter_id"] == counter_id:
                return
