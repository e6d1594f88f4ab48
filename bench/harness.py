"""What the benches share: slices, server processes, CPU readings, figures and tables."""

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Self

import msgspec
from rich.console import Console
from rich.table import Table

ROOT: Final = Path(__file__).parent.parent
RESULTS: Final = ROOT / "bench" / "results.jsonl"
SLICES: Final = int(os.environ.get("SLICES", "5"))
"""Slices of each kind in a run."""

CONNECTIONS: Final = 32
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 15.0
QUIET: Final = 0.25
"""How far the yardstick may stray from its median before the machine counts as busy."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")

console: Final = Console(width=None if sys.stdout.isatty() else 120)


class Unready(RuntimeError):
    """This machine lacks what a bench needs; the message says what."""


@contextmanager
def workplace() -> Iterator[Path]:
    """Make a folder on the project's own disk: a folder in memory would have no fsync to pay."""
    parent = ROOT / ".market"
    parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class Served(ABC):
    """A server in a process of its own, on a port of its own, within a block."""

    def __init__(self, name: str) -> None:
        self.port = free_port()
        self.name = name
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = self._start()
        wait_until(self._answers, START_SECONDS, f"the {self.name} server")
        return self

    def __exit__(self, *_: object) -> None:
        process = self._running
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def issuer(self) -> str:
        """The address of the server, which a market is also named by."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process so far, in all its threads, in user and system."""
        stat = Path(f"/proc/{self._running.pid}/stat").read_text()
        # The name in parentheses may hold spaces; utime and stime are fields 14 and 15.
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_bytes(self) -> int:
        """Return the memory that the process holds."""
        status = Path(f"/proc/{self._running.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024

    @abstractmethod
    def _start(self) -> "subprocess.Popen[bytes]":
        """Start the process."""

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    def _answers(self) -> bool:
        if self._running.poll() is not None:
            raise RuntimeError(f"the {self.name} server ended with {self._running.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False


class Server(Served):
    """A server of ours: ``bench.servers`` with a name and settings."""

    def __init__(self, name: Literal["market", "bare"], home: Path, **settings: Any) -> None:
        super().__init__(name)
        self._home = home
        self._settings = settings

    def health(self) -> dict[str, Any]:
        """Return what ``/healthz`` says: commits and units of work since the start."""
        with urllib.request.urlopen(f"{self.issuer}/healthz", timeout=5) as answer:
            found: dict[str, Any] = msgspec.json.decode(answer.read())
        return found

    def _start(self) -> "subprocess.Popen[bytes]":
        self._home.mkdir(parents=True, exist_ok=True)
        chosen = {
            "home": self._home,
            "port": self.port,
            "log_level": "error",
            "server": os.environ.get("SERVER", "granian"),
            **self._settings,
        }
        settings = {f"MARKET_{name.upper()}": str(value) for name, value in chosen.items()}
        return subprocess.Popen(
            [sys.executable, "-m", "bench.servers", self.name],
            cwd=ROOT,
            env=_without_settings(os.environ) | settings,
        )


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(is_so: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: it did not become so in time.
    """
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come up within {seconds} s")
        time.sleep(0.02)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of all lie at or below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median_ratio(values: Sequence[float], baselines: Sequence[float]) -> float:
    """Return the median over slices of each value to the baseline of the same slice."""
    return statistics.median(v / b for v, b in zip(values, baselines, strict=True))


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One result. With a ``baseline``, ``ratio`` is value to baseline and what the goals are about.

    Goals name the least that is acceptable and what would be great; ``more`` says that more is
    better. A goal about an absolute value never fails a run: another machine is another value.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    goal_accept: float | None = None
    goal_great: float | None = None
    more: bool = True

    @property
    def verdict(self) -> Literal["", "great", "accepted", "below"]:
        """How the figure stands to its goals."""
        if self.goal_accept is None:
            return ""
        measured = self.value if self.ratio is None else self.ratio
        if self.goal_great is not None and self._meets(measured, self.goal_great):
            return "great"
        return "accepted" if self._meets(measured, self.goal_accept) else "below"

    def _meets(self, measured: float, goal: float) -> bool:
        return measured >= goal if self.more else measured <= goal


def compared(
    name: str,
    values: Sequence[float],
    baselines: Sequence[float],
    *,
    unit: str,
    accept: float | None = None,
    great: float | None = None,
    more: bool = True,
) -> Figure:
    """Return the figure of slices that alternated with slices of a yardstick."""
    return Figure(
        name=name,
        value=statistics.median(values),
        unit=unit,
        baseline=statistics.median(baselines),
        ratio=median_ratio(values, baselines),
        goal_accept=accept,
        goal_great=great,
        more=more,
    )


@dataclass(frozen=True)
class Report:
    """The figures of one bench, and how steady the yardstick was while they were taken."""

    title: str
    figures: list[Figure]
    yardstick: Sequence[float]

    @property
    def is_quiet(self) -> bool:
        """Whether the machine had nothing else to do, as far as the yardstick can tell."""
        middle = statistics.median(self.yardstick)
        return all(abs(value - middle) <= QUIET * middle for value in self.yardstick)

    @property
    def is_good(self) -> bool:
        """False when a ratio is below its goal and the machine was not to blame."""
        below = [f for f in self.figures if f.verdict == "below" and f.ratio is not None]
        return not below or not self.is_quiet

    def show(self) -> None:
        """Print the figures as a table."""
        console.print(self.table())
        words = "quiet" if self.is_quiet else "busy: figures below a goal prove nothing"
        spread = (max(self.yardstick) - min(self.yardstick)) / statistics.median(self.yardstick)
        console.print(f"{SLICES} slices; the yardstick varied by {spread:.0%}: machine {words}.\n")

    def table(self) -> Table:
        """Lay the figures out, one a row."""
        table = Table(title=self.title, title_justify="left", title_style="bold")
        table.add_column("figure")
        for name in ("value", "unit", "baseline", "ratio", "accept", "great", "verdict"):
            table.add_column(name, justify="left" if name in ("unit", "verdict") else "right")
        for figure in self.figures:
            table.add_row(
                figure.name,
                shortened(figure.value),
                figure.unit,
                shortened(figure.baseline),
                shortened(figure.ratio),
                shortened(figure.goal_accept),
                shortened(figure.goal_great),
                figure.verdict,
            )
        return table

    def record(self) -> None:
        """Append the figures to ``bench/results.jsonl``."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        with RESULTS.open("ab") as results:
            for figure in self.figures:
                members = msgspec.structs.asdict(figure)
                del members["more"]
                results.write(msgspec.json.encode(members | {"at": at}) + b"\n")


def shortened(value: float | None) -> str:
    """Return a number as a table shows it."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith("MARKET_")}
