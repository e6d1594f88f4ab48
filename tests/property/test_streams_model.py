"""Streams against a model: whatever is appended, repeated, fenced and closed, in any order.

Laws: offsets are 0 to n-1 without a gap, what is read is what was appended, a producer's repeat
appends nothing, a stale one is refused, and nothing follows a close.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from market.base import streams
from market.base.errors import MarketError
from market.base.settings import Settings
from market.base.store import Store
from market.base.streams import Producer
from market.base.work import UnitOfWork

NUMBERS = count(1)
BATCHES = st.lists(st.binary(max_size=24), min_size=1, max_size=4)
PLACES = st.integers(0, 1)
PRODUCERS = st.sampled_from(["left", "right"])


class Model:
    """What a stream should be."""

    def __init__(self) -> None:
        self.id = f"stream-{next(NUMBERS)}"
        self.entries: list[bytes] = []
        self.is_closed = False
        self.producers: dict[str, tuple[int, int, int]] = {}

    def answer_to(self, producer: Producer) -> type[MarketError] | int | None:
        """The refusal of a producer's request, the answer to its repeat, or None for a new one."""
        if self.is_closed:
            return streams.StreamClosed
        if producer.id not in self.producers:
            return streams.ProducerGap if producer.seq else None
        epoch, seq, next_offset = self.producers[producer.id]
        if producer.epoch < epoch:
            return streams.ProducerFenced
        if producer.epoch > epoch:
            return streams.BadProducer if producer.seq else None
        if producer.seq > seq + 1:
            return streams.ProducerGap
        return next_offset if producer.seq <= seq else None


def produce(uow: UnitOfWork, *, stream_id: str, producer: Producer, data: Sequence[bytes]) -> int:
    """Append as a producer and return the next offset: what sessions do, without their meaning."""
    claimed = streams.claim(uow, stream_id=stream_id)
    kept = streams.check_producer(uow, stream_id=stream_id, producer=producer)
    if kept is not None:
        return kept
    streams.put(uow, stream_id=stream_id, claimed=claimed, data=data)
    next_offset = claimed.next_offset + len(data)
    streams.keep_producer(uow, stream_id=stream_id, producer=producer, next_offset=next_offset)
    return next_offset


class Streams(RuleBasedStateMachine):
    """Two streams in one store, so that what happens to one shows in the other if it leaks."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.models = [Model(), Model()]
        for model in self.models:
            store.write_now(streams.create, stream_id=model.id)

    @rule(place=PLACES, data=BATCHES)
    def append(self, place: int, data: list[bytes]) -> None:
        model = self.models[place]
        if model.is_closed:
            with pytest.raises(streams.StreamClosed):
                self.store.write_now(streams.append, stream_id=model.id, data=data)
            return

        first = self.store.write_now(streams.append, stream_id=model.id, data=data)

        assert first == len(model.entries)
        model.entries += data

    @rule(
        place=PLACES,
        name=PRODUCERS,
        epoch=st.integers(0, 2),
        seq=st.integers(0, 4),
        data=BATCHES,
    )
    def produce_anything(
        self, place: int, name: str, epoch: int, seq: int, data: list[bytes]
    ) -> None:
        self.produce(self.models[place], Producer(name, epoch, seq), data)

    @rule(place=PLACES, name=PRODUCERS, data=BATCHES, repeats=st.integers(1, 3))
    def produce_next_and_repeat_it(
        self, place: int, name: str, data: list[bytes], repeats: int
    ) -> None:
        model = self.models[place]
        epoch, seq, _ = model.producers.get(name, (0, -1, 0))
        for _ in range(repeats):
            self.produce(model, Producer(name, epoch, seq + 1), data)

    @rule(place=PLACES)
    def close(self, place: int) -> None:
        model = self.models[place]
        self.store.write_now(streams.close, stream_id=model.id)
        model.is_closed = True

    @rule(place=PLACES, after=st.integers(-1, 12), limit=st.integers(1, 5))
    def read_a_page(self, place: int, after: int, limit: int) -> None:
        model = self.models[place]

        page = self.store.read_now(streams.read, stream_id=model.id, after=after, limit=limit)

        due = list(enumerate(model.entries))[after + 1 : after + 1 + limit]
        assert [(entry.offset, entry.data) for entry in page.entries] == due
        last = due[-1][0] if due else after
        assert page.is_end == (model.is_closed and last + 1 >= len(model.entries))

    @invariant()
    def the_log_is_the_model(self) -> None:
        for model in self.models:
            whole = self.store.read_now(streams.read, stream_id=model.id, after=-1)
            assert [(entry.offset, entry.data) for entry in whole.entries] == list(
                enumerate(model.entries)
            )
            assert whole.next_offset == len(model.entries)

    def produce(self, model: Model, producer: Producer, data: list[bytes]) -> None:
        expected = model.answer_to(producer)
        request = partial(
            self.store.write_now, produce, stream_id=model.id, producer=producer, data=data
        )
        if isinstance(expected, type):
            with pytest.raises(expected):
                request()
            return

        answer = request()

        if expected is None:
            model.entries += data
            expected = len(model.entries)
            model.producers[producer.id] = (producer.epoch, producer.seq, expected)
        assert answer == expected


@pytest.fixture
def sqlite_store(sqlite_settings: Settings) -> Iterator[Store]:
    # Durability is not the question here; hundreds of commits are faster without it.
    store = Store.open(sqlite_settings.with_(synchronous="normal"))
    yield store
    store.close()


def test_streams_do_what_the_model_says(sqlite_store: Store):
    run_state_machine_as_test(
        lambda: Streams(sqlite_store),
        settings=settings(max_examples=60, stateful_step_count=25, deadline=None),
    )
