"""A run while it happens: one line per event of every journey, and where things stand."""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from anyio import current_time
from msgspec import UNSET
from rich.status import Status
from rich.text import Text

from market.cli.output import STYLES, stderr
from market.cli.timeline import Line, Teller
from scenarios.engine import Scenario
from scenarios.engine.form import FAULT_KINDS, names_of
from scenarios.engine.telling import (
    Acted,
    Broke,
    Joined,
    JourneyOver,
    Logged,
    News,
    Opened,
    Resumed,
)

OVER: Final = {"sse": "SSE", "socket": "WebSocket", "poll": "long poll"}
"""How the transports of a live log are called."""

_MINUTE: Final = 60
_HOUR: Final = 3_600
_FAULT: Final = "fault"
_DEVICE: Final = "device"
_STAGE_STYLES: Final = {_FAULT: "bold yellow", "ctrl": "bold magenta", _DEVICE: "bold blue"}
_FAULT_WORDS: Final = {"lost-acknowledgement": "no answer"}


class Progress:
    """Tells a run on stderr, by the run's clock. On a terminal a last line shows how far it is."""

    def __init__(
        self, scenario: Scenario, *, is_quiet: bool, now: Callable[[], float] = current_time
    ) -> None:
        self._scenario = scenario
        self._now = now
        self._console = stderr()
        self._is_quiet = is_quiet
        self._status: Status | None = None
        self._began_at = 0.0
        self._teller = Teller({})
        names = [name for part in scenario.buyers for name in names_of(part)]
        self._width = max(map(len, names)) + 2 if len(names) > 1 else 0
        self._events = 0
        self._over = ""

    def __enter__(self) -> Self:
        if not self._is_quiet:
            summary = "" if self._scenario.summary is UNSET else f": {self._scenario.summary}"
            self._console.print(Text(f"{self._scenario.name}{summary}", style="bold"))
        if self._console.is_terminal:
            self._status = self._console.status("opening a market")
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, news: News) -> None:
        """Tell one piece of news."""
        match news:
            case Opened(url, names):
                self._began_at = self._now()
                self._teller = Teller(names)
                people = ", ".join(names.values())
                self._print("", "", Line("", "open", f"a market at {url}: {people}"))
            case Logged(buyer, event):
                self._events += 1
                self._print(buyer, f"#{event.offset}", self._teller.line(event))
            case Acted(buyer, offset, what, done, detail) if what in FAULT_KINDS or not done:
                word = _FAULT_WORDS.get(what, what)
                place = "" if offset is None else f"#{offset}"
                self._print(buyer, place, Line(_FAULT, word, detail))
            case Joined():
                self._joined(news)
            case Resumed(buyer, after, device):
                whose = f"{device}'s" if device else "the"
                text = f"{whose} stream goes on behind #{after}: nothing lost, nothing twice"
                self._print(buyer, f"#{after}", Line(_FAULT, "resumed", text))
            case Broke(agent, detail):
                self._print(agent, "", Line(_FAULT, "✗ broke", detail))
            case JourneyOver(_, over, everybody):
                self._over = f"{over} of {everybody} journeys over, "
        if self._status is not None:
            seconds = self._now() - self._began_at
            self._status.update(f"{self._over}{self._events} events, {seconds:.1f} s")

    def _joined(self, news: Joined) -> None:
        """Say who reads from now on; of one that began with a snapshot, what it knows by that."""
        reader, offset = f"{news.device} by {OVER[news.over]}", f"#{news.offset}"
        if news.snapshot is None:
            line = Line(_DEVICE, "reads", f"{reader}: the past from #0 on, then live")
            self._print(news.buyer, offset, line)
            return
        last = news.snapshot.next_offset - 1
        line = Line(_DEVICE, "snapshot", f"{reader}: what #0 to #{last} come to, then live")
        self._print(news.buyer, offset, line)
        for word, text in self._teller.known(news.snapshot):
            self._print(news.buyer, "", Line("", word, text))

    def _print(self, agent: str, offset: str, line: Line) -> None:
        if self._is_quiet:
            return
        self._console.print(
            line_text(
                line,
                seconds=self._now() - self._began_at,
                offset=offset,
                agent=f"{agent:<{self._width}}" if self._width else "",
                width=self._console.width if self._console.is_terminal else 0,
            )
        )


def clock(seconds: float) -> str:
    """Return how long a run has gone on: 03:07.40, and from an hour on 3:07:40."""
    seconds = round(seconds, 2)
    minutes, rest = divmod(seconds, _MINUTE)
    if seconds < _HOUR:
        return f"{int(minutes):02d}:{rest:05.2f}"
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{int(hours)}:{int(minutes):02d}:{int(rest):02d}"


def line_text(line: Line, *, seconds: float, offset: str, agent: str = "", width: int = 0) -> Text:
    """Return one line of a timeline, cut to ``width`` (0: as long as it is)."""
    text = Text()
    text.append(f"{clock(seconds)}  ", style="dim")
    text.append(f"{agent}{offset:<4} ")
    text.append(f"{line.stage:<9}  ", style=_STAGE_STYLES.get(line.stage, "cyan"))
    text.append(f"{line.word:<10}  ", style=STYLES.get(line.word[:1], "bold"))
    text.append(line.text)
    if width:
        text.truncate(width, overflow="ellipsis")
    return text
