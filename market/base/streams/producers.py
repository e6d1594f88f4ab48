"""Idempotent producers: a request that is sent again is not appended again."""

from typing import Final, NamedTuple

from sqlalchemy import bindparam, func, select

from market.base.errors import QuotaExceeded
from market.base.sql import Sql, upsert
from market.base.streams.errors import BadProducer, ProducerFenced, ProducerGap
from market.base.streams.tables import producers
from market.base.work import UnitOfWork

MAX_PRODUCERS: Final = 1_000
"""Producers that one log remembers."""


class Producer(NamedTuple):
    """Who appends, in which life (``epoch``), and its count of requests (``seq``, from 0)."""

    id: str
    epoch: int
    seq: int


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


_COUNT: Final = Sql(
    select(func.count().label("total"))
    .select_from(producers)
    .where(producers.c.stream_id == bindparam("stream_id"))
)


class Known(NamedTuple):
    """The latest request of a producer that was appended, and where its entries ended."""

    epoch: int
    seq: int
    next_offset: int


def known(uow: UnitOfWork, *, stream_id: str, producer_id: str) -> Known | None:
    """Return what is remembered of a producer, or None before its first request.

    Raises:
        QuotaExceeded: it would be one more than a log remembers.
    """
    row = uow.one(_PRODUCER, stream_id=stream_id, producer_id=producer_id)
    if row is not None:
        return Known(*row)
    if uow.one(_COUNT, stream_id=stream_id).total >= MAX_PRODUCERS:
        raise QuotaExceeded(
            f"A log remembers at most {MAX_PRODUCERS} producers.",
            quota="producers",
            limit=MAX_PRODUCERS,
        )
    return None


def is_repeat(producer: Producer, latest: Known | None) -> bool:
    """Whether this request was appended before.

    Raises:
        ProducerFenced: a later epoch of this producer has written.
        ProducerGap: requests before this one are missing.
        BadProducer: a new epoch does not begin at sequence 0.
    """
    if latest is None or producer.epoch > latest.epoch:
        if producer.seq == 0:
            return False
        if latest is None:
            raise ProducerGap(
                "The first request of a producer has sequence 0.",
                expected_seq=0,
                received_seq=producer.seq,
            )
        raise BadProducer("A new epoch begins at sequence 0.", epoch=latest.epoch)
    if producer.epoch < latest.epoch:
        raise ProducerFenced("This epoch is over.", epoch=latest.epoch)
    if producer.seq > latest.seq + 1:
        raise ProducerGap(
            "Requests are missing before this one.",
            expected_seq=latest.seq + 1,
            received_seq=producer.seq,
        )
    return producer.seq <= latest.seq


def check_producer(uow: UnitOfWork, *, stream_id: str, producer: Producer) -> int | None:
    """Return None for a new request of a producer; for a repeat, where its latest one ended.

    Call it after ``claim`` and, for a new request, ``keep_producer`` after ``put``.

    Raises:
        ProducerFenced, ProducerGap, BadProducer: as ``is_repeat``.
    """
    latest = known(uow, stream_id=stream_id, producer_id=producer.id)
    if not is_repeat(producer, latest):
        return None
    assert latest is not None, "only what was appended is repeated"
    return latest.next_offset


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
