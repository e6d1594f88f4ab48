"""Raw streams against a model, on both databases: appends, repeats, stale epochs, closes, forks,
time that passes, deletes, crashes, in any order.

``STREAMS_EXAMPLES`` sets how many histories are tried on SQLite (50 by default; a third of them
on PostgreSQL).
"""

import copy
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from market import rawstreams
from market.base.clock import ManualClock
from market.base.errors import MarketError
from market.base.settings import Settings
from market.base.store import Store
from market.base.streams import Producer
from market.rawstreams import Append, Fork, NewStream
from tests.property.rawstreams_model import Answer, Form, Model, Request

EXAMPLES = int(os.environ.get("STREAMS_EXAMPLES", "50"))
STEPS = 40
STEP_SECONDS = 10
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
HISTORIES = count(1)
PATHS = st.sampled_from(["a", "b", "c", "d"])
BODIES = st.binary(min_size=1, max_size=6)
TIMES = st.one_of(
    st.just({}),
    st.integers(5, 40).map(lambda seconds: {"ttl": seconds}),
    st.integers(5, 60).map(lambda seconds: {"expires": seconds}),
)
PRODUCERS = st.builds(
    Producer, st.sampled_from(["left", "right"]), st.integers(0, 2), st.integers(0, 3)
)
REQUESTS = st.builds(
    Request,
    body=st.one_of(st.just(b""), BODIES, BODIES),
    producer=st.one_of(st.none(), PRODUCERS),
    seq=st.one_of(st.none(), st.none(), st.sampled_from(["1", "2", "3"])),
    closes=st.sampled_from([False] * 19 + [True]),
).filter(lambda request: request.body or request.closes)

Result = TypeVar("Result")


class House:
    """A store that can crash: it is opened anew on what was committed."""

    def __init__(self, settings: Settings) -> None:
        self.clock = ManualClock(START)
        self._settings = settings
        self.store = Store.open(settings, clock=self.clock)

    def crash(self) -> None:
        """Lose all that is in memory."""
        self.store.close()
        self.store = Store.open(self._settings, clock=self.clock)


