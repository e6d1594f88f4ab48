"""Faults: what goes wrong with an agent's line, an agent's program, or the market's own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import Final, TypeVar

from msgspec import UNSET, UnsetType

from buyer_agents.connection import Connection
from scenarios.engine.agents import SellersClient
from scenarios.engine.cable import Cable
from scenarios.engine.doubling import Doubler
from scenarios.engine.form import FaultKind, FaultPart, seconds
from scenarios.engine.stalls import MarketProgram, Stall

LINE_FAULTS: Final = frozenset({"disconnect", "cut", "lost-acknowledgement", "latency"})
"""Faults of a line: it leads through a cable of its own."""

MARKET: Final = "the market"
"""How the market is called among those to whom faults happen."""

Done = Callable[[bool, str, str], None]
"""Is told whether the fault happened, to whom, and how; for one that waits, when it does."""

Later = Callable[[float, Callable[[], Awaitable[None] | None]], object]
"""Calls something after so many seconds, if the run goes on so long."""

T = TypeVar("T")


Effect = Callable[[FaultPart, str, Done, Later], None]


@dataclass(kw_only=True)
class Breakables:
    """All that something can happen to, by the names of its owners."""

    lines: dict[str, Cable] = field(default_factory=dict)
    clients: dict[str, Connection] = field(default_factory=dict)
    doublers: dict[str, Doubler] = field(default_factory=dict)
    sellers: dict[str, SellersClient] = field(default_factory=dict)
    stalls: dict[str, Stall] = field(default_factory=dict)
    market: MarketProgram | None = None

    def happen(self, fault: FaultPart, agent: str, done: Done, later: Later) -> None:
        """Let a fault happen to those whom it is about, now or when its moment comes.

        ``agent`` is whose journey it happens in, or the pattern of the trigger.
        """
        pattern = agent if fault.whose is UNSET else fault.whose
        effects: dict[FaultKind, Effect] = {
            "market-crash": self._crash_market,
            "seller-crash": self._crash_sellers,
            "slow-chunks": self._slow_down,
            "corrupt-chunk": self._corrupt,
            "double-submit": self._double,
            "clock-skew": self._skew,
        }
        effects.get(fault.kind, self._break_lines)(fault, pattern, done, later)

    def _break_lines(self, fault: FaultPart, pattern: str, done: Done, later: Later) -> None:
        for name, line in _like(self.lines, pattern):
            _break_line(fault, name, line, done, later)

    def _crash_market(self, fault: FaultPart, _: str, done: Done, later: Later) -> None:
        assert self.market is not None, "faults happen while the market runs"

        def cut(away_seconds: float) -> None:
            for line in self.lines.values():
                line.cut(away_seconds)

        market = self.market
        later(0.0, lambda: market.crash(_or_zero(fault.restart_after), cut))
        done(True, MARKET, f"the market is gone{_away(fault.restart_after)}")

    def _crash_sellers(self, fault: FaultPart, pattern: str, done: Done, _: Later) -> None:
        for name, stall in _like(self.stalls, pattern):
            stall.crash(_or_zero(fault.restart_after))
            done(True, name, f"{name} is gone{_away(fault.restart_after)}")

    def _slow_down(self, fault: FaultPart, pattern: str, done: Done, later: Later) -> None:
        for name, seller in _like(self.sellers, pattern):
            _slow(seller, _or_zero(fault.delay), fault, later)
            done(True, name, f"{name} takes {fault.delay} longer over each chunk")

    def _corrupt(self, fault: FaultPart, pattern: str, done: Done, _: Later) -> None:
        for name, seller in _like(self.sellers, pattern):
            seller.corrupt_next(partial(done, True, name, f"a chunk of {name} holds nothing"))

    def _double(self, fault: FaultPart, pattern: str, done: Done, _: Later) -> None:
        for name, doubler in _like(self.doublers, pattern):
            doubler.double_next(_told_twice(name, done))

    def _skew(self, fault: FaultPart, pattern: str, done: Done, later: Later) -> None:
        for name, client in _like(self.clients, pattern):
            _set_clock(client, _or_zero(fault.skew), fault, later)
            done(True, name, f"the clock of {name} is off by {fault.skew}")


def _break_line(fault: FaultPart, name: str, line: Cable, done: Done, later: Later) -> None:
    dead_seconds = seconds(fault.reconnect_after)
    away = f", and dead for {fault.reconnect_after}" if dead_seconds else ""
    whose = "the" if fault.whose is UNSET else f"{name}'s"
    match fault.kind:
        case "disconnect":
            broke = line.cut(dead_seconds)
            what = f"{whose} connection is" if broke == 1 else f"{broke} connections are"
            done(broke > 0, name, f"{what} cut{away}")
        case "cut":
            assert fault.bytes is not UNSET, "bytes of a cut are checked when the file is read"
            told = f"{whose} connection is cut {fault.bytes} bytes later{away}"
            line.cut_after(fault.bytes, dead_seconds, partial(done, True, name, told))
        case "lost-acknowledgement":
            told = f"the market did what {name} asked; its answer is lost{away}"
            line.lose_answer(dead_seconds, partial(done, True, name, told))
        case _:
            _delay(line, _or_zero(fault.delay), fault, later)
            done(True, name, f"{whose} line is slower by {fault.delay} each way")


def _slow(seller: SellersClient, by: float, fault: FaultPart, later: Later) -> None:
    def add(more: float) -> None:
        seller.slower_seconds += more

    _for_a_time(add, by, fault, later)


def _delay(line: Cable, by: float, fault: FaultPart, later: Later) -> None:
    def add(more: float) -> None:
        line.delay_seconds += more

    _for_a_time(add, by, fault, later)


def _set_clock(client: Connection, by: float, fault: FaultPart, later: Later) -> None:
    def add(more: float) -> None:
        before = client.now
        client.now = lambda: before() + more

    _for_a_time(add, by, fault, later)


def _for_a_time(add: Callable[[float], None], by: float, fault: FaultPart, later: Later) -> None:
    """Add to something now, and take it away again when the fault is over."""
    add(by)
    if fault.lasts is not UNSET:
        later(seconds(fault.lasts), partial(add, -by))


def _told_twice(name: str, done: Done) -> Callable[[int], None]:
    return lambda status: done(True, name, f"{name} asked twice; the first was answered {status}")


def _like(owned: dict[str, T], pattern: str) -> list[tuple[str, T]]:
    return [(name, one) for name, one in owned.items() if fnmatchcase(name, pattern)]


def _away(restart_after: str | UnsetType) -> str:
    return "" if restart_after is UNSET else f", for {restart_after}"


def _or_zero(duration: str | UnsetType) -> float:
    return 0.0 if duration is UNSET else seconds(duration)
