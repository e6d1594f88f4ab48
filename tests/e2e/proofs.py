"""What must hold after the worst: the seller is back, the log gapless, the store in order."""

import stamina

from buyer_agents import MarketClient
from market.audit import audit
from market.base.settings import Settings
from market.base.store import Store
from market.protocol.chain import Entry, verify_chain
from market.protocol.events import Event
from tests.processes import MarketProcess


class NotListed(Exception):
    """The seller has not come up yet."""


async def listed(market: MarketClient, *, within_seconds: float) -> str:
    """The service of ``page_seller``, as soon as it is there."""
    async for attempt in stamina.retry_context(on=NotListed, attempts=None, timeout=within_seconds):
        with attempt:
            found = (await market.services(q="page rows")).items
            if not found:
                raise NotListed
    return found[0].service_id


async def log_of(market: MarketClient, session_id: str) -> list[Event]:
    """The whole log of a session of this agent's own; offsets and hashes hold."""
    entries: list[Entry] = []
    while (page := await market.events(session_id, after=len(entries) - 1)).items:
        entries += page.items
    verify_chain(entries)
    return [entry for entry in entries if isinstance(entry, Event)]


def assert_whole(process: MarketProcess) -> None:
    """Stop a market, and look for what is broken in its store."""
    assert process.stop() == 0, process.said
    store = Store.open(Settings(home=process.home, issuer=process.url, log_level="error"))
    try:
        assert store.read_now(audit) == []
    finally:
        store.close()
