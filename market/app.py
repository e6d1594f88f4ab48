"""Composition: the only place where the parts are put together."""

import asyncio
import contextlib
import gc
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import structlog
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import (
    ExceptionHandler,
    LifeSpanReceive,
    LifeSpanScope,
    LifeSpanSend,
    Receive,
    Scope,
    Send,
)
from structlog.typing import EventDict

from market import identity
from market.base.clock import Clock
from market.base.migration import migrate
from market.base.settings import Settings
from market.base.store import Store
from market.base.streams import keep_lookout
from market.chores import Pause, keep_house
from market.faces import http, streams
from market.faces.http.serve import CannotServe, raise_file_limit, serving, serving_locally
from market.protocol.ids import Ids
from market.protocol.secrets import in_log

log: Final = structlog.get_logger("market.app")
_HTTP: Final = ScopeType.HTTP


class Market(Litestar):
    """The application. What is for the streams face goes straight to it, past the router.

    Routing and Litestar's own layers cost three times what an append of that face costs without
    them, and it needs none: no parameters, no sessions, problem documents of its own.
    """

    def __init__(self, settings: Settings, **options: Any) -> None:
        super().__init__(**options)
        self._streams = streams.StreamFace(self.state)
        self._porch = http.Porch(
            settings,
            open_path=streams.PREFIX,
            shared=streams.SHARED,
            freeing=http.freeing(self.routes),
        )

    async def __call__(
        self,
        scope: Scope | LifeSpanScope,
        receive: Receive | LifeSpanReceive,
        send: Send | LifeSpanSend,
    ) -> None:
        """Serve one request, socket or lifespan."""
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
            return
        # Each cast and enumeration's member costs what the whole look at a rate does.
        asked: Any = (scope, receive, send)
        is_streams = scope["type"] == _HTTP and scope["path"].startswith(streams.PREFIX)
        app: Any = self._streams if is_streams else super().__call__
        await self._porch.let_in(self.state.desk, app, *asked)


@dataclass(frozen=True, kw_only=True)
class Seams:
    """Where a market meets time, chance and the network; simulated time has its own.

    ``pause`` is how its chores wait, ``seconds`` what rates are counted by, ``calm`` how many times
    rarer than else it looks around by itself, and streams give signs of life. With a ``path`` it is
    served on that local socket, by the event loop's thread alone.
    """

    clock: Clock | None = None
    ids: Ids | None = None
    pause: Pause = asyncio.sleep
    seconds: Callable[[], float] = time.monotonic
    calm: float = 1.0
    path: Path | None = None


REAL: Final = Seams()


def create_app(settings: Settings, *, seams: Seams = REAL) -> Litestar:
    """Return a market as an ASGI application. It opens its store when its lifespan begins."""
    return Market(
        settings,
        route_handlers=http.controllers(settings),
        request_class=http.Call,
        before_request=http.answer_options,
        exception_handlers={Exception: cast("ExceptionHandler[Exception]", http.answer_problem)},
        after_exception=[http.note_failure],
        lifespan=[partial(opened, settings=settings, seams=seams)],
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


@contextlib.asynccontextmanager
async def opened(app: Litestar, *, settings: Settings, seams: Seams = REAL) -> AsyncIterator[None]:
    """Open the store and keep house within the block: the lifespan of ``create_app``'s market.

    Raises:
        StoreBusy: another process writes the store.
    """
    await asyncio.to_thread(migrate, settings)
    store = Store.open(settings, clock=seams.clock, ids=seams.ids, has_threads=seams.path is None)
    try:
        app.state.desk = http.Desk(
            settings=settings,
            store=store,
            clock=store.clock,
            doors=http.Doorkeeper(
                store,
                store.clock,
                audience=settings.issuer + identity.REST,
                seconds=seams.seconds,
                calm=seams.calm,
            ),
            documents=http.make_documents(settings, http.published(app.routes)),
            rates=http.Rates(settings, seams.seconds),
            quotas=http.Quotas(store, seams.seconds),
            disk=http.Disk(settings),
        )
        async with (
            _in_background(keep_house(store, pause=seams.pause)),
            _in_background(streams.Courier(store, calm=seams.calm).run()),
            _in_background(keep_lookout(store)),
            _in_background(http.keep_watch(store, app.state.desk.doors)),
        ):
            yield
    finally:
        store.hub.drain()
        await asyncio.to_thread(store.close)


@contextlib.asynccontextmanager
async def running(settings: Settings, *, seams: Seams = REAL) -> AsyncIterator[Litestar]:
    """Serve a market on the settings' host and port, in this event loop, within the block.

    Raises:
        CannotServe: it did not come up.
        StoreBusy: another process writes the store.
    """
    app = create_app(settings)
    async with (
        opened(app, settings=settings, seams=seams),
        serving(app, server=settings.server, host=settings.host, port=settings.port)
        if seams.path is None
        else serving_locally(app, seams.path),
    ):
        yield app


def run(settings: Settings, *, ready: Callable[[], None] = lambda: None) -> None:
    """Serve a market until SIGTERM or SIGINT; streams end themselves, the store closes cleanly.

    ``ready`` is called once requests are answered.

    Raises:
        CannotServe: it did not come up, or ended by itself.
        StoreBusy: another process writes the store.
    """
    configure_logging(settings.log_level)
    raise_file_limit()
    asyncio.run(_run(settings, ready))


def configure_logging(level: str) -> None:
    """Write one JSON line per event to the standard error stream. For entry points alone."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redacted,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _redacted(_logger: Any, _method: str, line: EventDict) -> EventDict:
    """Return a line of the log without secrets, whatever an exception's words were."""
    return {name: in_log(said) if isinstance(said, str) else said for name, said in line.items()}


async def _run(settings: Settings, ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = create_app(settings)
    async with (
        opened(app, settings=settings),
        serving(app, server=settings.server, host=settings.host, port=settings.port) as server,
    ):
        # What start-up made lives as long as the process: the collector need not walk it again.
        gc.collect()
        gc.freeze()
        log.info("server.started", server=settings.server, address=settings.issuer)
        ready()
        asked = asyncio.create_task(stop.wait())
        await asyncio.wait({asked, server}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
    if not stop.is_set():
        raise CannotServe("The server ended by itself.")
    log.info("server.stopped")


@contextlib.asynccontextmanager
async def _in_background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
