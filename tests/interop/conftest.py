"""A market as a process of its own, once on each database, and a customer's way to its streams."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from buyer_agents import MarketClient
from market.protocol.signing import SigningKey
from tests.processes import MarketProcess

DATABASE = "market_interop"

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """Where streams are made, and what a request must carry."""

    url: str
    headers: dict[str, str]

    def new(self) -> str:
        """The address of a stream that is not there yet."""
        return f"{self.url}/v1/stream/notes-{next(_numbers)}"


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
    """A market whose streams ask for a token, and the token of an agent that is in it."""
    store = "" if request.param == "sqlite" else request.getfixturevalue("postgres_store")
    with MarketProcess(tmp_path_factory.mktemp("market"), store=store) as process:
        yield Place(process.url, {"authorization": asyncio.run(enter(process.url))})


async def enter(url: str) -> str:
    """Let an agent in, and return what its requests carry."""
    async with MarketClient(url, SigningKey.generate()) as agent:
        await agent.register("elsewhere", "buyer")
        return await agent.authorization()
