"""Append and close: what arrives for one stream at the same time is one unit of work.

A stream's rows are then read and moved once for all of it. Every request is checked before
anything is written, so that one refusal changes nothing for its neighbours.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import bindparam, update

from market.base import streams
from market.base.caller import Caller
from market.base.errors import MarketError
from market.base.sql import Sql
from market.base.streams import Producer
from market.base.streams.producers import Known, is_repeat, known
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.rawstreams import content, stirring
from market.rawstreams.counting import need_room_for_bytes
from market.rawstreams.errors import (
    ContentTypeDiffers,
    LogClosed,
    SequenceConflict,
    StreamDeleted,
)
from market.rawstreams.rows import alive, for_writing, locked
from market.rawstreams.tables import raw_streams

_KEEP: Final = Sql(
    update(raw_streams)
    .where(raw_streams.c.id == bindparam("stream_id"))
    .values(
        last_seq=bindparam("seq"),
        closed_by=bindparam("who"),
        lapses_at=bindparam("until", type_=UtcDateTime()),
    )
)


class Append(NamedTuple):
    """One request. ``entry`` None only closes; a refusal in its place is raised at its turn."""

    caller: Caller | None
    content_type: str | None
    entry: bytes | MarketError | None
    producer: Producer | None
    seq: str | None
    closes: bool


class Appended(NamedTuple):
    """Where the stream stood right after this request. ``seq``: the producer's highest."""

    next_offset: int
    is_closed: bool
    is_repeat: bool
    seq: int | None


Outcome = Appended | MarketError


class _Pen:
    """A claimed stream in the hands of one unit of work: what it will be when that is done."""

    def __init__(self, uow: UnitOfWork, row: Any) -> None:
        self._uow = uow
        self._row = row
        self.data: list[bytes] = []
        self.size: int = row.bytes
        self.is_closed: bool = row.is_closed
        self.closed_by: str | None = row.closed_by
        self.last_seq: str | None = row.last_seq
        self._producers: dict[str, Known | None] = {}
        self._moved: dict[str, Producer] = {}

    @property
    def next_offset(self) -> int:
        return int(self._row.next_offset) + len(self.data)

    def take(self, request: Append) -> Appended:
        """Take one request in.

        Raises:
            MarketError: it is refused, and changes nothing.
        """
        for_writing(self._row, request.caller)
        producer = request.producer
        if self.is_closed:
            return self._take_late(request)
        if request.entry is not None:
            self._check_type(request.content_type)
        if producer is not None and is_repeat(producer, latest := self._latest(producer.id)):
            assert latest is not None, "only what was appended is repeated"
            return Appended(self.next_offset, False, True, latest.seq)
        if request.seq is not None and self.last_seq is not None and request.seq <= self.last_seq:
            raise SequenceConflict(f"The last one is {self.last_seq!r}.", last_seq=self.last_seq)
        if isinstance(request.entry, MarketError):
            raise request.entry
        if request.entry is not None:
            self._add(request.entry)
        if request.seq is not None:
            self.last_seq = request.seq
        if request.closes:
            self.is_closed = True
            self.closed_by = None if producer is None else _signature(producer)
        if producer is not None:
            self._producers[producer.id] = Known(producer.epoch, producer.seq, self.next_offset)
            self._moved[producer.id] = producer
        seq = None if producer is None else producer.seq
        return Appended(self.next_offset, self.is_closed, False, seq)

    def put_down(self) -> None:
        """Write what was taken in."""
        uow, row = self._uow, self._row
        if self.data:
            claimed = streams.Stream(row.next_offset, "", is_closed=False)
            streams.put(uow, stream_id=row.id, claimed=claimed, data=self.data)
            if row.is_watched:
                stirring.stir(uow, row.id)
        if self.is_closed and not row.is_closed:
            streams.close(uow, stream_id=row.id)
        for producer in self._moved.values():
            streams.keep_producer(
                uow, stream_id=row.id, producer=producer, next_offset=self.next_offset
            )
        until = row.lapses_at
        if row.ttl_seconds is not None:
            until = uow.now + timedelta(seconds=row.ttl_seconds)
        kept = (self.last_seq, self.closed_by, until)
        if kept != (row.last_seq, row.closed_by, row.lapses_at):
            uow.run(_KEEP, stream_id=row.id, seq=kept[0], who=kept[1], until=kept[2])

    def _take_late(self, request: Append) -> Appended:
        """Answer what comes after the end: the closing request again, or another one's mistake."""
        producer = request.producer
        if producer is not None and _signature(producer) == self.closed_by:
            return Appended(self.next_offset, True, True, producer.seq)
        if producer is None and request.entry is None:
            return Appended(self.next_offset, True, True, None)
        raise LogClosed("Its end is final.", next_offset=self.next_offset, closed=True)

    def _add(self, entry: bytes) -> None:
        need_room_for_bytes(
            self._uow, owner_id=self._row.owner_id, before=self.size, size=len(entry)
        )
        self.data.append(entry)
        self.size += len(entry)

    def _check_type(self, content_type: str | None) -> None:
        own = self._row.content_type
        if content_type is not None and content.media_of(content_type) != content.media_of(own):
            raise ContentTypeDiffers(f"The stream holds {own}.", content_type=own)

    def _latest(self, producer_id: str) -> Known | None:
        if producer_id not in self._producers:
            self._producers[producer_id] = known(
                self._uow, stream_id=self._row.id, producer_id=producer_id
            )
        return self._producers[producer_id]


def append(uow: UnitOfWork, *, path: str, requests: Sequence[Append]) -> list[Outcome]:
    """Do requests for one stream in their order; return for each where it led, or its refusal.

    Raises:
        StreamNotFound: there is no such stream, for any of them.
    """
    row = locked(uow, path=path)
    try:
        pen = _Pen(uow, alive(uow, row))
    except StreamDeleted as refusal:
        return [_turned_away(row, request) or refusal for request in requests]
    outcomes: list[Outcome] = []
    for request in requests:
        try:
            outcomes.append(pen.take(request))
        except MarketError as refusal:
            outcomes.append(refusal)
    if any(isinstance(outcome, Appended) for outcome in outcomes):
        pen.put_down()
    return outcomes


def _turned_away(row: Any, request: Append) -> MarketError | None:
    """Return the refusal of a request by one who is not even told that there is a stream."""
    try:
        for_writing(row, request.caller)
    except streams.StreamNotFound as refusal:
        return refusal
    return None


def put_entry(uow: UnitOfWork, row: Any, entry: bytes) -> None:
    """Append an entry of the market's own to a stream that is locked, alive and open."""
    pen = _Pen(uow, row)
    pen.data.append(entry)
    pen.put_down()


def _signature(producer: Producer) -> str:
    return msgspec.json.encode(list(producer)).decode()
