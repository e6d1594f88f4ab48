"""Two workers on one PostgreSQL, and the means to hold one of them at a chosen moment."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from market.base.settings import Settings
from market.base.store import Store
from market.base.work import UnitOfWork

LIMIT_SECONDS = 10.0


class Hold:
    """A verb that, when it has done its work, waits to be let go before it can be committed."""

    def __init__(self, verb: Callable[..., Any]) -> None:
        self._verb = verb
        self._has_worked = threading.Event()
        self._may_commit = threading.Event()

    def __call__(self, uow: UnitOfWork, **members: Any) -> Any:
        answer = self._verb(uow, **members)
        self._has_worked.set()
        assert self._may_commit.wait(LIMIT_SECONDS)
        return answer

    async def has_worked(self) -> None:
        assert await asyncio.to_thread(self._has_worked.wait, LIMIT_SECONDS)

    def let_go(self) -> None:
        self._may_commit.set()


@contextmanager
def two_workers(settings: Settings, **seams: Any) -> Iterator[tuple[Store, Store]]:
    """Two open stores of one market; ``seams`` as for ``Store.open``."""
    left, right = Store.open(settings, **seams), Store.open(settings, **seams)
    try:
        yield left, right
    finally:
        left.close()
        right.close()


async def in_one_batch(
    store: Store, units: Iterable[Coroutine[Any, Any, Any]]
) -> list[asyncio.Task[Any]]:
    """Hand units over while the writer is busy, so that it takes them all at once."""
    hold = Hold(lambda uow: None)
    held = asyncio.create_task(store.write(hold))
    await hold.has_worked()
    tasks = [asyncio.create_task(unit) for unit in units]
    await asyncio.sleep(0)
    hold.let_go()
    await held
    return tasks


async def somebody_waits(settings: Settings) -> None:
    """Return when a connection waits for a row that another one holds."""
    asked = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    connection = await psycopg.AsyncConnection.connect(settings.store, autocommit=True)
    async with connection, asyncio.timeout(LIMIT_SECONDS):
        while (await (await connection.execute(asked)).fetchone()) == (0,):
            pass  # The question is the wait.
