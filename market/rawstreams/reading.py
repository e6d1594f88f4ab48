"""Read: where a stream stands, a page of it, and a sign that somebody still wants it."""

from typing import Final, NamedTuple

from sqlalchemy import bindparam, update

from market.base import streams
from market.base.caller import Caller
from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import Entry, Snapshot, UnitOfWork
from market.rawstreams.rows import (
    RawStream,
    alive,
    for_reading,
    found,
    found_by_id,
    standing,
)
from market.rawstreams.tables import raw_streams

_NOW: Final = bindparam("now", type_=UtcDateTime())
_TOUCH: Final = Sql(
    update(raw_streams)
    .where(
        raw_streams.c.id == bindparam("stream_id"),
        raw_streams.c.state == "live",
        raw_streams.c.ttl_seconds.is_not(None),
        # Others may have been told that what has lapsed is gone.
        raw_streams.c.lapses_at > _NOW,
    )
    .values(lapses_at=_NOW + raw_streams.c.ttl_seconds * 1_000_000)
)


class Part(NamedTuple):
    """Entries after an offset, and where the stream stands."""

    stream: RawStream
    entries: list[Entry]


def look_up(snapshot: Snapshot, *, caller: Caller | None, path: str) -> RawStream:
    """Return where the stream at a path stands.

    Raises:
        StreamNotFound: there is none that the caller may read.
        StreamDeleted: it is kept for its forks alone.
    """
    return standing(for_reading(snapshot, found(snapshot, path=path), caller))


def read(snapshot: Snapshot, *, stream_id: str, after: int, limit: int, max_bytes: int) -> Part:
    """Return what follows offset ``after`` (-1: from the start) of a stream that was looked up.

    Raises:
        StreamNotFound, StreamDeleted: it went in the meantime.
    """
    row = alive(snapshot, found_by_id(snapshot, stream_id=stream_id))
    part = streams.read(
        snapshot, stream_id=stream_id, after=after, limit=limit, max_bytes=max_bytes
    )
    return Part(standing(row), part.entries)


def touch(uow: UnitOfWork, *, stream_id: str) -> None:
    """Let a stream's time to live begin anew, if it has one and it is not over."""
    uow.run(_TOUCH, stream_id=stream_id, now=uow.now)
