"""The two databases behind the store, and everything in which they differ.

SQLite: one connection writes and checkpoints, all others open the file read-only (a race in
versions 3.7.0 to 3.51.2 can corrupt a WAL file that two connections write or checkpoint).
PostgreSQL: one writing connection per worker process; deadlocks and serialization failures are
retried by the store.
"""

import fcntl
import sqlite3
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import IO, Any, Final, Protocol

import structlog

from market.base.settings import Settings
from market.base.work import Connection

try:
    import psycopg
    from psycopg import errors as postgres_errors
except ImportError:  # the `postgres` extra is not installed
    psycopg = None  # type: ignore[assignment]

SAFE_SQLITE: Final = (3, 51, 3)

LOCK_TIMEOUT: Final = "100ms"
"""PostgreSQL: how long a unit waits for a row that another worker holds. Then its batch commits
what is done, and so lets go of what the other may be waiting for, and the unit is tried again;
the server itself would see a deadlock only after a second.
"""

STATEMENT_SECONDS: Final = 10.0
"""How long one statement that only reads may take. It shares four connections with all others."""

_STEPS: Final = 100_000
"""Steps of SQLite's machine, about a millisecond's worth, between two looks at the time."""

log: Final = structlog.get_logger("market.store")


class StoreBusy(RuntimeError):
    """Another process writes this store."""


class StoreFailed(RuntimeError):
    """The database could not commit; the whole batch is void."""


class StoreFull(StoreFailed):
    """There is no room on the database's disk."""


class RetryUnit(RuntimeError):
    """The database asks to try this unit again."""


class Database(Protocol):
    """What the store asks of a database. One thread uses the writing side.

    Whatever it begins, marks or ends on that side may raise ``StoreFailed``: the connection is
    gone with all that was begun on it, and opened anew at the next ``begin``.
    """

    max_readers: int
    begin_read: str

    def begin(self) -> Connection:
        """Begin a writing transaction and return its connection."""
        ...

    def savepoint(self) -> None: ...

    def release_savepoint(self) -> None: ...

    def rollback_to_savepoint(self) -> None: ...

    def commit(self) -> None:
        """Put the transaction on disk. After ``StoreFailed`` nobody knows whether it is there."""
        ...

    def drop(self) -> None:
        """Give up the writing connection, and with it what was begun."""
        ...

    def reader(self) -> Connection:
        """Open a connection that cannot write.

        Raises:
            StoreFailed: the database cannot be reached.
        """
        ...

    def is_lost(self, reader: Connection) -> bool:
        """Whether a reader's connection has ended and must be opened anew."""
        ...

    def is_retryable(self, error: BaseException) -> bool: ...

    def is_full(self, error: BaseException | None) -> bool:
        """Whether there was no room on the disk."""
        ...

    def failure_of(self, error: BaseException) -> StoreFailed:
        """Return what is raised where the driver's error has ended the whole batch."""
        ...

    def is_timeout(self, error: BaseException) -> bool:
        """Whether a reader's statement was ended because it took ``STATEMENT_SECONDS``."""
        ...

    def is_broken(self) -> bool:
        """Whether the transaction has ended by itself, and everything in it is void."""
        ...

    def close(self) -> None: ...


def open_database(settings: Settings) -> Database:
    """Open the database that ``settings`` name.

    Raises:
        StoreBusy: another process writes this SQLite file.
    """
    return Postgres(settings.store) if settings.store else Sqlite(settings)


def sqlite_path(settings: Settings) -> Path:
    """Return the SQLite file of these settings."""
    return settings.home / "market.db"


class _Savepoints(ABC):
    """What both databases do alike: three statements, and the name of what went wrong."""

    def failure_of(self, error: BaseException) -> StoreFailed:
        return (StoreFull if self.is_full(error) else StoreFailed)(str(error))

    @abstractmethod
    def is_full(self, error: BaseException | None) -> bool: ...

    def savepoint(self) -> None:
        self._execute("SAVEPOINT unit")

    def release_savepoint(self) -> None:
        self._execute("RELEASE unit")

    def rollback_to_savepoint(self) -> None:
        self._execute("ROLLBACK TO unit")
        self._execute("RELEASE unit")

    @abstractmethod
    def _execute(self, text: str) -> object: ...


