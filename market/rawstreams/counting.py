"""Counting and weighing an owner's raw streams and subscriptions, for its quotas."""

from typing import Final

from sqlalchemy import bindparam, func, select

from market.base import streams
from market.base.errors import QuotaExceeded
from market.base.sql import Sql, sum_of
from market.base.work import Snapshot
from market.rawstreams.rows import ANYONE
from market.rawstreams.tables import raw_streams, subscriptions

WEIGHED_EVERY: Final = 1024 * 1024
"""After how many bytes of one stream its owner's streams are weighed again."""

_THEIRS = (raw_streams.c.owner_id == bindparam("owner_id"), raw_streams.c.state != "gone")
_COUNT: Final = Sql(select(func.count().label("total")).select_from(raw_streams).where(*_THEIRS))
_WEIGH: Final = Sql(
    select(sum_of(streams.streams.c.bytes).label("total"))
    .select_from(raw_streams)
    .join(streams.streams, streams.streams.c.id == raw_streams.c.id)
    .where(*_THEIRS)
)
_SUBSCRIPTIONS: Final = Sql(
    select(func.count().label("total"))
    .select_from(subscriptions)
    .where(subscriptions.c.owner_id == bindparam("owner_id"))
)


def count_streams(snapshot: Snapshot, agent_id: str) -> int:
    """Return how many raw streams an agent has."""
    return int(snapshot.one(_COUNT, owner_id=agent_id).total)


def weigh_streams(snapshot: Snapshot, agent_id: str) -> int:
    """Return how many bytes are in an agent's raw streams; what forks share counts once."""
    return int(snapshot.one(_WEIGH, owner_id=agent_id).total)


def count_subscriptions(snapshot: Snapshot, agent_id: str) -> int:
    """Return how many subscriptions an agent has."""
    return int(snapshot.one(_SUBSCRIPTIONS, owner_id=agent_id).total)


def need_room_for_stream(snapshot: Snapshot, *, owner_id: str, size: int) -> None:
    """Let pass one more stream, which begins with ``size`` bytes.

    Raises:
        QuotaExceeded: its owner has as many, or as much in them, as it may.
    """
    if owner_id == ANYONE:
        return
    limit, used = snapshot.settings.max_streams, count_streams(snapshot, owner_id)
    if used >= limit:
        raise QuotaExceeded(
            f"An agent has at most {limit} streams; delete some.",
            quota="streams",
            limit=limit,
            used=used,
        )
    if size:
        _need_bytes(snapshot, owner_id, size)


def need_room_for_bytes(snapshot: Snapshot, *, owner_id: str, before: int, size: int) -> None:
    """Let pass ``size`` bytes more in a stream of ``before``.

    What the owner's other streams hold is added up after every ``WEIGHED_EVERY`` bytes alone.

    Raises:
        QuotaExceeded: its owner has as much as it may.
    """
    if owner_id == ANYONE:
        return
    is_due = before // WEIGHED_EVERY != (before + size) // WEIGHED_EVERY
    if is_due or before + size > snapshot.settings.max_stream_bytes:
        _need_bytes(snapshot, owner_id, size)


def _need_bytes(snapshot: Snapshot, owner_id: str, size: int) -> None:
    limit, used = snapshot.settings.max_stream_bytes, weigh_streams(snapshot, owner_id)
    if used + size > limit:
        raise QuotaExceeded(
            f"An agent's streams hold at most {limit} bytes; delete some.",
            quota="stream_bytes",
            limit=limit,
            used=used,
        )
