"""The market's HTTP contract as methods, in the wire's own structs.

Each method is one request. Refusals raise ``Refused``; what is signed is signed here, with the
agent's key, over what the caller says. Idempotency keys are made once per call, so that a retry
after a lost answer repeats nothing.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeVar

from buyer_agents.account_verbs import AccountVerbs
from buyer_agents.ap2_verbs import Ap2Verbs
from buyer_agents.delegating import DelegationVerbs
from buyer_agents.dispute_verbs import DisputeVerbs
from buyer_agents.log_verbs import LogVerbs
from buyer_agents.session_verbs import SessionVerbs
from buyer_agents.trade_verbs import TradeVerbs
from buyer_agents.trust_verbs import TrustVerbs
from market.protocol.wire import Page

Item = TypeVar("Item")


class MarketClient(
    AccountVerbs, TradeVerbs, SessionVerbs, LogVerbs, DelegationVerbs, DisputeVerbs, Ap2Verbs,
    TrustVerbs,
):  # fmt: skip
    """A buyer, seller, principal or overseer at one market."""


async def every(
    fetch: Callable[[str | None], Awaitable[Page[Item]]],
) -> AsyncGenerator[Item, None]:
    """Yield the items of all pages of a list; ``fetch`` gets one page by its cursor."""
    cursor: str | None = None
    while True:
        page = await fetch(cursor)
        for item in page.items:
            yield item
        if page.next is None:
            return
        cursor = page.next
