"""The store: one writer with group commit, readers on snapshots, on SQLite or PostgreSQL.

``write`` puts a unit of work on a bounded queue. One thread drains it greedily: each unit in a
savepoint of its own, one commit for all of them, and only then does every caller get its result
and every waiting reader its entries. Nothing is acknowledged before it is on disk
(``performance.md`` rule 1; DESIGN 3).
"""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future as ThreadFuture
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from random import Random
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import structlog

from market.base import once as answers
from market.base.clock import Clock, to_micros
from market.base.database import Database, RetryUnit, StoreFailed, StoreFull, open_database
from market.base.errors import KeyReused, MarketError, Overloaded
from market.base.hub import Hub
from market.base.jobs import Job, as_failure, unavailable
from market.base.keys import MERCHANT_KEY, load_signer, refuse_test_key
from market.base.once import Once
from market.base.readers import Readers
from market.base.resuming import resumed_clock
from market.base.settings import Settings
from market.base.work import Connection, Entry, Snapshot, UnitOfWork
from market.protocol.ids import Ids
from market.protocol.signing import SigningKey

MAX_BATCH: Final = 200
"""Units of work in one commit, at most."""

MAX_RETRIES: Final = 10
"""How often a unit is tried again after a deadlock or a serialization failure."""

P = ParamSpec("P")
T = TypeVar("T")
log: Final = structlog.get_logger("market.store")


