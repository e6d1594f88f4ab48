"""The block on a scenario that was played more than once: what differs by the seed alone."""

from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from market import analytics
from market.analytics.intervals import paired
from market.report.forms import Block, Column, Material, Table, Topic, columns_of
from market.report.runs import Cell, Outcome, Sweep
from market.report.words import counted

_REPLICAS: Final = Topic(
    "replicas",
    "Replicas",
    "The same scenario under several seeds, in each combination of the values that were tried. What"
    " an expectation asked for is shown as the least, the median and the most over the runs. Where"
    " these lie far apart, one run tells little.",
)
_COLUMNS: Final = [
    Column("cell", "Values", "name"),
    Column("measure", "Measure", "name"),
    Column("runs", "Runs", "count", "runs that were played to their end"),
    Column("low", "Least", "number"),
    Column("middle", "Median", "number"),
    Column("high", "Most", "number"),
    Column("mean", "Mean", "number"),
    Column("mean_low", "Mean at least", "number", "lower end of the mean's 95 % interval"),
    Column("mean_high", "Mean at most", "number", "upper end of it"),
]
_CHECKS: Final = [
    Column("cell", "Values", "name"),
    Column("title", "Expectation", "name"),
    Column("passed", "Passed", "count", "runs in which it was met"),
    Column("runs", "Runs", "count", "runs that were played to their end"),
]
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
    if not done:
        return _REPLICAS.nothing("No run of this sweep has been played to its end.")
    says = [
        f"{counted(len(sweep.cells), 'combination')} of values, {counted(len(sweep.runs), 'run')},"
        f" of which {done:,} {'was' if done == 1 else 'were'} played to the end."
    ]
    if split := [row for row in checks if 0 < row["passed"] < row["runs"]]:
        says.append(
            f"{counted(len(split), 'expectation hangs', 'expectations hang')} on the seed: met in"
            " some runs and not in others."
        )
    elif checks:
        says.append("No expectation hangs on the seed: each was met in all runs of a row or none.")
    tables = [Table(title="What was measured", columns=_COLUMNS, rows=measured)]
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
            **_mean(values),
            "values": values,
        }
        for measure, values in found.items()
    ]


def _mean(values: Sequence[float]) -> dict[str, float | None]:
    """Return the mean and where it lies at 95 % (Student's t: the difference of each from 0)."""
    found = paired([0.0] * len(values), values)
    return {"mean": found.difference, "mean_low": found.low, "mean_high": found.high}


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
        title = f"{_called(cell)} (after) against {_called(first)} (before)"
        tables.append(Table(title=title, columns=columns, rows=rows))
    return tables


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
    return ", ".join(f"{path}={value}" for path, value in cell.overrides.items()) or _PLAIN