class RawStreams(RuleBasedStateMachine):
    """Four paths in one house; a history has a folder of its own there."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house = house
        self.folder = f"history-{next(HISTORIES)}"
        self.began = house.clock.now()
        self.model = Model()

    @initialize(times=st.lists(TIMES, min_size=2, max_size=2), body=BODIES)
    def begin(self, times: list[dict[str, int]], body: bytes) -> None:
        """A stream with entries, and a fork of it."""
        self.make("a", self.form(times[0]), body)
        self.ask("a", [Request(body), Request(body)])
        self.make("b", self.form(times[1], source="a", offset=2), b"")

    @rule(path=PATHS, times=TIMES, is_closed=st.sampled_from([False] * 5 + [True]), body=BODIES)
    def create(self, path: str, times: dict[str, int], is_closed: bool, body: bytes) -> None:
        self.make(path, self.form(times, is_closed=is_closed), body)

    @rule(
        path=PATHS,
        source=PATHS,
        times=TIMES,
        offset=st.one_of(st.none(), st.integers(0, 6)),
        within=st.sampled_from([0, 0, 0, 1, 3]),
        body=st.one_of(st.just(b""), BODIES),
    )
    def fork(
        self,
        path: str,
        source: str,
        times: dict[str, int],
        offset: int | None,
        within: int,
        body: bytes,
    ) -> None:
        source = self.taken(source)
        form = self.form(times, source=source, offset=offset, within=within)
        self.make(path, form, body)

    @rule(path=PATHS)
    def create_the_same_again(self, path: str) -> None:
        log = self.model.logs.get(path)
        if log is not None:
            form = log.form._replace(ttl=log.ttl, expires=log.expires, is_closed=log.is_closed)
            self.make(path, form, b"")

    @rule(path=PATHS, requests=st.lists(REQUESTS, min_size=1, max_size=3))
    def append(self, path: str, requests: list[Request]) -> None:
        self.ask(self.taken(path), requests)

    @rule(path=PATHS, name=st.sampled_from(["left", "right"]), body=BODIES, again=st.integers(0, 2))
    def append_the_next_of_a_producer_and_repeat_it(
        self, path: str, name: str, body: bytes, again: int
    ) -> None:
        path = self.taken(path)
        log = self.model.logs.get(path)
        latest = log.producers.get(name) if log is not None else None
        following = Producer(name, 0, 0) if latest is None else latest._replace(seq=latest.seq + 1)
        for _ in range(1 + again):
            self.ask(path, [Request(body, following)])

    @rule(path=PATHS)
    def use(self, path: str) -> None:
        path = self.taken(path)
        self.same(lambda model: model.touch(path), lambda: self.touch(path))

    # One rule for what ends things: streams must live long enough to be written and forked.
    @rule(path=PATHS, what=st.sampled_from(["remove", "sweep", "crash", "time", "time"]))
    def wear(self, path: str, what: str) -> None:
        if what == "remove":
            self.remove(self.taken(path))
        elif what == "sweep":
            self.sweep()
        elif what == "crash":
            self.house.crash()
        else:
            self.house.clock.advance(timedelta(seconds=STEP_SECONDS))
            self.model.now += STEP_SECONDS

    @invariant()
    def every_stream_is_as_the_model_says(self) -> None:
        for path in "abcd":
            assert outcome(lambda path=path: self.read(path)) == outcome(
                lambda path=path: seen(self.model, path)
            )

    def taken(self, path: str) -> str:
        """The path, or one where something is, if there is any."""
        return path if path in self.model.logs else next(iter(self.model.logs), path)

    def remove(self, path: str) -> None:
        self.same(
            lambda model: model.remove(path),
            lambda: self.house.store.write_now(
                rawstreams.remove, caller=None, path=self.place(path)
            ),
        )

    def sweep(self) -> None:
        while self.house.store.write_now(rawstreams.sweep):
            pass
        self.model.sweep()

    def make(self, path: str, form: Form, body: bytes) -> None:
        new = NewStream(
            content_type=None,
            ttl_seconds=form.ttl,
            expires_at=None if form.expires is None else self.at(form.expires),
            is_closed=form.is_closed,
            access="private",
            fork=None
            if form.source is None
            else Fork(self.place(form.source), form.offset, form.within),
            body=body,
        )
        self.same(
            lambda model: model.create(path, form, body),
            lambda: (
                self.house.store.write_now(
                    rawstreams.create, caller=None, path=self.place(path), new=new
                ).is_new
            ),
        )

    def ask(self, path: str, requests: list[Request]) -> None:
        """Send requests for one stream at the same time."""
        trial = copy.deepcopy(self.model)
        expected = [outcome(lambda one=one: trial.append(path, one)) for one in requests]

        def act() -> list[Answer | type[MarketError]]:
            found = self.house.store.write_now(
                rawstreams.append, path=self.place(path), requests=list(map(sent, requests))
            )
            return [told(one) for one in found]

        found = outcome(act)
        # Where there is no stream, all are refused by one word.
        assert found == expected or [found] * len(expected) == expected
        self.model = trial

    def same(self, expected: Callable[[Model], Any], act: Callable[[], Any]) -> None:
        """Do it in the model and in the house: the same answer, or the same refusal."""
        trial = copy.deepcopy(self.model)
        due = outcome(lambda: expected(trial))
        assert outcome(act) == due
        if not isinstance(due, type):
            self.model = trial

    def form(self, times: dict[str, int], **members: Any) -> Form:
        if "expires" in times:
            return Form(expires=self.model.now + times["expires"], **members)
        return Form(ttl=times.get("ttl"), **members)

    def read(self, path: str) -> tuple[list[bytes], bool]:
        store = self.house.store
        stream = store.read_now(rawstreams.look_up, caller=None, path=self.place(path))
        part = store.read_now(
            rawstreams.read, stream_id=stream.id, after=-1, limit=500, max_bytes=1 << 20
        )
        assert [entry.offset for entry in part.entries] == list(range(stream.next_offset))
        return [entry.data for entry in part.entries], stream.is_closed

    def touch(self, path: str) -> None:
        store = self.house.store
        stream = store.read_now(rawstreams.look_up, caller=None, path=self.place(path))
        store.write_now(rawstreams.touch, stream_id=stream.id)

    def place(self, path: str) -> str:
        return f"{self.folder}/{path}"

    def at(self, seconds: int) -> datetime:
        return self.began + timedelta(seconds=seconds)


def outcome(act: Callable[[], Result]) -> Result | type[MarketError]:
    """What an act returns, or the kind of its refusal."""
    try:
        return act()
    except MarketError as refusal:
        return type(refusal)


def sent(request: Request) -> Append:
    return Append(
        caller=None,
        content_type=None,
        entry=request.body or None,
        producer=request.producer,
        seq=request.seq,
        closes=request.closes,
    )


def told(found: Any) -> Answer | type[MarketError]:
    if isinstance(found, MarketError):
        return type(found)
    return Answer(found.next_offset, found.is_closed, found.is_repeat)


def seen(model: Model, path: str) -> tuple[list[bytes], bool]:
    log = model.alive(path)
    return log.entries, log.is_closed


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    # Durability is not the question here; hundreds of commits are faster without it.
    opened = House(settings.with_(synchronous="normal"))
    yield opened
    opened.store.close()


def test_raw_streams_do_what_the_model_says(house: House):
    examples = EXAMPLES if house.store.settings.dialect == "sqlite" else max(EXAMPLES // 3, 1)
    run_state_machine_as_test(
        lambda: RawStreams(house),
        settings=profile(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
