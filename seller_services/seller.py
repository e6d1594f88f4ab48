"""A seller: its service in the catalog, its inbox followed live, its orders worked on."""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import stamina
import structlog
from anyio.abc import TaskGroup, TaskStatus

from buyer_agents import MarketClient, MarketUnreachable, Refused, every, follow_inbox
from buyer_agents.returning import WrongReturn
from market.protocol.manifest import check_manifest, load_manifest
from market.protocol.signing import SigningKey
from market.protocol.toml import load_text, read_toml
from market.protocol.wire import OrderState, OrderView, Page, ServiceView
from seller_services.bargaining import Bargain, Counter, stand_firm
from seller_services.gateway import Gateway
from seller_services.handling import Handler, check_handler, is_handler
from seller_services.keys import handle_of, load_or_make
from seller_services.repricing import Reprice, Repricer, version_above
from seller_services.work import work_on

DEFAULT_URL: Final = "http://127.0.0.1:8700"
RETURN_SECONDS: Final = 5.0
"""How long ``run`` waits before it comes back to a market that stayed away."""

_OPEN: Final[tuple[OrderState, ...]] = ("started", "placed")

DeclaredHandler = TypeVar("DeclaredHandler", bound=Handler)
DeclaredBargain = TypeVar("DeclaredBargain", bound=Bargain)
log = structlog.get_logger(__name__)


