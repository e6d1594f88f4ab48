"""A market process and its database, which may be killed at any moment."""

import asyncio
import os
import signal
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Literal

import psycopg

from market.base.migration import migrate
from market.base.settings import Settings
from tests.postgres import running_postgres
from tests.processes import COMMAND, MarketProcess

Victim = Literal["market", "database"]
BACK_SECONDS = 30.0
DATABASE_SHARE = 0.3
"""Of the kills on PostgreSQL, how many hit the database and not the market."""

_OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


class Place(ABC):
    """One market on a fresh store. ``command`` is what serves it: a planted bug has its own."""

    name: ClassVar[str]

    def __init__(self, home: Path, command: Sequence[str], **settings: Any) -> None:
        self.process = MarketProcess(home, command, **settings)
        self.settings = Settings(home=home, issuer=self.process.url, log_level="error").with_(
            store=settings.get("store", "")
        )

    @abstractmethod
    def choose(self, chance: Random) -> Victim:
        """Say what dies next."""

    @abstractmethod
    def kill(self, victim: Victim) -> None:
        """kill -9, now."""

    @abstractmethod
    async def settle(self, victim: Victim) -> None:
        """Return when nothing of what was killed still runs, and its store can be read."""

    async def revive(self, victim: Victim) -> None:
        """Start again what was killed, and wait until it answers."""
        if victim == "market":
            await asyncio.to_thread(self.process.start)


class OnSqlite(Place):
    """A market on a SQLite file."""

    name = "sqlite"

    def choose(self, chance: Random) -> Victim:
        return "market"

    def kill(self, victim: Victim) -> None:
        self.process.kill()

    async def settle(self, victim: Victim) -> None:
        """The file lies there as it was left."""


class OnPostgres(Place):
    """A market on a PostgreSQL server. One backend that dies makes the server end all the others,
    forget its memory and recover from its log."""

    name = "postgresql"

    def choose(self, chance: Random) -> Victim:
        return "database" if chance.random() < DATABASE_SHARE else "market"

    def kill(self, victim: Victim) -> None:
        if victim == "market":
            self.process.kill()
            return
        with psycopg.connect(self.settings.store, autocommit=True) as connection:
            found = connection.execute(f"SELECT pid {_OTHERS}").fetchall()
        for (pid,) in found[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def settle(self, victim: Victim) -> None:
        end = time.monotonic() + BACK_SECONDS
        while not self._is_settled(victim):
            assert time.monotonic() < end, "the database does not come back"
            await asyncio.sleep(0.02)

    def _is_settled(self, victim: Victim) -> bool:
        try:
            with psycopg.connect(self.settings.store, autocommit=True) as connection:
                row = connection.execute(f"SELECT count(*) {_OTHERS}").fetchone()
        except psycopg.OperationalError:
            return False
        # What a dead market had begun to commit, its backend still commits.
        return victim == "database" or row == (0,)


class Sites:
    """Where fresh markets are opened, one after the other."""

    def __init__(self, address: str, folder: Path, command: Sequence[str]) -> None:
        self._address = address
        self._folder = folder
        self._command = command
        self._opened = 0

    def open(self, **settings: Any) -> Place:
        """A market on a store of its own, which is not yet started."""
        self._opened += 1
        home = self._folder / f"market-{self._opened}"
        home.mkdir()
        if not self._address:
            return OnSqlite(home, self._command, **settings)
        name = f"crash_{self._opened}"
        with psycopg.connect(self._address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        store = self._address.replace("/postgres?", f"/{name}?", 1)
        migrate(Settings(home=home, store=store))
        return OnPostgres(home, self._command, store=store, **settings)


@contextmanager
def sites(store: str, command: Sequence[str] = (COMMAND, "serve")) -> Iterator[Sites]:
    """Make room for markets on ``sqlite`` or ``postgresql``, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="market-crash-") as folder:
        if store == "sqlite":
            yield Sites("", Path(folder), command)
        else:
            with running_postgres() as address:
                yield Sites(address, Path(folder), command)
