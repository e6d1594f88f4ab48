"""Watching: what other workers of a shared database have shut out, this one's doors hear of.

Without it a reader who is quiet would stay until its next sign of life. One look serves all.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog

from market import identity
from market.base.errors import MarketError
from market.base.store import Store
from market.faces.http.doors import Doorkeeper
from market.identity import ShutOut

LOOK_SECONDS: Final = 0.5
OVERLAP: Final = timedelta(minutes=1)
"""How far the clocks of two workers may be apart, and commits behind their moment."""

log: Final = structlog.get_logger("market.http")


async def keep_watch(
    store: Store, doors: Doorkeeper, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Have the doors forget whom another worker has shut out, until cancelled.

    A database with one worker needs none: this returns at once.
    """
    if store.settings.dialect == "sqlite":
        return
    known: frozenset[ShutOut] = frozenset()
    while True:
        known = await look(store, doors, known)
        await pause(LOOK_SECONDS)


async def look(store: Store, doors: Doorkeeper, known: frozenset[ShutOut]) -> frozenset[ShutOut]:
    """Look once; return what is known now."""
    try:
        found = await store.scan(identity.lately_shut_out, since=store.clock.now() - OVERLAP)
    except MarketError as refusal:
        # The database is away. What was missed is still there at the next look.
        log.warning("doors.unseen", code=refusal.code, detail=refusal.detail)
        return known
    for agent_id in {shut.agent_id for shut in found - known}:
        doors.forget(agent_id)
    return found