class Seller:
    """One service of one seller.

    ``manifest`` is the path of its TOML, ``key`` that of the key file (made the first time) or the
    key itself, ``handle`` the name to register under: by default the key file's name, or else the
    manifest's id. ``await serve(url)`` runs it inside a program, ``run()`` as one.

    Without a handler the manifest's ``endpoint`` does the work, called by the gateway; one on this
    machine only with ``calls_loopback``, for development.
    """

    def __init__(
        self,
        manifest: Path | str,
        *,
        key: Path | str | SigningKey,
        handle: str | None = None,
        calls_loopback: bool = False,
    ) -> None:
        path = Path(manifest)
        self.manifest = load_manifest(path)
        self._tree = read_toml(load_text(path))
        self._key = key if isinstance(key, SigningKey) else Path(key)
        self._handle_name = handle
        self._calls_loopback = calls_loopback
        self._handler: Handler | None = None
        self._bargain: Bargain = stand_firm
        self._repricing: tuple[Reprice, float] | None = None

    @property
    def handle_name(self) -> str:
        """The name that people read."""
        if self._handle_name is not None:
            return self._handle_name
        return handle_of(self._key) if isinstance(self._key, Path) else self.manifest.id

    def handle(self, handler: DeclaredHandler) -> DeclaredHandler:
        """Declare the generator function that works on an order; each yield is one chunk."""
        check_handler(handler)
        self._handler = handler
        return handler

    def with_handler(self, change: Callable[[Handler], Handler]) -> "Seller":
        """Return a seller like this one whose handler is what ``change`` makes of its own.

        Raises:
            WrongReturn: it makes no handler of it.
            TypeError: this seller has none.
        """
        if self._handler is None:
            raise TypeError("declare a handler first, with @seller.handle")
        made = change(self._handler)
        if not is_handler(made):
            raise WrongReturn(change, made, "a handler: a generator function of one order")
        changed = copy(self)
        changed.handle(made)
        return changed

    def bargain(self, decide: DeclaredBargain) -> DeclaredBargain:
        """Declare the function that answers counter-offers; without one they are declined.

        It gets a ``CounterView`` and returns the amount, in minor units, for which the seller
        would do the work: at most what was quoted. None declines.
        """
        self._bargain = decide
        return decide

    @property
    def listing(self) -> dict[str, Any]:
        """The manifest that it publishes, as a tree."""
        return dict(self._tree)

    def with_listing(self, changes: Mapping[str, Any]) -> "Seller":
        """Return a seller like this one whose manifest has these members; tables are merged.

        Raises:
            BadManifest: what comes of it cannot be published.
        """
        changed = copy(self)
        changed._tree = {**self._tree}
        for name, value in changes.items():
            old = self._tree.get(name)
            if isinstance(old, dict) and isinstance(value, Mapping):
                value = {**old, **value}
            changed._tree[name] = value
        changed.manifest = check_manifest(changed._tree)
        return changed

    def with_bargain(self, decide: Bargain) -> "Seller":
        """Return a seller like this one that answers counter-offers so."""
        changed = copy(self)
        changed._bargain = decide
        return changed

    def with_pricing(self, decide: Reprice, *, every_seconds: float) -> "Seller":
        """Return a seller like this one that looks at its price every so often.

        ``decide`` gets its ``Sales`` and returns the price from then on, in percent of the one
        in the manifest; another one than before is published as a new version.
        """
        changed = copy(self)
        changed._repricing = decide, every_seconds
        return changed

    def run(self, url: str | None = None) -> None:
        """Serve until interrupted; a market that stays away is waited for.

        ``url`` is by default that of the variable MARKET_URL, or of a market on this machine.
        """
        log_to_stderr()
        with suppress(KeyboardInterrupt):
            anyio.run(self.serve_for_good, url or os.environ.get("MARKET_URL", DEFAULT_URL))

    async def serve(
        self, url: str, *, task_status: TaskStatus[ServiceView] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve at the market under ``url`` until cancelled.

        ``await task_group.start(seller.serve, url)`` returns when the service is listed.

        Raises:
            Refused: the market does not list the service.
            MarketUnreachable: the market stayed away; serving again loses nothing.
        """
        key = self._key if isinstance(self._key, SigningKey) else load_or_make(self._key)
        async with MarketClient(url, key) as market:
            await self.serve_at(market, task_status=task_status)

    async def serve_at(
        self,
        market: MarketClient,
        *,
        task_status: TaskStatus[ServiceView] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve through a client of one's own, as ``serve`` does."""
        handler = self._handler_with(market.key)
        await market.register(self.handle_name, "seller")
        service = await self._publish(market)
        log.info("seller.serving", service_id=service.id, slug=service.slug, url=market.url)
        limits = self.manifest.limits
        counter = Counter(market, service.slug, self._bargain)
        repricer = None if self._repricing is None else Repricer(*self._repricing)
        desk = _Desk(market, service.slug, handler, limits.concurrency, counter, repricer)
        away: BaseException | None = None
        try:
            async with anyio.create_task_group() as group:
                task_status.started(service)
                if repricer is not None:
                    group.start_soon(repricer.run, market, service)
                await desk.take_orders(group)
        except* MarketUnreachable as unreachable:
            away = unreachable
        if away is not None:
            raise MarketUnreachable(f"{market.url} stayed away") from away

    async def _publish(self, market: MarketClient) -> ServiceView:
        """List the service; one whose price has changed since begins with its first price again."""
        try:
            return await market.publish(self._tree)
        except Refused as refused:
            if refused.code != "version_not_higher" or self._repricing is None:
                raise
            version = version_above(str(refused.facts["published"]))
            return await market.publish({**self._tree, "version": version})

    def _handler_with(self, key: SigningKey) -> Handler:
        """Return the declared handler, or else the gateway; its breaker outlives a reconnection."""
        if self._handler is None:
            if self.manifest.endpoint is None:
                raise TypeError("declare a handler first, with @seller.handle")
            gateway = Gateway(self.manifest, key, calls_loopback=self._calls_loopback)
            self._handler = gateway.deliver
        return self._handler

    async def serve_for_good(
        self,
        url: str,
        listed: Callable[[ServiceView], None] | None = None,
        *,
        waits_to_be_listed: bool = True,
    ) -> None:
        """Serve until cancelled, and wait for a market that stays away.

        ``listed`` is told the service when it is in the catalog for the first time.

        Raises:
            Refused: the market does not list the service.
            MarketUnreachable: it stayed away before that, and ``waits_to_be_listed`` is off.
        """
        first = _FirstListing(listed)
        while True:
            try:
                await self.serve(url, task_status=first)
            except MarketUnreachable as error:
                if not (first.is_over or waits_to_be_listed):
                    raise
                log.warning("market.unreachable", detail=str(error))
                await anyio.sleep(RETURN_SECONDS)


class _FirstListing:
    """Takes the news that a service is listed, and passes on the first."""

    def __init__(self, tell: Callable[[ServiceView], None] | None) -> None:
        self._tell = tell
        self.is_over = False

    def started(self, value: ServiceView | None = None) -> None:
        """The service is listed."""
        if not self.is_over and self._tell is not None and value is not None:
            self._tell(value)
        self.is_over = True


class _Desk:
    """Takes as many orders at once as the manifest promises; the rest stay in the inbox."""

    def __init__(
        self,
        market: MarketClient,
        slug: str,
        handler: Handler,
        concurrency: int,
        counter: Counter,
        repricer: Repricer | None,
    ) -> None:
        self._market = market
        self._counter = counter
        self._repricer = repricer
        self._slug = slug
        self._handler = handler
        self._places = anyio.Semaphore(concurrency)
        self._running: set[str] = set()

    async def take_orders(self, group: TaskGroup) -> None:
        """First go on with the orders that are open, then take each that comes."""
        acknowledged = (await self._market.inbox(limit=1)).acknowledged
        await self._counter.answer_open()
        for state in _OPEN:
            fetch = partial(_open_orders, self._market, state)
            async for order in every(fetch):
                if order.slug == self._slug:
                    await self._take(group, order.id)
        async with aclosing(follow_inbox(self._market, acknowledged)) as messages:
            async for message in messages:
                if message.kind == "order.placed":
                    if message.body["slug"] == self._slug:
                        self._count()
                        await self._take(group, message.body["order_id"])
                    await self._market.acknowledge(message.offset)
                elif message.kind == "quote.countered":
                    await self._counter.answer(message.body["counter_id"])
                    await self._market.acknowledge(message.offset)

    def _count(self) -> None:
        if self._repricer is not None:
            self._repricer.sold += 1

    async def _take(self, group: TaskGroup, order_id: str) -> None:
        if order_id not in self._running:
            await self._places.acquire()
            self._running.add(order_id)
            group.start_soon(self._work, order_id)

    async def _work(self, order_id: str) -> None:
        try:
            await work_on(self._market, order_id, self._handler)
        finally:
            self._running.discard(order_id)
            self._places.release()


async def _open_orders(
    market: MarketClient, state: OrderState, cursor: str | None
) -> Page[OrderView]:
    return await market.orders(state=state, cursor=cursor)


def log_to_stderr() -> None:
    """Write the log as one JSON line per event: standard output is for data.

    That a request is tried again is not worth a line; that the market stays away is.
    """
    stamina.instrumentation.set_on_retry_hooks(())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
