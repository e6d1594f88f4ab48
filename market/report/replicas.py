"""The block on a scenario that was played more than once: what differs by the seed alone.

Runs that tested nothing (``runs.BAD``) are in no figure; it says how many they are, and why.
"""

from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from market import analytics
from market.analytics.intervals import paired
from market.report.forms import Block, Column, Material, Table, Topic, columns_of
from market.report.runs import Cell, Outcome, Sweep, left_out
from market.report.words import counted

_REPLICAS: Final = Topic(
    "replicas",
    "Replicas",
    "The same scenario under several seeds, in each combination of the values that were tried. What"
    " an expectation asked for is shown as the least, the median and the most over the runs. Where"
    " these lie far apart, one run tells little. A run that tested nothing is in none of these"
    " figures: something that its story asks for never happened.",
)
_CELLS: Final = [
    Column("number", "Cell", "count", "number of the combination, as in the names of the folders"),
    Column("values", "Values", "name"),
    Column("planned", "Runs", "count", "runs that were planned"),
    Column("runs", "Counted", "count", "runs that were played to their end, and tested something"),
    Column("bad", "Tested nothing", "count", "runs that are left out of every figure"),
    Column("left", "To play", "count", "runs that are left to be played"),
]
_COLUMNS: Final = [
    Column("cell", "Cell", "name"),
    Column("measure", "Measure", "name"),
    Column("runs", "Counted", "count"),
    Column("low", "Least", "number"),
    Column("middle", "Median", "number"),
    Column("high", "Most", "number"),
    Column("mean", "Mean", "number"),
    Column(
        "mean_low",
        "Mean at least",
        "number",
        "lower end of the mean's 95 % interval (Student's t), within what the measure can be",
    ),
    Column("mean_high", "Mean at most", "number", "upper end of it"),
]
_CHECKS: Final = [
    Column("cell", "Cell", "name"),
    Column("title", "Expectation", "name"),
    Column("passed", "Passed", "count", "runs in which it was met"),
    Column("runs", "Counted", "count"),
]
_PARTS_OF_ONE: Final = frozenset({"trust", "conversion"})
_SIGNED: Final = frozenset({"ledger.imbalance"})
"""Metrics of scenarios that are between 0 and 1, and that may be below 0; no other may."""
MAX_COMPARED: Final = 60
"""Runs of a sweep whose facts are opened to compare its combinations; of more only the table."""

_PLAIN: Final = "as it stands"
"""What a cell is called in which nothing was changed."""


def replicas(of: Material) -> Block:
    """Tell how far the runs of a sweep lie apart."""
    if of.sweep is None:
        return _REPLICAS.nothing("This is one run: it cannot tell what the seed changes.")
    sweep = of.sweep
    measured = [row for cell in sweep.cells for row in _measures(sweep, cell)]
    checks = [row for cell in sweep.cells for row in _checks(sweep, cell)]
    done = sum(len(sweep.done(cell)) for cell in sweep.cells)
    skipped = left_out(sweep.bad(sweep.runs).values(), len(sweep.runs))
    if not done:
        none = "No run of this sweep was played to its end and tested something."
        return _REPLICAS.nothing(f"{none} {skipped}".rstrip())
    says = [
        f"{counted(len(sweep.cells), 'combination')} of values, {counted(len(sweep.runs), 'run')},"
        f" of which {done:,} {'is' if done == 1 else 'are'} counted: played to the end, and tested"
        " something."
    ]
    if skipped:
        says.append(skipped)
    if done > 1 and (alike := _alike(measured)):
        told = ", ".join(f"{measure} = {value:g}" for measure, value in alike.items())
        says.append(f"The same in every run, and not drawn: {told}.")
        measured.sort(key=lambda row: row["measure"] in alike)
    if split := [row for row in checks if 0 < row["passed"] < row["runs"]]:
        says.append(
            f"{counted(len(split), 'expectation hangs', 'expectations hang')} on the seed: met in"
            " some runs and not in others."
        )
    elif checks:
        says.append("No expectation hangs on the seed: each was met in all runs of a row or none.")
    tables = [
        Table(title="What was measured", columns=_COLUMNS, rows=measured),
        Table(title="Combinations", columns=_CELLS, rows=[_row(sweep, one) for one in sweep.cells]),
    ]
    if checks:
        tables.append(Table(title="Expectations", columns=_CHECKS, rows=checks))
    differences = _differences(sweep)
    if differences:
        clear = sum(row["is_clear"] or 0 for table in differences for row in table.rows)
        says.append(
            f"Against the first combination, {counted(clear, 'difference is', 'differences are')}"
            " clear: the interval lies on one side of 0."
        )
    return _REPLICAS.found(says, *tables, *differences)


