"""Plots on how the market ran: how long things took."""

from typing import Any, Final

import altair as alt

from market.report.drawing import MAX_BARS, TIMES, colours, data, labels
from market.report.forms import Block
from market.report.theme import ROW, WIDTH, light
from market.report.words import name, plain

_MAX_MEASURES: Final = 8
_HIGH_ROW: Final = ROW + 8
_TIMES: Final = {"median": "passed", "p95": "fourth", "p99": "left"}
_TICKS: Final = (0.01, 0.1, 1, 10, 60, 600, 3_600, 36_000, 360_000)


def replicas(block: Block) -> alt.TopLevelMixin | None:
    """Draw the runs as dots, the median as a line: a row for each cell, a part per measure.

    A measure that is one number in all runs is not worth a part: the block's sentences have it.
    """
    by_measure: dict[str, list[dict[str, Any]]] = {}
    for row in block.rows:
        by_measure.setdefault(row["measure"], []).append(row)
    is_one = sum(row["runs"] for row in next(iter(by_measure.values()))) == 1
    telling = [
        (measure, rows)
        for measure, rows in by_measure.items()
        if is_one or len({value for row in rows for value in row["values"]}) > 1
    ]
    parts = [_dots(measure, rows[:MAX_BARS]) for measure, rows in telling[:_MAX_MEASURES]]
    return alt.vconcat(*parts, spacing=14) if parts else None


def _dots(measure: str, rows: list[dict[str, Any]]) -> alt.LayerChart | alt.FacetChart:
    names = labels([row["cell"] for row in rows])
    runs = [
        {"cell": cell, "value": value}
        for cell, row in zip(names, rows, strict=True)
        for value in row["values"]
    ]
    middles = [
        {"cell": cell, "value": row["middle"]} for cell, row in zip(names, rows, strict=True)
    ]
    cell = alt.Y("cell:N", sort=names, title=None)
    title = name(measure)
    value = alt.X(
        "value:Q", title=title, scale=alt.Scale(zero=False, padding=14), axis=alt.Axis(tickCount=6)
    )
    dots = data(runs).mark_circle(size=60, opacity=0.6, fill=light("passed"))
    ticks = data(middles).mark_tick(thickness=3, size=18, color=light("left"), opacity=1)
    return alt.layer(dots.encode(y=cell, x=value), ticks.encode(y=cell, x=value)).properties(
        width=WIDTH - 80, height=ROW * len(rows)
    )


def latency(block: Block) -> alt.TopLevelMixin:
    """Draw the median, p95 and p99 of each measure, on a scale by powers of ten from 0."""
    values = [
        {"measure": plain(row["measure"]), "outcome": time, "seconds": row[field]}
        for row in block.rows
        for time, field in zip(_TIMES, ("p50_seconds", "p95_seconds", "p99_seconds"), strict=True)
    ]
    spans = [
        {
            "measure": plain(row["measure"]),
            "least": row["p50_seconds"],
            "most": row["p99_seconds"],
        }
        for row in block.rows
    ]
    longest = max(span["most"] for span in spans)
    reach = next((tick for tick in _TICKS if tick >= longest), longest)
    order = [span["measure"] for span in spans]
    measure = alt.Y("measure:N", sort=order, title=None, axis=alt.Axis(offset=8))
    # Of a simulated clock much takes no time at all, which a plain logarithm cannot show.
    scale = alt.Scale(type="symlog", constant=0.01, domain=[0, reach], nice=False)
    # Marks of one time would lie on each other, so each kind has its own height in the row.
    beside = alt.YOffset("outcome:N", sort=list(_TIMES), scale=alt.Scale(domain=list(_TIMES)))
    ticks = [0, *[tick for tick in _TICKS if tick <= reach]]
    axis = alt.Axis(values=ticks, labelExpr=TIMES)
    rules = (
        data(spans)
        .mark_rule(stroke=light("line"), strokeWidth=3)
        .encode(y=measure, x=alt.X("least:Q", scale=scale, axis=axis, title=None), x2="most:Q")
    )
    points = (
        data(values)
        .mark_point(filled=True, size=70, opacity=1)
        .encode(
            y=measure,
            yOffset=beside,
            x=alt.X("seconds:Q", scale=scale, axis=axis, title=None),
            color=colours(_TIMES),
            shape=alt.Shape(
                "outcome:N",
                sort=list(_TIMES),
                scale=alt.Scale(domain=list(_TIMES), range=["circle", "diamond", "triangle-up"]),
            ),
        )
    )
    return alt.layer(rules, points).properties(width=WIDTH - 60, height=_HIGH_ROW * len(spans))
