"""Vouching: a story's overseers, who make anchors of the buyers that it vouches for."""

from collections.abc import Sequence
from typing import Final

from buyer_agents import MarketClient
from scenarios.engine.form import Scenario
from scenarios.engine.seeds import key_of, nonces_of
from scenarios.engine.worlds import World

OVERSEER: Final = "overseer"
SECOND: Final = "second-overseer"
"""Who confirms what the first proposes: one alone cannot make an anchor."""

_REASON: Final = "The story vouches for this buyer."


def overseers(scenario: Scenario) -> list[str]:
    """Return the names of a story's overseers: a second one is there if anybody is vouched for."""
    needs_second = any(buyer.vouched for buyer in scenario.buyers)
    return [OVERSEER, SECOND] if needs_second else [OVERSEER]


async def vouch(
    overseer: MarketClient, agent_ids: Sequence[str], *, world: World, seed: int
) -> None:
    """Make anchors of registered buyers: one overseer proposes each, the second confirms it."""
    if not agent_ids:
        return
    key, nonce = key_of(seed, SECOND), nonces_of(seed, SECOND)
    async with MarketClient(world.url, key, nonce=nonce, **world.options()) as second:
        await second.register(SECOND, "overseer")
        for agent_id in agent_ids:
            await overseer.propose_anchor(agent_id, _REASON)
            await second.confirm_anchor(agent_id, _REASON)
