"""Readers: a few connections on which queries run in threads, one query after another.

On SQLite a query hands Python's lock back and forth at every row, so queries beside each other
cost two to three times the CPU of the same queries in turn (16 searches at once: 1,180 µs each
against 490). There a query waits for its turn, but for ``TURN_SECONDS`` at most: a slow one keeps
nobody waiting longer. A server answers queries beside each other by itself.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import LifoQueue
from typing import Final, TypeVar

from market.base.database import Database, StoreFailed
from market.base.jobs import too_slow
from market.base.work import Connection

TURN_SECONDS: Final = 0.005

T = TypeVar("T")


class Readers:
    """The reading connections of one store; each is opened when it is first needed.

    Each query sees the database as it was at one moment. It fails with ``StoreFailed`` if its
    connection is lost, or cannot be opened; the next query opens another.
    """

    def __init__(self, database: Database, *, takes_turns: bool) -> None:
        self._database = database
        self._turn = threading.Lock() if takes_turns else None
        self._inline: Connection | None = None
        self._idle: LifoQueue[Connection | None] = LifoQueue()
        for _ in range(database.max_readers):
            self._idle.put(None)  # a place for a connection that is not open yet
        self._threads = ThreadPoolExecutor(database.max_readers, "market-reader")

    def run(self, query: Callable[[Connection], T]) -> T:
        """Run a query in the calling thread, always the same one."""
        try:
            if self._inline is None:
                self._inline = self._database.reader()
            return self._ask(self._inline, query)
        except StoreFailed:
            self._inline = None
            raise

    def submit(self, query: Callable[[Connection], T]) -> Future[T]:
        """Run a query in a thread, also when nobody waits for its answer any more."""
        return self._threads.submit(self._run, query)

    def close(self) -> None:
        """Wait for the queries that were submitted, then close every connection."""
        self._threads.shutdown()
        if self._inline is not None:
            self._inline.close()
        while not self._idle.empty():
            if (connection := self._idle.get()) is not None:
                connection.close()

    def _run(self, query: Callable[[Connection], T]) -> T:
        connection = self._idle.get()
        has_turn = self._turn is not None and self._turn.acquire(timeout=TURN_SECONDS)
        try:
            if connection is None:
                connection = self._database.reader()
            return self._ask(connection, query)
        except StoreFailed:
            connection = None
            raise
        finally:
            if self._turn is not None and has_turn:
                self._turn.release()
            self._idle.put(connection)

    def _ask(self, reader: Connection, query: Callable[[Connection], T]) -> T:
        try:
            reader.execute(self._database.begin_read)
            try:
                return query(reader)
            finally:
                reader.execute("ROLLBACK")
        except Exception as error:
            if self._database.is_lost(reader):
                reader.close()
                raise StoreFailed(str(error)) from error
            if self._database.is_timeout(error):
                raise too_slow() from error
            raise