class Sqlite(_Savepoints):
    """A WAL file with one writing connection, held under a lock that other processes respect."""

    max_readers = 4
    begin_read = "BEGIN"

    def __init__(self, settings: Settings) -> None:
        self._path = sqlite_path(settings)
        self._synchronous = settings.synchronous
        self._lock = _lock(self._path)
        self._connection: sqlite3.Connection | None = None
        if sqlite3.sqlite_version_info < SAFE_SQLITE:
            log.info("store.sqlite", version=sqlite3.sqlite_version, rule="one writing connection")

    def begin(self) -> Connection:
        try:
            if self._connection is None:
                self._connection = self._open()
        except sqlite3.Error as error:
            raise StoreFailed(str(error)) from error
        self._execute("BEGIN IMMEDIATE")
        return self._writing

    def commit(self) -> None:
        self._execute("COMMIT")

    def drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def reader(self) -> Connection:
        try:
            return _connect(f"{self._path.absolute().as_uri()}?mode=ro", factory=_Reader)
        except sqlite3.Error as error:
            raise StoreFailed(str(error)) from error

    def is_lost(self, reader: Connection) -> bool:
        return False

    def is_retryable(self, error: BaseException) -> bool:
        return False

    def is_full(self, error: BaseException | None) -> bool:
        code = getattr(error, "sqlite_errorcode", None)
        return isinstance(error, sqlite3.Error) and code == sqlite3.SQLITE_FULL

    def is_timeout(self, error: BaseException) -> bool:
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT

    def is_broken(self) -> bool:
        # SQLite ends the whole transaction by itself when the disk is full or fails.
        return not self._writing.in_transaction

    def close(self) -> None:
        self.drop()
        self._lock.close()

    @property
    def _writing(self) -> sqlite3.Connection:
        assert self._connection is not None
        return self._connection

    def _execute(self, text: str) -> None:
        try:
            self._writing.execute(text)
        except sqlite3.Error as error:
            self.drop()
            raise self.failure_of(error) from error

    def _open(self) -> sqlite3.Connection:
        connection = _connect(self._path.absolute().as_uri())
        for pragma in (
            "journal_mode = WAL",
            f"synchronous = {self._synchronous}",
            "wal_autocheckpoint = 4000",
            # Without it INSERT OR REPLACE goes around the append-only triggers.
            "recursive_triggers = ON",
            "foreign_keys = ON",
            # Savepoints keep a journal of their own; in a file it costs as much as the statements.
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection


class Postgres(_Savepoints):
    """A server, with one writing connection in this process."""

    max_readers = 4
    begin_read = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

    def __init__(self, url: str) -> None:
        if psycopg is None:
            raise StoreFailed("PostgreSQL needs the extra: pip install 'agent-market[postgres]'")
        self._url = url
        self._connection: Any = None

    def begin(self) -> Connection:
        if self._connection is not None:
            # One that was lost while nobody used it costs nobody an answer.
            with suppress(StoreFailed):
                return self._begin()
        try:
            self._connection = psycopg.connect(self._url, autocommit=True)
        except psycopg.Error as error:
            raise StoreFailed(str(error)) from error
        self._execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        # Whatever the server, the database or the role say: what is acknowledged is on disk.
        self._execute("SET synchronous_commit = on")
        return self._begin()

    def commit(self) -> None:
        # The server ends a transaction in which something failed with a rollback, not an error.
        if self._execute("COMMIT") != "COMMIT":
            self.drop()
            raise StoreFailed("the transaction was rolled back")

    def drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def reader(self) -> Connection:
        try:
            connection = psycopg.connect(self._url, autocommit=True)
            connection.execute(f"SET statement_timeout = {int(1_000 * STATEMENT_SECONDS)}")
        except psycopg.Error as error:
            raise StoreFailed(str(error)) from error
        return connection

    def is_lost(self, reader: Connection) -> bool:
        return bool(reader.closed)  # type: ignore[attr-defined]

    def is_retryable(self, error: BaseException) -> bool:
        # A unique key that another worker has just written: the second try sees it.
        return isinstance(
            error,
            postgres_errors.DeadlockDetected
            | postgres_errors.SerializationFailure
            | postgres_errors.UniqueViolation
            | postgres_errors.LockNotAvailable,
        )

    def is_full(self, error: BaseException | None) -> bool:
        return isinstance(error, postgres_errors.DiskFull)

    def is_timeout(self, error: BaseException) -> bool:
        return isinstance(error, postgres_errors.QueryCanceled)

    def is_broken(self) -> bool:
        return bool(self._connection.closed)

    def close(self) -> None:
        self.drop()

    def _begin(self) -> Connection:
        self._execute("BEGIN")
        return self._connection  # type: ignore[no-any-return]

    def _execute(self, text: str) -> str | None:
        try:
            return self._connection.execute(text).statusmessage  # type: ignore[no-any-return]
        except psycopg.Error as error:
            self.drop()
            raise self.failure_of(error) from error


class _Reader(sqlite3.Connection):
    """A connection that ends a statement which takes ``STATEMENT_SECONDS``."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._until = inf
        self.set_progress_handler(self._is_late, _STEPS)

    def execute(self, *statement: Any) -> sqlite3.Cursor:
        """Begin a statement; its time runs until the next one."""
        self._until = time.monotonic() + STATEMENT_SECONDS
        return super().execute(*statement)

    def _is_late(self) -> bool:
        return time.monotonic() >= self._until


def _connect(
    uri: str, *, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    return sqlite3.connect(
        uri,
        factory=factory,
        uri=True,
        isolation_level=None,
        timeout=5,
        check_same_thread=False,
        cached_statements=512,
    )


def _lock(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_suffix(".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StoreBusy(
            f"{path} is in use by another market process. Stop it, talk to it over HTTP (--url), "
            "or choose another store (--store)."
        ) from None
    return lock
