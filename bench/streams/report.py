"""Ours beside theirs: one row a figure, and what was to be reached."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.table import Table

from bench.harness import Figure, Report, compared, shortened
from bench.streams.scenes import Sample

OTHERS: Final = ("memory", "file")

GOALS: Final[Mapping[tuple[str, str], float]] = {
    ("append, 64 writers", "memory"): 0.6,
    ("append, 64 writers", "file"): 4.0,
    ("append to sse reader: p99", "memory"): 1.5,
    ("append to sse reader: p99", "file"): 0.5,
    ("append to long-poll reader: p99", "memory"): 1.5,
    ("append to long-poll reader: p99", "file"): 0.5,
    ("fan-out to 500: p99", "memory"): 1.0,
    ("fan-out to 500: CPU a delivery", "memory"): 1.0,
    ("catch-up by SSE", "memory"): 1.5,
}
"""What ours to theirs must be: at least, where more is better, else at most."""


@dataclass(frozen=True)
class Row:
    """One figure of all three servers, slice by slice."""

    name: str
    unit: str
    more: bool
    ours: Sequence[float]
    memory: Sequence[float]
    file: Sequence[float]

    @classmethod
    def of(cls, samples: Mapping[str, Sequence[Sample]]) -> "Row":
        """Return the row of one figure's samples, by server."""
        first = samples["market"][0]
        ours, memory, file = (
            [sample.value for sample in samples[name]] for name in ("market", *OTHERS)
        )
        return cls(first.name, first.unit, first.more, ours, memory, file)

    def figure(self, other: str) -> Figure:
        """Return ours against one of theirs."""
        return compared(
            f"{self.name}, against {other}",
            self.ours,
            self.memory if other == "memory" else self.file,
            unit=self.unit,
            accept=GOALS.get((self.name, other)),
            more=self.more,
        )

    @property
    def cells(self) -> list[str]:
        """The row as text."""
        figures = [self.figure(other) for other in OTHERS]
        middles = [statistics.median(each) for each in (self.ours, self.memory, self.file)]
        sign = ">=" if self.more else "<="
        goals = [
            f"{sign} {figure.goal_accept} {other}"
            for other, figure in zip(OTHERS, figures, strict=True)
            if figure.goal_accept is not None
        ]
        verdicts = [figure.verdict for figure in figures if figure.verdict]
        return [
            self.name,
            self.unit,
            *(shortened(middle) for middle in middles),
            *(shortened(figure.ratio) for figure in figures),
            ", ".join(goals),
            ", ".join(verdicts),
        ]


@dataclass(frozen=True)
class Comparison(Report):
    """The report of a bench with three servers."""

    rows: Sequence[Row]

    @classmethod
    def of(cls, title: str, rows: Sequence[Row], yardstick: Sequence[float]) -> "Comparison":
        """Return the report of rows; each gives two figures."""
        figures = [row.figure(other) for row in rows for other in OTHERS]
        return cls(title, figures, yardstick, rows)

    def table(self) -> Table:
        """Lay the rows out."""
        table = Table(title=self.title, title_justify="left", title_style="bold")
        for name in ("figure", "unit"):
            table.add_column(name)
        for name in ("ours", *OTHERS, *(f"to {other}" for other in OTHERS)):
            table.add_column(name, justify="right")
        for name in ("goal", "verdict"):
            table.add_column(name)
        for row in self.rows:
            table.add_row(*row.cells)
        return table
