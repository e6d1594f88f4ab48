"""Worlds: where a story is played. The real one has the machine's time and its network.

The simulated one has a clock of its own, local sockets instead of ports, and ids from the seed.
"""

import asyncio
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypedDict, TypeVar
from urllib.parse import urlsplit

import anyio
import httpx
from msgspec import UNSET

from buyer_agents import open_http
from buyer_agents.connection import READ_SECONDS
from market.app import Seams, running
from market.base.clock import Clock, to_micros
from market.base.settings import Settings
from market.protocol.ids import Ids
from scenarios.engine.form import Scenario, seconds
from scenarios.engine.seeds import chance_of, key_of
from scenarios.engine.simulated import SimulatedClock, SimulatedLoop

HOST: Final = "127.0.0.1"
MARKET: Final = "market"
TURNS: Final = 2_000
"""Turns of its chores that a simulated market has in a run, if they are a second or more apart.

Signs of life of its streams are then as many times rarer.
"""

T = TypeVar("T")
Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Carry = Callable[[Reader, Writer], Awaitable[None]]


Wrap = Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport]


class Options(TypedDict):
    """How a client of this world reaches the market: options of ``Connection``."""

    http: Callable[[str], httpx.AsyncClient]
    now: Callable[[], float]
    dial: Callable[[str], socket.socket] | None


class World(ABC):
    """Time and network of one run. ``port`` is the market's, ``options`` are for its clients."""

    def __init__(self) -> None:
        self.port = self._next_port()

    @property
    def url(self) -> str:
        """The market's address."""
        return address(self.port)

    @abstractmethod
    def options(self, wrap: Wrap = lambda transport: transport) -> Options:
        """Return the options of one client; ``wrap`` may stand between it and the network."""

    calm = 1.0
    """How many times rarer than else streams give signs of life, and end with their tokens."""

    clock: Clock | None = None
    """The time of the run, if it has one of its own."""

    @abstractmethod
    def market(self, settings: Settings) -> AbstractAsyncContextManager[Any]:
        """Serve a market with these settings within the block."""

    @abstractmethod
    async def listen(self, carry: Carry) -> tuple[asyncio.Server, str]:
        """Take connections at an address of its own; return the server and the address."""

    @abstractmethod
    async def connect(self) -> tuple[Reader, Writer]:
        """Connect to the market itself."""

    @abstractmethod
    def _next_port(self) -> int: ...


class RealWorld(World):
    """The machine's time, and TCP on loopback."""

    def options(self, wrap: Wrap = lambda transport: transport) -> Options:
        """Return the machine's time, and no other way to dial."""

        def http(url: str) -> httpx.AsyncClient:
            return open_http(url, wrap(httpx.AsyncHTTPTransport(limits=_LIMITS, verify=False)))

        return Options(http=http, now=time.time, dial=None)

    def market(self, settings: Settings) -> AbstractAsyncContextManager[Any]:
        return running(settings)

    async def listen(self, carry: Carry) -> tuple[asyncio.Server, str]:
        server = await asyncio.start_server(carry, HOST, 0)
        return server, address(server.sockets[0].getsockname()[1])

    async def connect(self) -> tuple[Reader, Writer]:
        return await asyncio.open_connection(HOST, self.port)

    def _next_port(self) -> int:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            return int(probe.getsockname()[1])


class SimulatedWorld(World):
    """A clock of its own, and sockets in a ``folder``; its ports are names of them."""

    def __init__(self, folder: Path, *, seed: int, until_seconds: float) -> None:
        self._folder = folder
        self._ports = 0
        self._seed = seed
        self._turn_seconds = until_seconds / TURNS
        self.calm = max(1.0, self._turn_seconds)
        self.clock: SimulatedClock = SimulatedClock(asyncio.get_running_loop())
        # One source for the whole run, however often its market comes back.
        self._ids = Ids(lambda: to_micros(self.clock.now()) // 1_000, chance_of(seed, "ids"))
        super().__init__()

    def options(self, wrap: Wrap = lambda transport: transport) -> Options:
        """Return the simulated time, and local sockets."""

        def http(url: str) -> httpx.AsyncClient:
            path = str(self._path(urlsplit(url).port))
            transport = httpx.AsyncHTTPTransport(uds=path, limits=_TIMELESS, verify=False)
            client = open_http(url, wrap(transport))
            client.timeout = httpx.Timeout(client.timeout.connect, read=READ_SECONDS * self.calm)
            return client

        return Options(http=http, now=self._seconds, dial=self._dial)

    def market(self, settings: Settings) -> AbstractAsyncContextManager[Any]:
        settings.home.mkdir(parents=True, exist_ok=True)
        key_file = settings.home / "market.key"
        if not key_file.exists():
            key_of(self._seed, MARKET).save(key_file)
        seams = Seams(
            clock=self.clock,
            ids=self._ids,
            pause=self._pause,
            seconds=asyncio.get_running_loop().time,
            calm=self.calm,
            path=self._path(self.port),
        )
        return running(settings, seams=seams)

    async def listen(self, carry: Carry) -> tuple[asyncio.Server, str]:
        port = self._next_port()
        return await asyncio.start_unix_server(carry, self._path(port)), address(port)

    async def connect(self) -> tuple[Reader, Writer]:
        return await asyncio.open_unix_connection(self._path(self.port))

    def _next_port(self) -> int:
        self._ports += 1
        return self._ports

    def _path(self, port: int | None) -> Path:
        return self._folder / str(port)

    def _seconds(self) -> float:
        return self.clock.now().timestamp()

    async def _pause(self, turn_seconds: float) -> None:
        """Wait for the next turn of chores: in a long run they are further apart."""
        await asyncio.sleep(max(turn_seconds, self._turn_seconds))

    def _dial(self, url: str) -> socket.socket:
        dialled = socket.socket(socket.AF_UNIX)
        dialled.connect(str(self._path(urlsplit(url).port)))
        dialled.setblocking(False)
        return dialled


_LIMITS: Final = httpx.Limits(max_connections=200, max_keepalive_connections=50)
_TIMELESS: Final = httpx.Limits(
    max_connections=200, max_keepalive_connections=50, keepalive_expiry=None
)
"""By the machine's clock no connection grows old: a slow machine would open others than a fast."""


def address(port: int) -> str:
    """Return the address of a port of this world."""
    return f"http://{HOST}:{port}"


def is_simulated(scenario: Scenario) -> bool:
    """Whether a story has a clock of its own."""
    return scenario.market.clock.mode == "virtual"


def limit_of(scenario: Scenario) -> float:
    """Return after how many seconds a run is ended that is not over."""
    until = scenario.market.clock.until
    return seconds(scenario.limit if until is UNSET else until)


def run_in_world(scenario: Scenario, main: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run ``main(*args)`` in an event loop as the story's world has it."""
    options: dict[str, Any] = {}
    clock = scenario.market.clock
    if is_simulated(scenario):
        speed = None if clock.speed == "max" else float(clock.speed)
        options["loop_factory"] = partial(SimulatedLoop, speed)
    return anyio.run(main, *args, backend_options=options)
