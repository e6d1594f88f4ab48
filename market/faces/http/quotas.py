"""Quotas: how much of each thing one agent may have at a time, and what it has.

Rooms count; what is left is remembered for a moment here, so that the busiest verbs cost no
statement more: a count is read again after a second, or after ten while most is left. What several
workers let pass in that time may exceed a quota by as much. Nothing that reads, cancels or removes
asks for any of it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from market import catalog, identity, inbox, memory, rawstreams, sessions
from market.base.errors import QuotaExceeded
from market.base.once import Once, is_kept
from market.base.settings import Settings
from market.base.store import Store
from market.base.work import Snapshot
from market.protocol.wire import Page, QuotaView

NEAR_SECONDS: Final = 1.0
FAR_SECONDS: Final = 10.0
MAX_REMEMBERED: Final = 50_000


class Quota(NamedTuple):
    """One thing that is counted, under the name that refusals give."""

    name: str
    limit: Callable[[Settings], int]
    used: Callable[[Snapshot, str], int]
    few: Callable[[Snapshot, str], int | None] | None = None
    """A quick look, if there is one: what is used at most, or None if that would take long."""


QUOTAS: Final = (
    Quota(
        "open_sessions",
        lambda settings: settings.max_open_sessions,
        sessions.count_open,
        sessions.few_open,
    ),
    Quota(
        "open_quotes",
        lambda settings: settings.max_open_quotes,
        catalog.count_open_quotes,
        catalog.few_open_quotes,
    ),
    Quota("services", lambda settings: settings.max_services, catalog.count_services),
    Quota("inbox", lambda settings: settings.max_inbox, inbox.count_waiting, inbox.count_waiting),
    Quota("notes", lambda _: memory.MAX_NOTES, memory.count_notes),
    Quota("note_bytes", lambda settings: settings.max_note_bytes, memory.weigh_notes),
    Quota("streams", lambda settings: settings.max_streams, rawstreams.count_streams),
    Quota("stream_bytes", lambda settings: settings.max_stream_bytes, rawstreams.weigh_streams),
    Quota("subscriptions", lambda _: rawstreams.MAX_SUBSCRIPTIONS, rawstreams.count_subscriptions),
    Quota("delegations", lambda _: identity.MAX_DELEGATIONS, identity.count_delegations),
)
_BY_NAME: Final = {quota.name: quota for quota in QUOTAS}


class Quotas:
    """Remembers what is left to agents. One event loop uses it."""

    def __init__(self, store: Store, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._now = now
        self._left: dict[tuple[str, str], tuple[int, float]] = {}
        self._counting: dict[tuple[str, str], asyncio.Task[tuple[int, float]]] = {}

    async def take(
        self, name: str, agent_id: str, *, size: int = 1, once: Once | None = None
    ) -> None:
        """Let pass what makes an agent have more. A repeat under a key that is known passes, too.

        Raises:
            QuotaExceeded: it would have more than it may.
        """
        key = (name, agent_id)
        left, until = self._left.get(key, (0, 0.0))
        if self._now() >= until or left < size:
            if (counting := self._counting.get(key)) is None:
                counting = self._counting[key] = asyncio.create_task(self._count(key))
            counted = await asyncio.shield(counting)
            # Others that waited for the same count have taken of it meanwhile.
            left, until = self._left.get(key, counted)
            if left < size:
                await self._refuse(_BY_NAME[name], left, once)
        self._left[key] = (left - size, until)

    async def _count(self, key: tuple[str, str]) -> tuple[int, float]:
        """Count once for all who ask meanwhile: who sits at a limit keeps one reader busy."""
        name, agent_id = key
        quota, now = _BY_NAME[name], self._now()
        limit = quota.limit(self._store.settings)
        try:
            used = None if quota.few is None else await self._store.read(quota.few, agent_id)
            if used is None or used * 2 > limit:
                used = await self._store.scan(quota.used, agent_id)
        finally:
            del self._counting[key]
        if len(self._left) >= MAX_REMEMBERED:
            self._left.clear()
        left = limit - used
        counted = left, now + (FAR_SECONDS if left * 2 > limit else NEAR_SECONDS)
        self._left[key] = counted
        return counted

    async def _refuse(self, quota: Quota, left: int, once: Once | None) -> None:
        if once is not None and await self._store.read(is_kept, once=once):
            return
        limit = quota.limit(self._store.settings)
        raise QuotaExceeded(
            f"An agent has at most {limit} of '{quota.name}'; see GET /v1/quota.",
            quota=quota.name,
            limit=limit,
            used=limit - left,
        )


def quotas_of(snapshot: Snapshot, *, agent_id: str) -> Page[QuotaView]:
    """Return every quota with an agent's use of it."""
    items = [
        QuotaView(
            name=quota.name,
            used=quota.used(snapshot, agent_id),
            limit=quota.limit(snapshot.settings),
        )
        for quota in QUOTAS
    ]
    return Page(items=items, next=None)
