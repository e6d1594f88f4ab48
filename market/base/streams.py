"""Streams: append-only logs with gapless offsets, idempotent producers and a final close.

Offsets count entries from 0. Within a stream the order of offsets is the order of commits: the
appending transaction claims them by updating the stream's own row, which it then holds until it
ends. Closing is final, repeatable and observable. An entry never changes.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    bindparam,
    select,
    update,
)

from market.base.errors import Conflict, Forbidden, Gone, Invalid, NotFound
from market.base.hub import Ear
from market.base.sql import PerDialect, Sql, insert, insert_ignore, upsert
from market.base.store import Store
from market.base.tables import Flag, UtcDateTime, metadata
from market.base.work import Entry, Snapshot, UnitOfWork

MAX_PAGE: Final = 500
"""Entries that one read returns at most."""

MAX_PAGE_BYTES: Final = 256 * 1024
"""Bytes after which a read stops, with at least one entry."""

FIRST_STEP: Final = 32
"""Entries that a read fetches first; then twice as many, so that long ones are not read in vain."""

POLL_SECONDS: Final = 1.0
"""How long a waiting reader trusts the bell before it looks for itself."""


class StreamNotFound(NotFound):
    code = "stream_not_found"
    title = "There is no such stream here"


class StreamClosed(Gone):
    code = "stream_closed"
    title = "The stream is closed: nothing more can be appended"


class ProducerFenced(Forbidden):
    code = "producer_fenced"
    title = "A newer instance of this producer has taken over"


class ProducerGap(Conflict):
    code = "producer_gap"
    title = "The producer skipped a sequence number"


class BadProducer(Invalid):
    code = "bad_producer"
    title = "The producer headers make no sense"


streams = Table(
    "streams",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("head", String(64), nullable=False),
    Column("is_closed", Flag, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

entries = Table(
    "stream_entries",
    metadata,
    Column(
        "position",
        BigInteger().with_variant(Integer(), "sqlite"),
        Identity(),
        primary_key=True,
    ),
    Column("stream_id", String(80), ForeignKey("streams.id"), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("uq_stream_entries_stream_id_offset", "stream_id", "offset", unique=True),
)

producers = Table(
    "stream_producers",
    metadata,
    Column("stream_id", String(80), nullable=False),
    Column("producer_id", String(64), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    PrimaryKeyConstraint("stream_id", "producer_id"),
)


class Stream(NamedTuple):
    """Where a stream stands. ``head`` is for its room: sessions keep the last hash there."""

    next_offset: int
    head: str
    is_closed: bool


class Producer(NamedTuple):
    """Who appends, in which life (``epoch``), and its count of requests (``seq``, from 0)."""

    id: str
    epoch: int
    seq: int


_CREATE: Final = Sql(insert_ignore(streams))
_STREAM = select(streams.c.next_offset, streams.c.head, streams.c.is_closed).where(
    streams.c.id == bindparam("stream_id")
)
_READ_STREAM: Final = Sql(_STREAM)
_LOCK_STREAM: Final = Sql(PerDialect(_STREAM, _STREAM.with_for_update()))
_MOVE: Final = Sql(
    update(streams)
    .where(streams.c.id == bindparam("stream_id"), streams.c.next_offset == bindparam("first"))
    .values(next_offset=bindparam("next"), head=bindparam("new_head"))
)
_CLOSE: Final = Sql(
    update(streams).where(streams.c.id == bindparam("stream_id")).values(is_closed=1)
)
_ADD: Final = Sql(insert(entries, omit=("position",)))
_PAGE: Final = Sql(
    select(entries.c.offset, entries.c.data)
    .where(entries.c.stream_id == bindparam("stream_id"), entries.c.offset > bindparam("after"))
    .order_by(entries.c.offset)
    .limit(bindparam("limit"))
)
_PRODUCER: Final = Sql(
    select(producers.c.epoch, producers.c.seq, producers.c.next_offset).where(
        producers.c.stream_id == bindparam("stream_id"),
        producers.c.producer_id == bindparam("producer_id"),
    )
)
_KEEP_PRODUCER: Final = Sql(
    upsert(
        producers,
        keys=["stream_id", "producer_id"],
        set_={name: bindparam(name) for name in ("epoch", "seq", "next_offset")},
    )
)


def create(uow: UnitOfWork, *, stream_id: str, head: str = "") -> None:
    """Make an empty open stream; a repeat changes nothing."""
    uow.run(_CREATE, id=stream_id, next_offset=0, head=head, is_closed=False, created_at=uow.now)


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
    rows = [
        {
            "stream_id": stream_id,
            "offset": entry.offset,
            "recorded_at": uow.now,
            "data": entry.data,
        }
        for entry in new
    ]
    if len(rows) == 1:
        uow.run(_ADD, **rows[0])
    else:
        uow.run_many(_ADD, rows)
    moved = uow.run(_MOVE, stream_id=stream_id, first=first, next=first + len(new), new_head=head)
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


def check_producer(uow: UnitOfWork, *, stream_id: str, producer: Producer) -> int | None:
    """Return None for a new request of a producer; for a repeat, where its latest one ended.

    Call it after ``claim`` and, for a new request, ``keep_producer`` after ``put``.

    Raises:
        ProducerFenced: a later epoch of this producer has written.
        ProducerGap: requests before this one are missing.
        BadProducer: a new epoch does not begin at sequence 0.
    """
    row = uow.one(_PRODUCER, stream_id=stream_id, producer_id=producer.id)
    if row is None or producer.epoch > row.epoch:
        if producer.seq != 0:
            if row is None:
                raise ProducerGap("The first request of a producer has sequence 0.", expected_seq=0)
            raise BadProducer("A new epoch begins at sequence 0.", epoch=row.epoch)
        return None
    if producer.epoch < row.epoch:
        raise ProducerFenced("This epoch is over.", epoch=row.epoch)
    if producer.seq <= row.seq:
        return int(row.next_offset)
    if producer.seq > row.seq + 1:
        raise ProducerGap(
            "Requests are missing before this one.",
            expected_seq=row.seq + 1,
            received_seq=producer.seq,
        )
    return None


def keep_producer(uow: UnitOfWork, *, stream_id: str, producer: Producer, next_offset: int) -> None:
    """Remember the latest request of a producer, in the unit of work that appended it."""
    uow.run(
        _KEEP_PRODUCER,
        stream_id=stream_id,
        producer_id=producer.id,
        epoch=producer.epoch,
        seq=producer.seq,
        next_offset=next_offset,
    )


class Read(NamedTuple):
    """Entries after an offset, and where the stream stands. ``is_end``: closed, and all read."""

    entries: list[Entry]
    next_offset: int
    is_end: bool


def read(snapshot: Snapshot, *, stream_id: str, after: int, limit: int = MAX_PAGE) -> Read:
    """Return up to ``limit`` entries after offset ``after`` (-1: from the start).

    Raises:
        StreamNotFound: there is no such stream.
    """
    now = stream(snapshot, stream_id=stream_id)
    if now is None:
        raise StreamNotFound("There is no stream under this id.")
    is_behind = after + 1 < now.next_offset
    found = _page(snapshot, stream_id, after, min(limit, MAX_PAGE)) if is_behind else []
    last = found[-1].offset if found else after
    return Read(found, now.next_offset, now.is_closed and last + 1 >= now.next_offset)


async def follow(
    store: Store, *, stream_id: str, after: int, patience_seconds: float = POLL_SECONDS
) -> AsyncGenerator[Read, None]:
    """Yield what follows ``after``: first the past, then live, without gap or repeat.

    An empty ``Read`` comes every ``patience_seconds`` in which nothing happened, so that the
    caller may send a sign of life or give up. The last one has ``is_end``; it also ends when the
    market drains. Nothing is read ahead of the consumer.

    Raises:
        StreamNotFound: there is no such stream.
    """
    is_alone = store.settings.dialect == "sqlite"
    turns = 1 if is_alone else max(1, round(patience_seconds / POLL_SECONDS))
    quiet = 0
    with store.hub.listen(stream_id) as ear:
        while not store.hub.is_draining:
            found = await _at_hand(store, ear, stream_id, after)
            if found is not None:
                quiet = 0
                if found.entries:
                    after = found.entries[-1].offset
                yield found
                if found.is_end:
                    return
            elif not await ear.wait(patience_seconds / turns):
                quiet += 1
                if not is_alone:
                    # Another worker may have written without ringing here.
                    ear.look()
                if quiet % turns == 0:
                    yield Read([], after + 1, is_end=False)


async def _at_hand(store: Store, ear: Ear, stream_id: str, after: int) -> Read | None:
    """Return what follows ``after``, from memory or else the log; None when it is time to wait."""
    heard = ear.take(after)
    if heard:
        return Read(heard, heard[-1].offset + 1, is_end=False)
    if ear.must_look():
        found = await store.read(read, stream_id=stream_id, after=after)
        if found.entries:
            ear.look()
        if found.entries or found.is_end:
            return found
    return None


def _page(snapshot: Snapshot, stream_id: str, after: int, limit: int) -> list[Entry]:
    found: list[Entry] = []
    size, step = 0, FIRST_STEP
    while len(found) < limit:
        step = min(step, limit - len(found))
        rows = snapshot.all(_PAGE, stream_id=stream_id, after=after, limit=step)
        for row in rows:
            size += len(row.data)
            if found and size > MAX_PAGE_BYTES:
                return found
            found.append(Entry(row.offset, bytes(row.data), {}))
        if len(rows) < step:
            break
        after, step = rows[-1].offset, step * 2
    return found
