"""``market trust lab`` for people: how far it is, and the table."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from rich.progress import TextColumn, TimeRemainingColumn

from market.cli.bars import Bar
from market.cli.output import marked, say, table
from market.lab import (
    ATTACKS,
    MEASURES,
    Cell,
    Figure,
    Judged,
    Kind,
    Played,
    Report,
    Row,
    expected_orders,
)

_MARKS: Final = {True: "✓", False: "✗"}
_FORMS: Final[dict[Kind, tuple[float, str]]] = {
    "part": (100.0, ".1f"),
    "rank": (1.0, ".3f"),
    "orders": (1.0, ".1f"),
    "money": (1.0, ",.0f"),
    "days": (1.0, ".0f"),
}
"""By what a figure is multiplied before it is written, and in which form."""


class Meter(Bar):
    """Says on stderr how far the cells are: a bar on a terminal, else a line for each cell."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._orders = sum(map(expected_orders, cells))
        self._cells = len(cells)
        self._over = 0
        self._placed = 0
        super().__init__(
            TextColumn("{task.percentage:>3.0f} %  {task.fields[rate]:,.0f} orders/s"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            description=self._count(),
            total=self._orders,
            rate=0.0,
        )

    def tell(self, orders: int) -> None:
        """Show how many orders have been placed in all."""
        self._placed = orders
        self.move(orders, description=self._count(), rate=self._rate())

    def note(self, played: Played) -> None:
        """Count a cell that is over."""
        self._over += 1
        if self.console.is_terminal:
            return
        cell = played.cell
        left = (self._orders - self._placed) / (self._rate() or 1)
        self.console.print(
            f"{self._count()}: {cell.attack} under {cell.algorithm}, seed {cell.seed};"
            f" {self._rate():,.0f} orders/s, {max(left, 0):.0f} s left"
        )

    def _count(self) -> str:
        return f"{self._over} of {self._cells} markets"

    def _rate(self) -> float:
        return self._placed / max(self.seconds, 0.001)


def print_report(report: Report, judged: Sequence[Judged]) -> None:
    """Print a table for each attack, and what became of the expectations."""
    plan = report.plan
    say(
        f"{plan.days} days, {plan.sellers} sellers and {plan.newcomers} newcomers,"
        f" {plan.buyers} buyers ({plan.anchors} anchors), {plan.orders_a_day} orders a day"
    )
    for attack in dict.fromkeys(row.attack for row in report.rows):
        rows = [row for row in report.rows if row.attack == attack]
        say()
        say(ATTACKS[attack].title)
        _table(rows)
    _legend(report.rows)
    _judgement(judged)
    _proof(report)


def _table(rows: Sequence[Row]) -> None:
    names = [name for name in MEASURES if any(row.figures[name] for row in rows)]
    table(
        ("  algorithm", *(f">{heading(name)}" for name in names)),
        (
            (f"  {row.algorithm}", *(written(name, row.figures[name]) for name in names))
            for row in rows
        ),
    )


def heading(name: str) -> str:
    """Return what stands over a figure, with its unit."""
    measure = MEASURES[name]
    return f"{measure.heading} %" if measure.kind == "part" else measure.heading


def written(name: str, figure: Figure | None) -> str:
    """Return a figure in its unit, with its half-width."""
    if figure is None:
        return "-"
    factor, form = _FORMS[MEASURES[name].kind]
    text = f"{factor * figure.mean:{form}}"
    if figure.half_width is not None:
        text += f" ± {factor * figure.half_width:{form}}"
    return text


def _legend(rows: Iterable[Row]) -> None:
    shown = {name for row in rows for name, figure in row.figures.items() if figure}
    say()
    for name, measure in MEASURES.items():
        if name in shown:
            say(f"{measure.heading:<9} {measure.meaning}")


def _judgement(judged: Sequence[Judged]) -> None:
    if judged:
        say()
    for one in judged:
        marked(_MARKS[one.is_met], f"{one.title}: {one.found:.3g} ({one.attack})")


def _proof(report: Report) -> None:
    say()
    markets = sum(len(row.seeds) for row in report.rows)
    orders = sum(row.orders for row in report.rows)
    if not report.findings:
        marked("✓", f"proven: {markets} stores with {orders:,} orders break no law")
    for one in report.findings:
        marked("✗", f"{one.attack} under {one.algorithm}, seed {one.seed}: {one.detail}")
    refused: Counter[str] = Counter()
    for row in report.rows:
        refused.update(row.refused)
    for code, count in refused.items():
        marked("!", f"{count:,} orders were refused: {code}")
