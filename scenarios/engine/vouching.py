"""Vouching: a story's overseers, who make anchors of the buyers that it vouches for."""

from collections.abc import Iterable
from typing import Final

from buyer_agents import MarketClient
from scenarios.engine.form import Scenario

OVERSEER: Final = "overseer"
SECOND: Final = "second-overseer"
"""Who confirms what the first proposes: one alone cannot make an anchor."""

_REASON: Final = "The story vouches for this buyer."


def overseers(scenario: Scenario) -> list[str]:
    """Return the names of a story's overseers: a second one is there if anybody is vouched for."""
    needs_second = any(buyer.vouched for buyer in scenario.buyers)
    return [OVERSEER, SECOND] if needs_second else [OVERSEER]


async def vouch(first: MarketClient, second: MarketClient, agent_ids: Iterable[str]) -> None:
    """Make anchors of registered buyers: one overseer proposes each, the other confirms it."""
    for agent_id in agent_ids:
        await first.propose_anchor(agent_id, _REASON)
        await second.confirm_anchor(agent_id, _REASON)
