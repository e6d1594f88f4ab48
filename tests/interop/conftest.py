"""A market as a process of its own, once on each database."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from tests.interop.place import Place, enter
from tests.processes import MarketProcess

DATABASE = "market_interop"


@pytest.fixture(scope="module")
def postgres_store(postgres_server: str) -> Iterator[str]:
    """The address of an empty database."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
    yield postgres_server.replace("/postgres?", f"/{DATABASE}?", 1)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """A market that runs, and an agent that is in it."""
    store = "" if request.param == "sqlite" else request.getfixturevalue("postgres_store")
    with MarketProcess(tmp_path_factory.mktemp("market"), store=store) as process:
        yield asyncio.run(enter(process.url))
