"""A fresh database for each example of a state machine: hypothesis starts many in one test."""

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from market.base.settings import Settings

Fresh = Callable[[], Settings]


@contextmanager
def fresh_files(migrated_file: Path) -> Iterator[Fresh]:
    """Copies of a SQLite file with every table and no rows, until the end of the block."""
    numbers = itertools.count()
    with tempfile.TemporaryDirectory(prefix="market-lives-") as folder:

        def copy() -> Settings:
            home = Path(folder) / str(next(numbers))
            home.mkdir()
            shutil.copy(migrated_file, home / "market.db")
            return Settings(home=home)

        yield copy


@contextmanager
def fresh_databases(address: str, template: str) -> Iterator[Fresh]:
    """Clones of a PostgreSQL database, until the end of the block. One lives at a time."""
    with tempfile.TemporaryDirectory(prefix="market-lives-") as folder:

        def clone() -> Settings:
            drop_and(f"CREATE DATABASE market_lives TEMPLATE {template}")
            return Settings(
                home=Path(folder), store=address.replace("/postgres?", "/market_lives?", 1)
            )

        def drop_and(*statements: str) -> None:
            with psycopg.connect(address, autocommit=True) as connection:
                for text in ("DROP DATABASE IF EXISTS market_lives WITH (FORCE)", *statements):
                    connection.execute(text.encode())

        yield clone
        drop_and()
