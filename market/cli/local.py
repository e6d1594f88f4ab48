"""A store on this machine: its settings, and looking into it while a market runs on it."""

import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from market.base.clock import SystemClock
from market.base.database import StoreBusy, open_database, sqlite_path
from market.base.keys import load_signer
from market.base.settings import BadSettings, Settings
from market.base.work import Connection, Snapshot
from market.cli.failures import USAGE, Explained, Failure, Report, explain


@explain.register
def _(error: BadSettings) -> Explained:
    return Explained([Report("bad_settings", "A setting is wrong", str(error), "", "")], USAGE)


@explain.register
def _(error: StoreBusy) -> Explained:
    return Explained([Report("store_busy", "The store is in use", str(error), "", "")], USAGE)


def local_settings(**overrides: Any) -> Settings:
    """Return the settings of the environment; ``overrides`` that are not None win.

    Raises:
        BadSettings: a variable is unknown or malformed.
    """
    return Settings.from_env(os.environ, **overrides)


def settings_of(place: str | None) -> Settings:
    """Return the settings of the market at ``place``: a folder, or a ``postgresql://`` address.

    Without one, they are those of the environment.
    """
    if place is None:
        return local_settings()
    if place.startswith("postgresql://"):
        return local_settings(store=place)
    path = Path(place)
    return Settings(home=path.parent if path.is_file() else path)


@contextmanager
def looking(settings: Settings) -> Iterator[Snapshot]:
    """Give one snapshot of a store, as it is now. A market may go on writing meanwhile.

    Raises:
        Failure: there is no store, or its tables are older than this program.
    """
    if not settings.store and not sqlite_path(settings).is_file():
        raise Failure(
            f"there is no store in {settings.home}",
            code="no_store",
            hint="name a run's folder, a market's home or a postgresql:// address",
        )
    connection, begin = _reader(settings)
    try:
        connection.execute(begin)
        yield Snapshot(
            connection,
            settings.dialect,
            settings,
            load_signer(settings.home),
            SystemClock().now(),
        )
    except sqlite3.OperationalError as error:
        if not str(error).startswith("no such"):
            raise
        raise Failure(
            f"the store in {settings.home} is older than this program: {error}",
            code="store_outdated",
            hint=f"market migrate --home {shlex.quote(str(settings.home))}",
        ) from error
    finally:
        connection.close()


def _reader(settings: Settings) -> tuple[Connection, str]:
    if settings.store:
        database = open_database(settings)
        return database.reader(), database.begin_read
    # Opened here and not by the store, which takes the lock that only one market may hold.
    address = f"{sqlite_path(settings).absolute().as_uri()}?mode=ro"
    return sqlite3.connect(address, uri=True, isolation_level=None), "BEGIN"
