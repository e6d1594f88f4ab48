"""A live market on a loopback port, with sellers and shoppers of the real libraries.

A seller here works by turns: its handler takes one ticket for each chunk, so that a test decides
how far an order gets, without waiting for time to pass.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup

from buyer_agents import MarketClient, Need, follow_session
from market.app import running
from market.base.settings import Settings
from market.protocol.commitments import AgentKind
from market.protocol.events import Event
from market.protocol.signing import SigningKey
from market.protocol.wire import OrderView, ServiceView
from seller_services import Chunk, Handler, Order, Seller
from tests.processes import free_port

LIMIT_SECONDS = 30.0
GRANT_MINOR = 10_000_000
OVERSEER = SigningKey.generate()
PAGES = {"pages": ["a", "b", "c", "d", "e", "f"]}
MANIFEST = """
manifest = 1
id = "{slug}"
summary = "Read the pages of a book aloud."
tags = ["pages", "book"]
price = {{ per = "unit", amount = "{price}", currency = "XTS" }}
measure = {{ unit = "page", counts = "items", of = "pages" }}
limits = {{ deliver_seconds = 600, concurrency = 2 }}
policies = {{ refund = "{refund}", refund_window_seconds = 3600 }}
input = {{ type = "object", required = ["pages"] }}
output = {{ type = "object", required = ["page"], properties = {{ page = {{ type = "string" }} }} }}
"""


def need(**changes: Any) -> Need:
    """To have the six pages of ``PAGES`` read."""
    return Need(**({"query": "read pages aloud", "input": PAGES, "wants": ("page",)} | changes))


class Tickets:
    """Lets a handler go on one chunk at a time."""

    def __init__(self, count: int = 0) -> None:
        self._left = anyio.Semaphore(count)

    def give(self, count: int = 1) -> None:
        for _ in range(count):
            self._left.release()

    async def take(self) -> None:
        await self._left.acquire()


def reader(tickets: Tickets) -> Handler:
    """A handler that reads one page for each ticket, and does what steering says with it."""

    async def read(order: Order) -> AsyncIterator[Chunk]:
        manner = ""
        for page in order.input["pages"]:
            await tickets.take()
            manner = "".join(order.steering.take()) or manner
            yield Chunk({"page": f"{manner}{page}"}, units=1)

    return read


class Town:
    """A market, and who lives there while a test runs."""

    def __init__(self, settings: Settings, stack: AsyncExitStack, group: TaskGroup) -> None:
        self.settings = settings
        self.url = settings.issuer
        self._stack = stack
        self._group = group

    async def client(
        self,
        handle: str,
        kind: AgentKind = "buyer",
        *,
        key: SigningKey | None = None,
        url: str | None = None,
        **more: Any,
    ) -> MarketClient:
        """An agent that has entered, perhaps by another way to the market."""
        key = key or SigningKey.generate()
        made = MarketClient(url or self.url, key, patience_seconds=10.0)
        market = await self._stack.enter_async_context(made)
        await market.register(handle, kind, **more)
        return market

    async def overseer(self) -> MarketClient:
        return await self.client("watch", "overseer", key=OVERSEER)

    def seller(
        self,
        handler: Handler,
        *,
        slug: str = "reader",
        price: str = "0.10",
        refund: str = "within-window",
        key: SigningKey | None = None,
        handle: str | None = None,
    ) -> Seller:
        """A seller that is not yet open."""
        path = self.settings.home / f"{slug}.toml"
        text = MANIFEST.format(slug=slug, price=price, refund=refund)
        path.write_text(text, "utf-8")
        seller = Seller(path, key=key or SigningKey.generate(), handle=handle or slug)
        seller.handle(handler)
        return seller

    async def open(self, seller: Seller, *, url: str | None = None) -> ServiceView:
        """Let a seller serve until the test ends."""
        service: ServiceView = await self._group.start(seller.serve, url or self.url)
        return service

    async def order(self, buyer: MarketClient, service: ServiceView) -> OrderView:
        """An order of the six pages, in a session of its own."""
        return await buyer.place_order(await buyer.ask_quote(service.id, PAGES))


async def until(
    market: MarketClient, session_id: str, is_there: Callable[[Event], bool], *, count: int = 1
) -> list[Event]:
    """Follow a session from the start until ``count`` events are as wanted; return all up to it."""
    seen: list[Event] = []
    async with aclosing(follow_session(market, session_id)) as log:
        async for entry in log:
            if isinstance(entry, Event):
                seen.append(entry)
                count -= is_there(entry)
            if not count:
                return seen
    raise AssertionError(f"the session closed after {[event.kind for event in seen]}")


def of_kind(kind: str, **body: Any) -> Callable[[Event], bool]:
    return lambda event: event.kind == kind and body.items() <= event.body.items()


@asynccontextmanager
async def open_town(settings: Settings) -> AsyncIterator[Town]:
    """Run a market with a sign-up grant for the length of a test, and no longer than the limit."""
    port = free_port()
    settings = settings.with_(
        port=port,
        issuer=f"http://127.0.0.1:{port}",
        signup_grant_minor=GRANT_MINOR,
        overseer_ids=(OVERSEER.kid,),
    )
    with anyio.fail_after(LIMIT_SECONDS):
        async with (
            running(settings),
            AsyncExitStack() as stack,
            anyio.create_task_group() as group,
        ):
            yield Town(settings, stack, group)
            group.cancel_scope.cancel()


@asynccontextmanager
async def serving(town: Town, seller: Seller) -> AsyncIterator[ServiceView]:
    """Let a seller serve within the block; then it is cut off in the middle of whatever it does."""
    async with anyio.create_task_group() as group:
        service: ServiceView = await group.start(seller.serve, town.url)
        yield service
        group.cancel_scope.cancel()
