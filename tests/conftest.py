"""Fixtures for everything that needs a database or a running market.

Integration tests run on SQLite and on PostgreSQL alike, each on tables made by the real
migrations: a copied file, or a database cloned from a template.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from market.base.clock import Clock, SystemClock
from market.base.migration import migrate
from market.base.settings import Settings
from market.base.store import Store
from tests.postgres import running_postgres

TEMPLATE = "market_template"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with every table and no rows."""
    settings = Settings(home=tmp_path_factory.mktemp("template"))
    migrate(settings)
    path = settings.home / "market.db"
    # One file without a log beside it can simply be copied.
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL server that ends with the tests, with a migrated template."""
    with running_postgres() as address:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
        home = tmp_path_factory.mktemp("postgres")
        migrate(Settings(home=home, store=_in_database(address, TEMPLATE)))
        with psycopg.connect(address, autocommit=True) as connection:
            # A template that anything is connected to, be it autovacuum, cannot be copied.
            connection.execute(f"ALTER DATABASE {TEMPLATE} ALLOW_CONNECTIONS false")
        yield address


def _in_database(address: str, name: str) -> str:
    return address.replace("/postgres?", f"/{name}?", 1)


@pytest.fixture
def sqlite_settings(tmp_path: Path, migrated_file: Path) -> Settings:
    """Settings of a fresh SQLite market."""
    shutil.copy(migrated_file, tmp_path / "market.db")
    return Settings(home=tmp_path, log_level="error")


@pytest.fixture
def postgres_settings(tmp_path: Path, postgres_server: str) -> Iterator[Settings]:
    """Settings of a fresh PostgreSQL market."""
    name = f"market_{os.getpid()}_{abs(hash(tmp_path))}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield Settings(home=tmp_path, store=_in_database(postgres_server, name), log_level="error")
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest) -> Settings:
    """Settings of a fresh market, once on each database."""
    name = "sqlite_settings" if request.param == "sqlite" else "postgres_settings"
    return request.getfixturevalue(name)


@pytest.fixture
def clock() -> Clock:
    """The store's clock. A module whose time stands gives a ``ManualClock`` in its place."""
    return SystemClock()


@pytest.fixture
def store(settings: Settings, clock: Clock) -> Iterator[Store]:
    """An open store with every table and no rows, once on each database."""
    opened = Store.open(settings, clock=clock)
    yield opened
    opened.close()