def _row(sweep: Sweep, cell: Cell) -> dict[str, Any]:
    done, bad = len(sweep.done(cell)), len(sweep.bad(cell.replicas))
    return {
        "number": cell.number,
        "values": _values(cell),
        "planned": len(cell.replicas),
        "runs": done,
        "bad": bad,
        "left": len(cell.replicas) - done - bad,
    }


def _alike(measured: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the measures that are one and the same number in all runs, with it."""
    found: dict[str, set[float]] = {}
    for row in measured:
        found.setdefault(row["measure"], set()).update(row["values"])
    return {name: values.pop() for name, values in found.items() if len(values) == 1}


def _measures(sweep: Sweep, cell: Cell) -> list[dict[str, Any]]:
    done = sweep.done(cell)
    if not done:
        return []
    found = {
        "journeys that bought": [float(one.journeys.get("bought", 0)) for one in done],
        "paid to sellers": [float(one.captured) for one in done],
        **_observed(done),
    }
    return [
        {
            "cell": _called(cell),
            "measure": measure,
            "runs": len(values),
            "low": min(values),
            "middle": median(values),
            "high": max(values),
            **_mean(values, measure),
            "values": values,
        }
        for measure, values in found.items()
    ]


def _mean(values: Sequence[float], measure: str) -> dict[str, float | None]:
    """Return the mean and where it lies at 95 % (Student's t: the difference of each from 0).

    The interval is cut where the measure cannot be: few runs that lie far apart would reach beyond.
    """
    found = paired([0.0] * len(values), values)
    metric = measure.partition("(")[0]
    least = None if metric in _SIGNED else 0.0
    most = 1.0 if metric in _PARTS_OF_ONE else None
    low, high = found.low, found.high
    if low is not None and least is not None:
        low = max(low, least)
    if high is not None and most is not None:
        high = min(high, most)
    return {"mean": found.difference, "mean_low": low, "mean_high": high}


def _differences(sweep: Sweep) -> list[Table]:
    """Compare each cell with the first, metric by metric; what is clear comes first."""
    first, *others = [cell for cell in sweep.cells if sweep.done(cell)]
    if not others or sum(map(sweep.is_done, sweep.runs)) > MAX_COMPARED:
        return []
    columns = columns_of(
        "compare",
        metric=("Metric", "text"),
        subject=("Of", "text"),
        before=("Before", "measure"),
        after=("After", "measure"),
        difference=("Difference", "measure"),
        low=("At least", "measure"),
        high=("At most", "measure"),
        is_clear=("Clear", "claim"),
    )
    before = _facts_of(sweep, first)
    tables = []
    for cell in others:
        rows = analytics.compare(before, _facts_of(sweep, cell)).to_dicts()
        rows.sort(key=lambda row: not row["is_clear"])
        title = f"{_told(cell)} (after) against {_told(first)} (before)"
        tables.append(Table(title=title, columns=columns, rows=rows))
    return tables


def _told(cell: Cell) -> str:
    return f"{_called(cell)}: {_values(cell)}" if cell.overrides else _PLAIN


def _facts_of(sweep: Sweep, cell: Cell) -> list[analytics.Replica]:
    return [
        analytics.Replica(analytics.open(sweep.place / one.folder), one.seed)
        for one in cell.replicas
        if sweep.is_done(one)
    ]


def _observed(done: Sequence[Outcome]) -> dict[str, list[float]]:
    """Return what expectations asked for that is a number in every run."""
    asked = [
        {source: text for check in one.expectations for source, text in check.observed.items()}
        for one in done
    ]
    found = {}
    for source in asked[0]:
        values = [_number(texts.get(source, "")) for texts in asked]
        known = [value for value in values if value is not None]
        if len(known) == len(done):
            found[source] = known
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _checks(sweep: Sweep, cell: Cell) -> list[dict[str, Any]]:
    done = sweep.done(cell)
    return [
        {
            "cell": _called(cell),
            "title": row[0].title,
            "passed": sum(one.status == "passed" for one in row),
            "runs": len(row),
        }
        for row in zip(*(one.expectations for one in done), strict=False)
    ]


def _called(cell: Cell) -> str:
    """Return a short name that no other cell has; the table of combinations tells its values."""
    return f"cell {cell.number}" if cell.overrides else _PLAIN


def _values(cell: Cell) -> str:
    return ", ".join(f"{path}={value}" for path, value in cell.overrides.items()) or _PLAIN
