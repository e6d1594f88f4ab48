"""The desk: what all requests of one market share. ``market.app`` puts it together."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from market.base.clock import Clock, milliseconds
from market.base.errors import Overloaded
from market.base.settings import Settings
from market.base.store import Store
from market.faces.http import limits
from market.faces.http.disk import Disk
from market.faces.http.documents import Documents
from market.faces.http.doors import Doorkeeper
from market.faces.http.heavy import Heavy
from market.faces.http.held import Held
from market.faces.http.metering import Meter
from market.faces.http.patrol import Patrol
from market.faces.http.problems import TooManyStreams
from market.faces.http.quotas import Quotas
from market.faces.http.rates import Rates
from market.protocol.ids import Ids
from market.sessions import Folds


class StreamGate:
    """Counts live streams, of each agent and in all; ``patrol`` cuts those that are stuck.

    ``open_streams`` says how many there are.
    """

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self.open_streams = 0
        self._changed = asyncio.Event()
        self._is_shut = False
        self.patrol = Patrol(lambda: limits.STALL_SECONDS)

    def enter(self, agent_id: str, *, is_delegate: bool = False) -> None:
        """Count one more stream of an agent, or of one of its sub-agents.

        Every ``enter`` is followed by one ``leave``.

        Raises:
            TooManyStreams: the agent, or the market, has as many as it may.
            Overloaded: the market stops.
        """
        if self._is_shut:
            raise Overloaded("The market is shutting down.", retry_after_seconds=1)
        most = limits.STREAMS_PER_AGENT - (limits.STREAMS_KEPT if is_delegate else 0)
        if self._open[agent_id] >= most:
            raise TooManyStreams(
                "Close a stream before opening another.",
                limit=most,
                retry_after_seconds=1,
            )
        if self.open_streams >= limits.STREAMS:
            raise TooManyStreams(
                "The market serves as many streams as it can; read page by page.",
                limit=limits.STREAMS,
                retry_after_seconds=10,
            )
        self._open[agent_id] += 1
        self.open_streams += 1
        self._changed.set()

    def leave(self, agent_id: str) -> None:
        """Count one stream less."""
        self.open_streams -= 1
        self._open[agent_id] -= 1
        if not self._open[agent_id]:
            del self._open[agent_id]
        self._changed.set()

    def shut(self) -> None:
        """Let no new stream in."""
        self._is_shut = True

    async def until(self, streams: int) -> None:
        """Wait until so many streams are open."""
        while self.open_streams != streams:
            self._changed.clear()
            await self._changed.wait()


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One market's settings, store, clock, door, gate, limits, folds and documents."""

    settings: Settings
    store: Store
    clock: Clock
    doors: Doorkeeper
    documents: Documents
    rates: Rates
    quotas: Quotas
    disk: Disk
    heavy: Heavy = field(default_factory=Heavy)
    held: Held = field(default_factory=Held)
    requests: Patrol = field(default_factory=lambda: Patrol(lambda: limits.REQUEST_SECONDS))
    gate: StreamGate = field(default_factory=StreamGate)
    checkpoints: Meter = field(default_factory=lambda: Meter(limits.CHECKPOINTS_PER_MINUTE))
    folds: Folds = field(default_factory=Folds)
    request_ids: Ids = field(default_factory=lambda: Ids(milliseconds, Random()))  # noqa: S311
    """A source of its own: what is asked must not change the ids of a simulated market."""
