"""Plots on how the market ran: how long things took."""

from typing import Final

import altair as alt

from market.report.drawing import TIMES, colours, data
from market.report.forms import Block
from market.report.theme import ROW, WIDTH, light
from market.report.words import plain

_TIMES: Final = {"median": "passed", "p95": "fourth", "p99": "left"}
_TICKS: Final = (0.01, 0.1, 1, 10, 60, 600, 3_600, 36_000, 360_000)


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
    measure = alt.Y("measure:N", sort=[span["measure"] for span in spans], title=None)
    # Of a simulated clock much takes no time at all, which a plain logarithm cannot show.
    scale = alt.Scale(type="symlog", constant=0.01, domain=[0, reach], nice=False)
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
            x=alt.X("seconds:Q", scale=scale, axis=axis, title=None),
            color=colours(_TIMES),
            shape=alt.Shape(
                "outcome:N",
                sort=list(_TIMES),
                scale=alt.Scale(domain=list(_TIMES), range=["circle", "diamond", "triangle-up"]),
            ),
        )
    )
    return alt.layer(rules, points).properties(width=WIDTH - 60, height=ROW * len(spans))
