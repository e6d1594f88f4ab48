"""What raw streams should be, in memory: the protocol's rules said once more, in other words.

A model is changed by its verbs, which raise the refusal that the market should give. Who wants to
know what would happen tries it on a copy.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from market.base import streams
from market.base.streams import Producer
from market.rawstreams import (
    BadStreamRequest,
    LogClosed,
    SequenceConflict,
    SourceDeleted,
    StreamDeleted,
    StreamExists,
)


class Form(NamedTuple):
    """How a stream is asked to be. Times are seconds of the model's clock."""

    ttl: int | None = None
    expires: int | None = None
    is_closed: bool = False
    source: str | None = None
    offset: int | None = None
    within: int = 0


class Request(NamedTuple):
    """A request to append, to close, or both."""

    body: bytes = b""
    producer: Producer | None = None
    seq: str | None = None
    closes: bool = False


class Answer(NamedTuple):
    """Where the stream stands after a request, and whether it was one before."""

    next_offset: int
    is_closed: bool
    is_repeat: bool


@dataclass
class Log:
    """One stream with all that it ever held; a fork has its own copy of what it shares."""

    form: Form
    entries: list[bytes]
    source: "Log | None"
    ttl: int | None
    expires: int | None
    lapses_at: int | None
    is_closed: bool
    is_live: bool = True
    closed_by: Producer | None = None
    last_seq: str | None = None
    producers: dict[str, Producer] = field(default_factory=dict)


class Model:
    """All streams by path, at one time."""

    def __init__(self) -> None:
        self.now = 0
        self.logs: dict[str, Log] = {}

    def alive(self, path: str) -> Log:
        """The stream at a path, if it can be used."""
        log = self.logs.get(path)
        if log is not None and self._is_alive(log):
            return log
        if log is None or (log.is_live and not self._has_forks(log)):
            raise streams.StreamNotFound("")
        raise StreamDeleted("")

    def create(self, path: str, form: Form, body: bytes) -> bool:
        """Make a stream; whether it is new."""
        there = self.logs.get(path)
        if there is not None and self._is_alive(there):
            self._check_same(there, form)
            return False
        if there is not None:
            if self._has_forks(there):
                raise StreamExists("")
            self._give_up(path)
        self.logs[path] = self._fork(form) if form.source is not None else self._begin(form)
        if body:
            self.logs[path].entries.append(body)
        return True

    def append(self, path: str, request: Request) -> Answer:
        """Do one request; it counts as use of the stream also where it is refused."""
        log = self.alive(path)
        self._use(log)
        if log.is_closed:
            is_same = request.producer is not None and request.producer == log.closed_by
            asks_for_the_end = request.producer is None and not request.body
            if not (is_same or asks_for_the_end):
                raise LogClosed("")
            return Answer(len(log.entries), True, True)
        if request.producer is not None and self._is_repeat(log, request.producer):
            return Answer(len(log.entries), False, True)
        if request.seq is not None and log.last_seq is not None and request.seq <= log.last_seq:
            raise SequenceConflict("")
        if request.body:
            log.entries.append(request.body)
        if request.producer is not None:
            log.producers[request.producer.id] = request.producer
        log.last_seq = request.seq or log.last_seq
        if request.closes:
            log.is_closed, log.closed_by = True, request.producer
        return Answer(len(log.entries), log.is_closed, False)

    def remove(self, path: str) -> None:
        """Delete a stream; its forks keep what they have."""
        log = self.alive(path)
        if self._has_forks(log):
            log.is_live, log.lapses_at = False, None
        else:
            self._give_up(path)

    def touch(self, path: str) -> None:
        """Read from a stream: its time to live begins anew."""
        self._use(self.alive(path))

    def sweep(self) -> None:
        """End what has lapsed."""
        for path, log in list(self.logs.items()):
            if path in self.logs and log.is_live and not self._is_alive(log):
                if self._has_forks(log):
                    log.is_live, log.lapses_at = False, None
                else:
                    self._give_up(path)

    def _begin(self, form: Form) -> Log:
        return self._made(form, [], None, form.ttl, form.expires)

    def _fork(self, form: Form) -> Log:
        assert form.source is not None
        try:
            source = self.alive(form.source)
        except StreamDeleted as deleted:
            raise SourceDeleted("") from deleted
        offset = len(source.entries) if form.offset is None else form.offset
        if offset > len(source.entries):
            raise BadStreamRequest("")
        shared = source.entries[:offset]
        if form.within:
            behind = source.entries[offset : offset + 1]
            if not behind or form.within > len(behind[0]):
                raise BadStreamRequest("")
            shared.append(behind[0][: form.within])
        has_time = form.ttl is not None or form.expires is not None
        times = (form.ttl, form.expires) if has_time else (source.ttl, source.expires)
        # A repeat of the request must name the place, or leave it to the tail of that time.
        return self._made(form._replace(offset=offset), shared, source, *times)

    def _made(
        self,
        form: Form,
        entries: list[bytes],
        source: Log | None,
        ttl: int | None,
        expires: int | None,
    ) -> Log:
        lapses_at = expires if ttl is None else self.now + ttl
        return Log(form, entries, source, ttl, expires, lapses_at, form.is_closed)

    def _check_same(self, there: Log, form: Form) -> None:
        inherits = form.source is not None and form.ttl is None and form.expires is None
        has_same_time = inherits or (there.ttl, there.expires) == (form.ttl, form.expires)
        has_same_place = (
            form.source == there.form.source
            and form.offset in (None, there.form.offset)
            and form.within == there.form.within
        )
        if form.source is None:
            has_same_place = there.form.source is None
        if not (has_same_time and has_same_place and form.is_closed == there.is_closed):
            raise StreamExists("")

    def _is_repeat(self, log: Log, producer: Producer) -> bool:
        latest = log.producers.get(producer.id)
        if latest is None and producer.seq:
            raise streams.ProducerGap("")
        if latest is None:
            return False
        if producer.epoch < latest.epoch:
            raise streams.ProducerFenced("")
        if producer.epoch > latest.epoch:
            if producer.seq:
                raise streams.BadProducer("")
            return False
        if producer.seq > latest.seq + 1:
            raise streams.ProducerGap("")
        return producer.seq <= latest.seq

    def _use(self, log: Log) -> None:
        if log.ttl is not None:
            log.lapses_at = self.now + log.ttl

    def _is_alive(self, log: Log) -> bool:
        return log.is_live and (log.lapses_at is None or log.lapses_at > self.now)

    def _has_forks(self, log: Log) -> bool:
        return any(other.source is log for other in self.logs.values())

    def _give_up(self, path: str) -> None:
        """Free a path, and those of dead sources that were kept for it alone."""
        source = self.logs.pop(path).source
        if source is not None and not self._is_alive(source) and not self._has_forks(source):
            self._give_up(next(name for name, log in self.logs.items() if log is source))
