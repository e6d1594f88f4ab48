"""The lookout: what other workers of a shared database wrote, looked for once for all readers.

Without it every waiting reader asks the database once a second; with it one query a second serves
them all. It reads the entries of transactions from the oldest on that was still running when it
looked last (PostgreSQL's ``xid8``): by a sequence alone, those that commit late would be missed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import structlog
from sqlalchemy import String, bindparam, cast, func, select, text

from market.base.errors import MarketError
from market.base.sql import Sql
from market.base.store import Store
from market.base.streams.reading import POLL_SECONDS
from market.base.streams.tables import entries
from market.base.work import Snapshot

MAX_MOVED: Final = 10_000
"""Streams that one look tells of; with more, every reader looks for itself."""

_OLDEST: Final = Sql(
    select(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), String).label("oldest"))
)
_MOVED: Final = Sql(
    select(entries.c.stream_id, func.max(entries.c.offset).label("last"))
    .where(text("xid >= CAST(:since AS xid8)").bindparams(bindparam("since", type_=String())))
    .group_by(entries.c.stream_id)
    .limit(MAX_MOVED + 1)
)
log: Final = structlog.get_logger("market.store")


class Moved(NamedTuple):
    """Which streams have gone on, up to which offset. ``oldest`` is where to look from next."""

    last: dict[str, int]
    oldest: str


def moved(snapshot: Snapshot, *, since: str | None) -> Moved:
    """Return the streams that have gone on since the last look; of the first look, none."""
    oldest: str = snapshot.one(_OLDEST).oldest
    rows = [] if since is None else snapshot.all(_MOVED, since=since)
    return Moved({row.stream_id: row.last for row in rows}, oldest)


async def keep_lookout(
    store: Store, *, pause: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Tell this loop's readers once a second what they may have missed, until cancelled.

    A database with one worker needs none: this returns at once.
    """
    if store.settings.dialect == "sqlite":
        return
    since: str | None = None
    store.hub.has_lookout = True
    try:
        while True:
            since = await look(store, since)
            await pause(POLL_SECONDS)
    finally:
        store.hub.has_lookout = False


async def look(store: Store, since: str | None) -> str | None:
    """Look once; return where to look from next, which is the same place if it failed."""
    try:
        found = await store.scan(moved, since=since)
    except MarketError as refusal:
        # The database is away. The next look begins where this one should have.
        log.warning("streams.unseen", code=refusal.code, detail=refusal.detail)
        return since
    store.hub.hint(found.last, are_all=len(found.last) <= MAX_MOVED)
    return found.oldest
