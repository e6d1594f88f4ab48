"""A sweep when it is over, or as far as it is: its expectations, and a row for each cell.

A run that tested nothing is in none of the figures; it is named, and counted beside them.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from market.cli.output import marked, say, table
from market.report.runs import left_out
from scenarios.engine.outcomes import CellResult, ExpectationSpread, Spread, SweepResult
from scenarios.engine.sweeping import FINISHED, Cell, State, Sweep

_LOST: Final[dict[State, str]] = {"bad": "✗", "died": "✗", "interrupted": "■"}
_WORDS: Final[dict[State, str]] = {
    "bad": "tested nothing",
    "died": "lost",
    "interrupted": "broken off",
}
_SEEDS: Final = 3


def print_sweep(result: SweepResult) -> None:
    """Print a whole sweep for people."""
    runs = [one for cell in result.cells for one in cell.replicas]
    states = Counter(one.state for one in runs)
    partial = "   partial" if result.is_partial else ""
    say(f"{result.name}   {_size(len(result.cells), len(runs))}, {states['done']} done{partial}")
    for cell in result.cells:
        say()
        say(f"Expectations{_values(cell)}")
        for one in cell.expectations:
            _expectation(one, cell)
        if not cell.expectations:
            say("  none were judged")
    _lost(result)
    say()
    _table(result)
    if result.is_partial:
        left = sum(one.state not in FINISHED for one in runs)
        say()
        marked("●", f"this is partial: {left} of {len(runs)} runs are left to be played")


def print_plan(sweep: Sweep) -> None:
    """Print what a sweep would play, for people."""
    runs = sweep.runs()
    say(f"{sweep.name} would play {_size(len(sweep.cells), len(runs))}")
    paths = list(sweep.cells[0].overrides)
    rows = [
        (
            f"  {cell.number}",
            *cell.overrides.values(),
            _seeds(cell),
        )
        for cell in sweep.cells
    ]
    table(("  Cell", *paths, "Seeds"), rows)
    say()


def _seeds(cell: Cell) -> str:
    more = len(cell.replicas) - _SEEDS
    seeds = ", ".join(str(one.seed) for one in cell.replicas[:_SEEDS])
    return f"{seeds} and {more} more" if more > 0 else seeds


def _size(cells: int, runs: int) -> str:
    counted = f"{cells} {'cell' if cells == 1 else 'cells'}"
    return f"{counted}, {runs} {'run' if runs == 1 else 'runs'}"


def _values(cell: CellResult) -> str:
    return "".join(f"   {path}={value}" for path, value in cell.overrides.items())


def _expectation(one: ExpectationSpread, cell: CellResult) -> None:
    mark = "✗" if one.failed else "!" if one.warned else "✓"
    counted = f"   {one.passed} of {cell.done}" if len(cell.replicas) > 1 else ""
    marked(mark, f"{one.title}{counted}")
    if mark != "✓" and one.that != one.title:
        say(f"    {one.that}   ({one.where})" if one.where else f"    {one.that}")
    found = [f"{source} = {_found(values)}" for source, values in one.observed.items()]
    say(f"    {', '.join(found)}")


def _found(values: Spread) -> str:
    """Return what was found: one value, or the least, the median and the most of several."""
    if values.min is None:
        counts = values.counts
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{value} ({count})" for value, count in counts.items())
    if values.min == values.max:
        return values.min
    return f"{values.min} / {values.median} / {values.max}"


def _lost(result: SweepResult) -> None:
    """Name the runs that broke a law, and those that nothing was learnt from though they began."""
    lost: dict[tuple[State, str], list[str]] = {}
    for one in (one for cell in result.cells for one in cell.replicas):
        for finding in one.outcome.findings if one.outcome else ():
            marked("✗", f"broken in {one.folder}: {finding}")
        if one.state not in ("done", "planned"):
            lost.setdefault((one.state, one.detail), []).append(one.folder)
    for (state, detail), folders in lost.items():
        more = f" and {len(folders) - 1} more" if len(folders) > 1 else ""
        said = f": {detail}" if detail else ""
        marked(_LOST[state], f"{folders[0]}{more}: {_WORDS[state]}{said}")


def _table(result: SweepResult) -> None:
    """Print a row for each cell; of several runs, the least, the median and the most."""
    paths = list(result.cells[0].overrides)
    rows = [
        (
            str(cell.number),
            *cell.overrides.values(),
            f"{cell.done} of {len(cell.replicas)}",
            _met(cell.expectations),
            *(_found(one) for one in (cell.bought, cell.left, cell.failed, cell.captured)),
        )
        for cell in result.cells
    ]
    money = f">Captured {result.currency}".rstrip()
    headings = ("Cell", *paths, ">Done", ">Expectations met", ">Bought", ">Left", ">Failed", money)
    table(headings, rows)
    if any(" / " in cell for row in rows for cell in row[-4:]):
        say("Of several runs: least / median / most.")
    runs = [one for cell in result.cells for one in cell.replicas]
    if said := left_out([one.detail for one in runs if one.state == "bad"], len(runs)):
        say(said)


def _met(expectations: Sequence[ExpectationSpread]) -> str:
    judged = sum(one.passed + one.failed + one.warned for one in expectations)
    return f"{sum(one.passed for one in expectations)} of {judged}" if judged else ""
