"""The facts: ten million events out of a store, and the funnel over them.

The store is a played scenario many times over (``multiplied``). Its export stands against reading
the same events by the same driver and dropping them; the funnel against the polars that one would
write by hand over the same files; an export behind one hundredth more events against the first.
Each runs in a process of its own, whose greatest memory is what the system says of it.
``EVENTS=1000000`` makes a smaller store.
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from bench.harness import ROOT, SLICES, Figure, Report, compared, workplace
from bench.multiplied import played
from market import analytics
from market.analytics.schema import EVENTS as FRAME
from market.analytics.source import opened
from market.analytics.statements import sql_of

EVENTS: Final = int(os.environ.get("EVENTS", "10000000"))
GROWN: Final = 100
"""The store grows by one in so many before it is exported again."""

MEMORY: Final = 600e6
"""Bytes that an export, or a funnel, may take."""

MIB: Final = 1 << 20
_KIB: Final = 1024


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What a process of this bench says: seconds of its work and of the yardstick's, its memory."""

    seconds: list[float]
    yardstick: list[float]
    peak_bytes: int
    read: int = 0
    held: int = 0


def run() -> Report:
    """Measure, and return the figures."""
    with workplace() as folder:
        store = played(folder / "store")
        copies = store.grow(EVENTS)
        facts = folder / "facts"
        bare = _in_process("bare", store.file, facts)
        first = _in_process("export", store.file, facts)
        funnel = _in_process("funnel", store.file, facts)
        both = _in_process("compare", store.file, facts)
        store.grow(EVENTS // GROWN, after=copies)
        again = _in_process("export", store.file, facts)
    figures = [
        Figure(
            name="export: time, against reading the events alone",
            value=first.seconds[0], unit="s", baseline=bare.seconds[0],
            ratio=first.seconds[0] / bare.seconds[0], more=False,
        ),
        Figure(name="export: rows", value=first.read / first.seconds[0], unit="1/s"),
        _memory("export: memory", first),
        compared(
            "funnel: time, against polars by hand", [one * 1e3 for one in both.seconds],
            [one * 1e3 for one in both.yardstick], unit="ms", accept=1.3, great=1.1, more=False,
        ),
        _memory("funnel: memory", funnel),
        Figure(
            name=f"export of 1/{GROWN} more: time, against the first",
            value=again.seconds[0], unit="s", baseline=first.seconds[0],
            ratio=again.seconds[0] / first.seconds[0], goal_accept=0.25, goal_great=0.1, more=False,
        ),
        Figure(
            name=f"export of 1/{GROWN} more: rows read, against the first",
            value=again.read, unit="rows", baseline=first.read, ratio=again.read / first.read,
            goal_accept=0.15, more=False,
        ),
    ]  # fmt: skip
    return Report(f"The facts of {first.held:,} events", figures, both.yardstick)


def _memory(name: str, ran: Ran) -> Figure:
    return Figure(
        name=name, value=ran.peak_bytes / MIB, unit="MiB", goal_accept=MEMORY / MIB, more=False
    )


def _in_process(what: str, store: Path, facts: Path) -> Ran:
    command = [sys.executable, "-m", "bench.facts", what, str(store), str(facts)]
    answer = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE).stdout
    return msgspec.json.decode(answer, type=Ran)


# What runs in a process of its own


def _export(store: Path, facts: Path) -> dict[str, Any]:
    seconds, exported = _timed(lambda: analytics.export(store, facts))
    return {"seconds": [seconds], "read": exported.read, "held": exported.rows["events"]}


def _bare(store: Path, _: Path) -> dict[str, Any]:
    def read() -> int:
        with opened(store) as source, source.rows(sql_of(FRAME, source.dialect)) as rows:
            return int(rows.select(pl.col("data").bin.size().sum()).collect().item())

    return {"seconds": [_timed(read)[0]]}


def _funnel(_: Path, facts: Path) -> dict[str, Any]:
    return {"seconds": [_timed(lambda: analytics.funnel(analytics.open(facts)))[0]]}


def _compare(_: Path, facts: Path) -> dict[str, Any]:
    opened_facts = analytics.open(facts)
    ours, theirs = [], []
    for number in range(SLICES + 1):
        seconds, found = _timed(lambda: analytics.funnel(opened_facts))
        baseline, same = _timed(lambda: _by_hand(facts))
        assert found.select(same.columns).equals(same), "the yardstick counts something else"
        if number:  # The first slice warms up.
            ours.append(seconds)
            theirs.append(baseline)
    return {"seconds": ours, "yardstick": theirs}


def _by_hand(facts: Path) -> pl.DataFrame:
    seconds = (pl.col("left_at") - pl.col("entered_at")).dt.total_microseconds() / 1e6
    return (
        pl.scan_parquet(facts / "stages-*.parquet")
        .group_by("stage")
        .agg(
            reached=pl.len().cast(pl.Int64),
            passed=(pl.col("outcome") == "passed").sum().cast(pl.Int64),
            left=(pl.col("outcome") == "left").sum().cast(pl.Int64),
            open=(pl.col("outcome") == "open").sum().cast(pl.Int64),
            median_seconds=seconds.median(),
        )
        .sort("stage")
        .collect(engine="streaming")
    )


def _timed(act: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    done = act()
    return time.perf_counter() - began, done


_ACTS: Final[dict[str, Callable[[Path, Path], dict[str, Any]]]] = {
    "bare": _bare,
    "export": _export,
    "funnel": _funnel,
    "compare": _compare,
}


def _main(what: str, store: str, facts: str) -> None:
    said = _ACTS[what](Path(store), Path(facts))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
    ran = Ran(**{"yardstick": [], "peak_bytes": peak} | said)
    sys.stdout.buffer.write(msgspec.json.encode(ran))


if __name__ == "__main__":
    _main(*sys.argv[1:])
