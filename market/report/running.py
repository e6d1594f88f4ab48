"""Blocks on how the market ran: how long things took, and what faults did to it."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from market import analytics
from market.protocol.events import STAGES
from market.report.forms import Block, Column, Material, Table, Topic, columns_of
from market.report.words import counted, duration, plain

_LATENCY: Final = Topic(
    "latency",
    "Latency",
    "How long stages and parts of orders took, by the market's clock: half took the median or less,"
    " 95 % took p95 or less. What has not ended is not counted. In a simulated run the clock is"
    " simulated, too.",
)
_FAULTS: Final = Topic(
    "faults",
    "Faults",
    "What a scenario breaks on purpose and how often, and what came through all the same. Entries"
    " of logs and parts of deliveries are numbered without gaps, and every order puts its price"
    " into escrow once: what is missing or there twice is counted by that.",
)
_HAPPENED: Final = [
    Column("kind", "Fault", "words"),
    Column("times", "Happened", "count", "how often it happened, to all together"),
    Column("hit", "To so many", "count", "agents and devices that it happened to, or the market"),
    Column("who", "To", "words"),
]
_STREAMS: Final = [
    Column("who", "Whose", "name"),
    Column("cut", "Broke", "count", "live streams that broke"),
    Column("resumed", "Went on", "count", "live streams that went on behind the last entry seen"),
    Column("differences", "Differ", "count", "entries that came otherwise than the log has them"),
]


def latency(of: Material) -> Block:
    """Tell how long stages, first chunks and deliveries took."""
    rows = analytics.latency(of.facts).to_dicts()
    if not rows:
        return _LATENCY.nothing("Nothing came to an end that could be timed.")
    by_name = {row["measure"]: row for row in rows}
    slowest = max(
        (row for row in rows if row["measure"] in STAGES),
        key=lambda row: row["p50_seconds"],
        default=None,
    )
    says = []
    if slowest:
        says.append(
            f"The slowest stage is {plain(slowest['measure'])}: half of"
            f" {counted(slowest['measured'], 'journey')} took {duration(slowest['p50_seconds'])} or"
            f" less, 95 % {duration(slowest['p95_seconds'])} or less."
        )
    if first := by_name.get("first_chunk"):
        says.append(
            f"The first part of a delivery came {duration(first['p50_seconds'])} after the order in"
            " the median."
        )
    columns = columns_of(
        "latency",
        measure=("Measure", "text"),
        measured=("Measured", "count"),
        p50_seconds=("Median", "seconds"),
        p95_seconds=("p95", "seconds"),
        p99_seconds=("p99", "seconds"),
        max_seconds=("Longest", "seconds"),
    )
    return _LATENCY.found(says, Table(title="Times", columns=columns, rows=rows))


def faults(of: Material) -> Block:
    """Tell which faults happened, and whether anything was lost or came twice."""
    rows = analytics.continuity(of.facts).to_dicts()
    if not rows:
        return _FAULTS.nothing("Nothing was recorded that could be lost.")
    lost, twice = (sum(row[key] for row in rows) for key in ("missing", "twice"))
    whole = sum(row["expected"] for row in rows)
    says = [
        f"Of {whole:,} entries, parts and holds none is missing and none is there twice."
        if not lost and not twice
        else f"Of {whole:,} entries, parts and holds {lost:,} are missing and {twice:,} are there"
        " twice: the market has a bug."
    ]
    columns = columns_of(
        "continuity",
        kind=("What", "text"),
        expected=("Expected", "count"),
        missing=("Missing", "count"),
        twice=("Twice", "count"),
    )
    tables = [Table(title="What came through", columns=columns, rows=rows)]
    if of.run is None:
        says.append("Which faults happened is told of a scenario's run only.")
        return _FAULTS.found(says, *tables)
    if happened := of.run.happened():
        tables.append(Table(title="Faults that happened", columns=_HAPPENED, rows=happened))
    if streams := of.run.streams():
        tables.append(Table(title="Streams that were cut", columns=_STREAMS, rows=streams))
    return _FAULTS.found([*_told(happened, streams), *says], *tables)


def _told(happened: Sequence[Mapping[str, Any]], streams: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which faults happened how often, and what became of live streams."""
    kinds = ", ".join(f"{one['kind']} {_times(one['times'])}" for one in happened)
    faults = f"What was broken on purpose: {kinds}." if happened else "No fault happened."
    cut, resumed = (sum(one[key] for one in streams) for key in ("cut", "resumed"))
    if not streams:
        return [faults, "No live stream was cut."]
    return [faults, f"Live streams broke {_times(cut)} and went on {_times(resumed)}."]


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count:,} times")
