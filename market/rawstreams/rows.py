"""A raw stream as its rows tell it: where it stands, whether it is still there, who may what."""

from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import bindparam, select

from market.base import streams
from market.base.caller import Caller
from market.base.sql import PerDialect, Sql
from market.base.work import Snapshot, UnitOfWork
from market.rawstreams.errors import StreamDeleted
from market.rawstreams.tables import raw_streams

Access = Literal["private", "readable", "open"]
"""``private``: its owner, and overseers reading. ``readable``: every agent reads. ``open``: every
agent also appends."""

ANYONE: Final = "anyone"
"""The owner of what is created without a token, where the settings open streams to all."""

_ROW = (
    select(
        raw_streams,
        streams.streams.c.next_offset,
        streams.streams.c.is_closed,
        streams.streams.c.bytes,
    )
    .join(streams.streams, streams.streams.c.id == raw_streams.c.id)
    .where(raw_streams.c.state != "gone")
)
_BY_PATH = _ROW.where(raw_streams.c.path == bindparam("path"))
_BY_ID = _ROW.where(raw_streams.c.id == bindparam("stream_id"))
_FIND: Final = Sql(_BY_PATH)
_FIND_ID: Final = Sql(_BY_ID)
_LOCK: Final = Sql(PerDialect(_BY_PATH, _BY_PATH.with_for_update()))
_LOCK_ID: Final = Sql(PerDialect(_BY_ID, _BY_ID.with_for_update()))
_FORK_OF: Final = Sql(
    select(raw_streams.c.id)
    .where(raw_streams.c.source_id == bindparam("stream_id"), raw_streams.c.state != "gone")
    .limit(1)
)


class RawStream(NamedTuple):
    """Where a raw stream stands. Offsets count requests, of which each is one entry."""

    id: str
    path: str
    content_type: str
    next_offset: int
    is_closed: bool
    is_private: bool
    ttl_seconds: int | None
    expires_at: datetime | None


def standing(row: Any) -> RawStream:
    """Return the public part of a row."""
    return RawStream(
        row.id,
        row.path,
        row.content_type,
        row.next_offset,
        row.is_closed,
        row.owner_id != ANYONE,
        row.ttl_seconds,
        row.expires_at,
    )


def found(snapshot: Snapshot, *, path: str) -> Any | None:
    """Return the row under a path, dead or alive, or None."""
    return snapshot.one(_FIND, path=path)


def locked(uow: UnitOfWork, *, path: str) -> Any | None:
    """Return the row under a path and keep other workers from it; None when there is none."""
    return uow.one(_LOCK, path=path)


def locked_by_id(uow: UnitOfWork, *, stream_id: str) -> Any | None:
    """Return a row by its id and keep other workers from it; None when there is none."""
    return uow.one(_LOCK_ID, stream_id=stream_id)


def found_by_id(snapshot: Snapshot, *, stream_id: str) -> Any | None:
    """Return a row by its id, dead or alive, or None."""
    return snapshot.one(_FIND_ID, stream_id=stream_id)


def is_lapsed(row: Any, now: datetime) -> bool:
    """Whether a stream's time is over."""
    return row.lapses_at is not None and row.lapses_at <= now


def has_forks(snapshot: Snapshot, *, stream_id: str) -> bool:
    """Whether a stream must stay because others share its entries."""
    return snapshot.one(_FORK_OF, stream_id=stream_id) is not None


def alive(snapshot: Snapshot, row: Any | None) -> Any:
    """Return a row that is there.

    Raises:
        StreamNotFound: it is not, or its time is over.
        StreamDeleted: it is kept for its forks alone.
    """
    if row is None:
        raise streams.StreamNotFound("There is no stream at this path for you.")
    if row.state == "live" and not is_lapsed(row, snapshot.now):
        return row
    if row.state == "live" and not has_forks(snapshot, stream_id=row.id):
        raise streams.StreamNotFound("There is no stream at this path for you.")
    raise StreamDeleted("Create another one, at another path.")


def for_reading(snapshot: Snapshot, row: Any | None, caller: Caller | None) -> Any:
    """Return a row that is there and that ``caller`` may read; None is anyone.

    Raises:
        StreamNotFound, StreamDeleted: as ``alive``; also for what is not the caller's.
    """
    if row is None or _is_theirs(row, caller):
        return alive(snapshot, row)
    if caller is not None and (caller.is_overseer or row.access != "private"):
        return alive(snapshot, row)
    raise streams.StreamNotFound("There is no stream at this path for you.")


def for_writing(row: Any, caller: Caller | None) -> None:
    """Let pass a caller that may append to a stream.

    Raises:
        StreamNotFound: it is not the caller's.
    """
    is_open = caller is not None and row.access == "open"
    if not (is_open or _is_theirs(row, caller)):
        raise streams.StreamNotFound("There is no stream at this path for you.")


def for_removal(row: Any, caller: Caller | None) -> None:
    """Let pass a caller that may delete a stream.

    Raises:
        StreamNotFound: it is not the caller's.
    """
    if not _is_theirs(row, caller):
        raise streams.StreamNotFound("There is no stream at this path for you.")


def _is_theirs(row: Any, caller: Caller | None) -> bool:
    if row.owner_id == ANYONE:
        return True
    return caller is not None and bool(row.owner_id == caller.agent_id)