class Store:
    """One market's database. Open it with ``Store.open``; close it with ``close``."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        signer: SigningKey,
        clock: Clock,
        ids: Ids,
        *,
        has_threads: bool,
    ) -> None:
        self.settings = settings
        self.signer = signer
        self.merchant_key = load_signer(settings.home, MERCHANT_KEY, curve="P-256")
        self.clock = clock
        self.ids = ids
        self.hub = Hub()
        self.commits = 0
        self.units = 0
        self._database = database
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._again: deque[Job] = deque()
        self._readers = Readers(database, takes_turns=settings.dialect == "sqlite")
        self._door = threading.Lock()
        self._is_closed = False
        self._has_threads = has_threads
        self._writer = threading.Thread(target=self._run, name="market-writer", daemon=True)

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        clock: Clock | None = None,
        ids: Ids | None = None,
        has_threads: bool = True,
    ) -> "Store":
        """Open the store that ``settings`` name, whose tables are in place, and start its writer.

        Without threads, which is for SQLite in simulated time, every verb and query runs in the
        event loop that asks for it, and is on disk before anything else happens there.

        Raises:
            StoreBusy: another process writes this SQLite file.
            BadSettings: a production market would sign with a key from a standard's examples.
        """
        signer = load_signer(settings.home)
        refuse_test_key(settings, signer)
        database = open_database(settings)
        clock = clock or resumed_clock(database)
        ids = ids or Ids(lambda: to_micros(clock.now()) // 1_000, Random())  # noqa: S311 - names
        store = cls(settings, database, signer, clock, ids, has_threads=has_threads)
        if has_threads:
            store._writer.start()
        return store

    async def write(
        self,
        verb: Callable[Concatenate[UnitOfWork, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a verb as one unit of work. When this returns, the change is on disk.

        Raises:
            MarketError: the verb refuses; nothing changed.
            Overloaded: too much is waiting; nothing changed. Or the database failed, perhaps in
                the very moment of the commit: repeat, with the same key.
        """
        return await self._submit(lambda uow: verb(uow, *args, **kwargs), verb, None)

    async def write_once(
        self,
        once: Once | None,
        verb: Callable[Concatenate[UnitOfWork, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a verb at most once for this key: a repeat gets the first answer or refusal.

        Without a key it is as ``write``.

        Raises:
            KeyReused: the key was used for another request.
            MarketError: as ``write``.
        """
        return await self._submit(lambda uow: verb(uow, *args, **kwargs), verb, once)

    def write_now(
        self, verb: Callable[Concatenate[UnitOfWork, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a verb from a thread without an event loop (commands, set-up) and wait for it."""
        future: ThreadFuture[T] = ThreadFuture()
        self._enqueue(Job(lambda uow: verb(uow, *args, **kwargs), verb, None, future))
        return future.result()

    def read(
        self, query: Callable[Concatenate[Snapshot, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """Run a point read on a snapshot: inline on SQLite (about 50 µs), else in a thread."""
        if self.settings.dialect == "sqlite":
            return _ready(lambda: self.read_now(query, *args, **kwargs))
        return self.scan(query, *args, **kwargs)

    async def scan(
        self, query: Callable[Concatenate[Snapshot, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a query that may take more than a millisecond, in a thread.

        Raises:
            QueryTimedOut: one of its statements took ``STATEMENT_SECONDS``.
        """
        if not self._has_threads:
            return self.read_now(query, *args, **kwargs)

        def ask(reader: Connection) -> T:
            self._refuse_if_closed()
            return query(self._snapshot(reader), *args, **kwargs)

        with self._door:
            self._refuse_if_closed()
            answer = self._readers.submit(ask)
        try:
            return await asyncio.wrap_future(answer)
        except StoreFailed as failure:
            raise unavailable() from failure

    def read_now(
        self, query: Callable[Concatenate[Snapshot, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a query in the calling thread, which must be the event loop's or the only one."""
        try:
            return self._readers.run(lambda reader: query(self._snapshot(reader), *args, **kwargs))
        except StoreFailed as failure:
            raise unavailable() from failure

    def close(self) -> None:
        """Finish what is queued, then close every connection. May be repeated."""
        with self._door:
            if self._is_closed:
                return
            self._is_closed = True
            self._queue.put(None)
        if self._has_threads:
            self._writer.join()
        self._readers.close()
        self._database.close()

    async def _submit(
        self, work: Callable[[UnitOfWork], T], verb: Callable[..., T], once: Once | None
    ) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._enqueue(Job(work, verb, once, future))
        return await future

    def _enqueue(self, job: Job) -> None:
        if self._queue.qsize() >= self.settings.queue_limit:
            raise Overloaded("The writer's queue is full.", retry_after_seconds=1)
        with self._door:
            # Nobody would answer what came behind the writer's last job.
            self._refuse_if_closed()
            if self._has_threads:
                self._queue.put(job)
                return
        self._commit([job])

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise Overloaded("The market is shutting down.", retry_after_seconds=1)

    # The writer thread

    def _run(self) -> None:
        is_open = True
        while is_open or self._again:
            batch: list[Job] = []
            while self._again and len(batch) < MAX_BATCH:
                batch.append(self._again.popleft())
            if not batch:
                job = self._queue.get()
                if job is None:
                    break
                batch.append(job)
            while len(batch) < MAX_BATCH and not self._queue.empty():
                job = self._queue.get()
                if job is None:
                    is_open = False
                    break
                batch.append(job)
            self._commit(batch)

    def _commit(self, batch: list[Job]) -> None:
        appended: list[tuple[str, list[Entry]]] = []
        done: list[Job] = []
        try:
            connection = self._database.begin()
            for place, job in enumerate(batch):
                try:
                    appended += self._run_unit(connection, job)
                except RetryUnit as failure:
                    # Other workers may wait for what this batch holds: let go, then try again.
                    if self._is_given_up(job, failure):
                        done.append(job)
                    else:
                        self._again.append(job)
                    self._again.extend(batch[place + 1 :])
                    break
                done.append(job)
            self._database.commit()
            self.commits += 1
            self.units += len(done)
        except BaseException as failure:
            # Not even a bug may end this thread: all who ask later would wait for ever.
            log.error(
                "store.failed",
                reason=repr(failure),
                exc_info=None if isinstance(failure, StoreFailed) else failure,
            )
            self._database.drop()
            appended = []
            kept = set(map(id, self._again))
            done = [job for job in batch if id(job) not in kept]
            for job in done:
                job.failure = unavailable(failure)
        self._answer(done, appended)

    def _run_unit(self, connection: Connection, job: Job) -> list[tuple[str, list[Entry]]]:
        now = self.clock.now()
        uow = UnitOfWork(
            connection, self.settings.dialect, self.settings, self.signer, now, self.ids
        )
        try:
            with self._savepoint():
                job.answer = self._perform(uow, job)
        except (RetryUnit, StoreFailed):
            raise
        except MarketError as refusal:
            if job.once is not None and not isinstance(refusal, KeyReused | Overloaded):
                self._remember(uow, job.once, job.verb_of, refusal)
            job.failure = refusal
            return self._note(uow)
        except BaseException as error:
            full = self._database.is_full(error)
            job.failure = unavailable(StoreFull(str(error))) if full else as_failure(error)
        else:
            return uow.appended
        return []

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        """Undo what is done within the block, and that alone, if it fails.

        Raises:
            RetryUnit: the database asks to try the unit again.
            StoreFailed: the batch is void.
        """
        self._database.savepoint()
        try:
            yield
        except BaseException as error:
            if self._database.is_broken():
                raise self._database.failure_of(error) from error
            self._database.rollback_to_savepoint()
            if self._database.is_retryable(error):
                raise RetryUnit(str(error)) from error
            raise
        self._database.release_savepoint()

    def _perform(self, uow: UnitOfWork, job: Job) -> Any:
        if job.once is None:
            return job.verb(uow)
        kept = answers.recall(uow, job.once, job.verb_of)
        if kept is not answers.NOTHING:
            return kept
        answer = job.verb(uow)
        answers.keep_answer(uow, job.once, answer)
        return answer

    def _remember(
        self, uow: UnitOfWork, once: Once, verb: Callable[..., Any], refusal: MarketError
    ) -> None:
        try:
            # A refusal that was itself recalled is already there.
            with suppress(MarketError), self._savepoint():
                if answers.recall(uow, once, verb) is answers.NOTHING:
                    answers.keep_refusal(uow, once, refusal)
        except (RetryUnit, StoreFailed):
            raise
        except Exception as error:
            # It stays a refusal even if it cannot be kept; its repeat is refused anew.
            log.error("refusal.forgotten", code=refusal.code, exc_info=error)

    def _note(self, uow: UnitOfWork) -> list[tuple[str, list[Entry]]]:
        """Write what is to be remembered of a unit that was refused; return what it appended."""
        uow.appended.clear()
        try:
            if uow.if_refused is not None:
                with suppress(MarketError), self._savepoint():
                    uow.if_refused(uow)
                    return uow.appended
        except (RetryUnit, StoreFailed):
            raise
        except Exception as error:
            log.error("refusal.unnoted", exc_info=error)
        return []

    def _is_given_up(self, job: Job, failure: RetryUnit) -> bool:
        job.tries += 1
        if job.tries > MAX_RETRIES:
            job.failure = Overloaded(f"The database stayed busy: {failure}", retry_after_seconds=1)
        return job.tries > MAX_RETRIES

    def _answer(self, done: list[Job], appended: list[tuple[str, list[Entry]]]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop, list[Job]] = {}
        for job in done:
            if isinstance(job.future, asyncio.Future):
                by_loop.setdefault(job.future.get_loop(), []).append(job)
            else:
                job.settle()
        for loop in self.hub.loops() if appended else ():
            by_loop.setdefault(loop, [])
        for loop, jobs in by_loop.items():
            # A loop that has ended has nobody left to tell; the change itself is on disk.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._tell, loop, jobs, appended)

    def _tell(
        self,
        loop: asyncio.AbstractEventLoop,
        jobs: list[Job],
        appended: list[tuple[str, list[Entry]]],
    ) -> None:
        for job in jobs:
            job.settle()
        self.hub.ring(loop, appended)

    def _snapshot(self, reader: Connection) -> Snapshot:
        settings = self.settings
        return Snapshot(reader, settings.dialect, settings, self.signer, self.clock.now())


async def _ready(read: Callable[[], T]) -> T:
    return read()
