"""A market in process (fast, its time moved by hand), or served on a loopback port (where
streaming matters).
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from litestar import Litestar

from market.app import Seams, create_app, running
from market.base.clock import ManualClock
from market.base.settings import Settings
from market.base.store import Store
from market.faces import http as http_face
from market.protocol.commitments import AgentKind
from market.protocol.signing import SigningKey
from tests.contract.agents import Agent
from tests.factories import manifest
from tests.processes import free_port

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
OVERSEER = SigningKey.generate()


class Market(NamedTuple):
    """A market that answers, its clock, and a way to enter it."""

    http: httpx.AsyncClient
    app: Litestar
    settings: Settings
    clock: Any

    @property
    def store(self) -> Store:
        store: Store = self.app.state.desk.store
        return store

    def stranger(self, key: SigningKey | None = None) -> Agent:
        """An agent that has not entered."""
        return Agent(self.http, self.settings.issuer, self.clock, key)

    async def enter(self, handle: str, kind: AgentKind, **members: Any) -> Agent:
        return await self.stranger().enter(handle, kind, **members)

    async def overseer(self) -> Agent:
        return await self.stranger(OVERSEER).enter("watch", "overseer")


class Street(NamedTuple):
    """A market with a seller's service and two buyers with money."""

    market: Market
    seller: Agent
    buyer: Agent
    other: Agent
    service: dict[str, Any]

    async def placed(self, **changes: Any) -> Any:
        """An order of the buyer's; ``changes`` go into the request."""
        quote = await self.buyer.quote(self.service["id"])
        return await self.buyer.made("/v1/orders", {**self.buyer.order(quote), **changes})

    async def settled(self) -> Any:
        """An order that was delivered in two chunks and accepted."""
        order = await self.placed()
        for index in range(2):
            await self.seller.deliver(order["id"], index, units=2)
        await self.seller.complete(order["id"], chunks=2, units=4)
        return await self.buyer.made(f"/v1/orders/{order['id']}/accept", None)


async def open_street(market: Market) -> Street:
    seller = await market.enter("acme", "seller")
    buyer = await market.enter("thrifty", "buyer")
    other = await market.enter("nosy", "buyer")
    return Street(market, seller, buyer, other, await seller.publish(manifest()))


async def no_turn(_seconds: float) -> None:
    """Wait for ever: where time is moved by hand, chores do not run by themselves."""
    await asyncio.Event().wait()


def sandbox_in(home: Path) -> Settings:
    """Settings of a market with a grant for buyers and one overseer to be."""
    return Settings(
        home=home,
        log_level="error",
        issuer="http://market.test",
        signup_grant_minor=10_000_000,
        overseer_ids=(OVERSEER.kid,),
    )


@pytest.fixture
def sandbox(sqlite_settings: Settings) -> Settings:
    """Settings of a sandbox with migrated tables."""
    return sandbox_in(sqlite_settings.home)


@asynccontextmanager
async def open_market(settings: Settings) -> AsyncIterator[Market]:
    """A market in process, whose time stands until it is moved."""
    clock = ManualClock(START)
    app = create_app(settings, seams=Seams(clock=clock, pause=no_turn))
    transport = httpx.ASGITransport(app)
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url=settings.issuer) as http,
    ):
        yield Market(http, app, settings, clock)


@pytest.fixture
async def market(sandbox: Settings) -> AsyncIterator[Market]:
    """A market in process, whose time stands until a test moves it."""
    async with open_market(sandbox) as market:
        yield market


@pytest.fixture
async def street(market: Market) -> Street:
    """A market with something to buy."""
    return await open_street(market)


@pytest.fixture(scope="module")
async def shared(
    tmp_path_factory: pytest.TempPathFactory, migrated_file: Path
) -> AsyncIterator[Market]:
    """One market for all of a module that is refused before it changes anything."""
    home = tmp_path_factory.mktemp("shared")
    shutil.copy(migrated_file, home / "market.db")
    async with open_market(sandbox_in(home)) as market:
        yield market


@pytest.fixture(scope="module")
async def crowd(shared: Market) -> dict[AgentKind, Agent]:
    """One agent of each kind, in that market."""
    kinds: tuple[AgentKind, ...] = ("buyer", "seller", "principal")
    agents = {kind: await shared.enter(f"a-{kind}", kind) for kind in kinds}
    return {**agents, "overseer": await shared.overseer()}


def published() -> list[Any]:
    """Every operation that asks for a token, with the address where it is served."""
    app = create_app(Settings(issuer="http://market.test"))
    return [
        place for place in http_face.published(app.routes) if place.operation.takes.needs_caller
    ]


@asynccontextmanager
async def serving(sandbox: Settings, server: str) -> AsyncIterator[Market]:
    """A market on a loopback port, in real time."""
    port = free_port()
    settings = sandbox.with_(server=server, port=port, issuer=f"http://127.0.0.1:{port}")
    async with running(settings) as app, httpx.AsyncClient(base_url=settings.issuer) as http:
        yield Market(http, app, settings, app.state.desk.clock)


@pytest.fixture(params=["granian", "uvicorn"])
async def served(request: pytest.FixtureRequest, sandbox: Settings) -> AsyncIterator[Market]:
    """A market on a loopback port, once on each server, in real time."""
    async with serving(sandbox, request.param) as market:
        yield market
