"""Writing: create, fork, claim, append, close, remove."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import BigInteger, LargeBinary, bindparam, delete, func, select, update
from sqlalchemy import insert as plain_insert

from market.base.sql import PerDialect, Sql, insert, insert_ignore
from market.base.streams.errors import ForkTooDeep, StreamClosed, StreamNotFound
from market.base.streams.tables import entries, producers, streams
from market.base.tables import UtcDateTime
from market.base.work import Entry, Snapshot, UnitOfWork

REMOVED_AT_ONCE: Final = 1_000
"""Entries that one unit of work removes at most, so that others are not kept waiting."""

REMOVED_BYTES: Final = 8 * 1024 * 1024
"""And bytes, or a single entry with more: they cost 4 ms for each MiB."""

MAX_DEPTH: Final = 32
"""Forks of forks that share entries with one another, at most."""


class Stream(NamedTuple):
    """Where a stream stands. ``head`` is for its room: sessions keep the last hash there.

    A fork's entries below ``forked_at`` are those of ``source_id``.
    """

    next_offset: int
    head: str
    is_closed: bool
    source_id: str | None = None
    forked_at: int | None = None


_CREATE: Final = Sql(insert_ignore(streams, omit=("source_id", "forked_at", "is_gone", "bytes")))
_FORK: Final = Sql(insert(streams, omit=("is_gone", "bytes")))
_STREAM = select(
    streams.c.next_offset,
    streams.c.head,
    streams.c.is_closed,
    streams.c.source_id,
    streams.c.forked_at,
).where(streams.c.id == bindparam("stream_id"), streams.c.is_gone == 0)
_READ_STREAM: Final = Sql(_STREAM)
_LOCK_STREAM: Final = Sql(PerDialect(_STREAM, _STREAM.with_for_update()))
_MOVE: Final = Sql(
    update(streams)
    .where(streams.c.id == bindparam("stream_id"), streams.c.next_offset == bindparam("first"))
    .values(
        next_offset=bindparam("next"),
        head=bindparam("new_head"),
        bytes=streams.c.bytes + bindparam("size", type_=BigInteger()),
    )
)
_CLOSE: Final = Sql(
    update(streams).where(streams.c.id == bindparam("stream_id")).values(is_closed=1)
)


def _add(rows: int) -> Sql:
    """Return the insert of so many entries in a row: one statement, one turn at the database."""
    first = bindparam("first", type_=BigInteger())
    values = [
        {
            "stream_id": bindparam("stream_id"),
            "offset": first + place if place else first,
            "recorded_at": bindparam("recorded_at", type_=UtcDateTime()),
            "data": bindparam(f"data_{place}", type_=LargeBinary()),
        }
        for place in range(rows)
    ]
    return Sql(plain_insert(entries).values(values).inline())


_ADD: Final = {rows: _add(rows) for rows in (64, 32, 16, 8, 4, 3, 2, 1)}
"""By how many entries they add, the most first."""

_GIVE_UP: Final = Sql(
    update(streams).where(streams.c.id == bindparam("stream_id")).values(is_gone=1)
)
_SIZES: Final = Sql(
    select(entries.c.offset, func.length(entries.c.data).label("size"))
    .where(entries.c.stream_id == bindparam("stream_id"))
    .order_by(entries.c.offset)
    .limit(bindparam("limit"))
)
_REMOVE_ENTRIES: Final = Sql(
    delete(entries).where(
        entries.c.stream_id == bindparam("stream_id"), entries.c.offset <= bindparam("last")
    )
)
_REMOVE_PRODUCERS: Final = Sql(
    delete(producers).where(producers.c.stream_id == bindparam("stream_id"))
)
_REMOVE: Final = Sql(delete(streams).where(streams.c.id == bindparam("stream_id")))


def create(uow: UnitOfWork, *, stream_id: str, head: str = "") -> None:
    """Make an empty open stream; a repeat changes nothing."""
    uow.run(_CREATE, id=stream_id, next_offset=0, head=head, is_closed=False, created_at=uow.now)


def fork(
    uow: UnitOfWork, *, stream_id: str, source_id: str, next_offset: int, head: str = ""
) -> None:
    """Make an open stream whose entries below ``next_offset`` are those of ``source_id``.

    Nothing is copied. The source must not be removed while the fork lives; what is appended to
    it later is not the fork's.

    Raises:
        StreamNotFound: there is no such source.
        ForkTooDeep: it is itself a fork of a fork of ... too many.
    """
    source = stream(uow, stream_id=source_id)
    if source is None:
        raise StreamNotFound("There is no stream to fork under this id.")
    assert 0 <= next_offset <= source.next_offset, "a fork begins within its source"
    while source.source_id is not None and next_offset <= (source.forked_at or 0):
        # All that it shares is its source's own source's: readers need not ask the one between.
        source_id = source.source_id
        further = stream(uow, stream_id=source_id)
        assert further is not None, "a source is removed after its forks"
        source = further
    _check_depth(uow, source)
    uow.run(
        _FORK,
        id=stream_id,
        next_offset=next_offset,
        head=head,
        is_closed=False,
        created_at=uow.now,
        source_id=source_id,
        forked_at=next_offset,
    )


def _check_depth(uow: UnitOfWork, source: Stream | None) -> None:
    depth = 1
    while source is not None and source.source_id is not None:
        depth += 1
        if depth > MAX_DEPTH:
            # Each costs a reader one more look.
            raise ForkTooDeep(f"At most {MAX_DEPTH} forks lie one upon the other.")
        source = stream(uow, stream_id=source.source_id)


def stream(snapshot: Snapshot, *, stream_id: str) -> Stream | None:
    """Return where a stream stands, or None when there is none."""
    row = snapshot.one(_READ_STREAM, stream_id=stream_id)
    return None if row is None else Stream(*row)


def claim(uow: UnitOfWork, *, stream_id: str) -> Stream:
    """Return where an open stream stands and keep others from appending until this work ends.

    Raises:
        StreamNotFound: there is none.
        StreamClosed: nothing can be appended any more.
    """
    row = uow.one(_LOCK_STREAM, stream_id=stream_id)
    if row is None:
        raise StreamNotFound("There is no stream under this id.")
    if row.is_closed:
        raise StreamClosed("The log is complete.", next_offset=row.next_offset)
    return Stream(*row)


def put(
    uow: UnitOfWork, *, stream_id: str, claimed: Stream, data: Sequence[bytes], head: str = ""
) -> list[Entry]:
    """Append to a stream that this unit of work has claimed; return the new entries."""
    first = claimed.next_offset
    new = [Entry(first + place, item, {}) for place, item in enumerate(data)]
    added = 0
    for rows, statement in _ADD.items():
        while len(data) - added >= rows:
            some = {f"data_{place}": data[added + place] for place in range(rows)}
            uow.run(
                statement, stream_id=stream_id, first=first + added, recorded_at=uow.now, **some
            )
            added += rows
    moved = uow.run(
        _MOVE,
        stream_id=stream_id,
        first=first,
        next=first + len(new),
        new_head=head,
        size=sum(map(len, data)),
    )
    assert moved == 1, "a claimed stream moved under its holder"
    uow.ring(stream_id, new)
    return new


def append(uow: UnitOfWork, *, stream_id: str, data: Sequence[bytes]) -> int:
    """Append entries to an open stream and return the offset of the first.

    Raises:
        StreamNotFound: there is none.
        StreamClosed: nothing can be appended any more.
    """
    claimed = claim(uow, stream_id=stream_id)
    put(uow, stream_id=stream_id, claimed=claimed, data=data)
    return claimed.next_offset


def close(uow: UnitOfWork, *, stream_id: str) -> None:
    """Close a stream for good, and wake its readers; a repeat changes nothing."""
    uow.run(_CLOSE, stream_id=stream_id)
    uow.ring(stream_id, [])


def remove(uow: UnitOfWork, *, stream_id: str, limit: int = REMOVED_AT_ONCE) -> bool:
    """Remove the first entries of a stream, which is gone at once; say if those were all.

    At most ``limit`` go, of some MiB together. Its forks must have been removed before. Call it
    again until it returns True.
    """
    uow.run(_GIVE_UP, stream_id=stream_id)
    uow.ring(stream_id, [])
    found = uow.all(_SIZES, stream_id=stream_id, limit=limit)
    going, size = 0, 0
    for entry in found:
        size += entry.size
        if going and size > REMOVED_BYTES:
            break
        going += 1
    if going:
        uow.run(_REMOVE_ENTRIES, stream_id=stream_id, last=found[going - 1].offset)
    if going == limit or going < len(found):
        return False
    uow.run(_REMOVE_PRODUCERS, stream_id=stream_id)
    uow.run(_REMOVE, stream_id=stream_id)
    return True
