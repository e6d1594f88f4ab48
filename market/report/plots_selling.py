"""Plots on sellers over time: their trust as lines, what they were paid as bars."""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import altair as alt

from market.report.drawing import Row, amount, data, labels, main_currency
from market.report.forms import Block
from market.report.theme import WIDTH, light

MAX_SELLERS: Final = 8
"""Sellers that have a line or a colour of their own."""

_MAX_POINTS: Final = 200
"""Readings of a seller that are drawn; of more, the extremes of each of a hundred spans."""

_COLOURS: Final = ("passed", "left", "second", "third", "fourth", "ink", "open", "link")
_DASHES: Final = ([1, 0], [1, 0], [1, 0], [1, 0], [1, 0], [5, 3], [5, 3], [5, 3])
_REST: Final = "the rest"
_MINUTES: Final = timedelta(minutes=15)
_DAY: Final = timedelta(days=1)
_HEIGHT: Final = 220
_LEGEND: Final = alt.Legend(columns=4, symbolType="stroke", symbolStrokeWidth=3)


def trust(block: Block) -> alt.TopLevelMixin:
    """Draw a line for each seller: what buyers read of its trust, and when."""
    kept = [row["seller_id"] for row in block.rows[:MAX_SELLERS]]
    names = _names([(row["seller_id"], row["seller"]) for row in block.rows[:MAX_SELLERS]])
    readings = block.tables[1].rows
    values = [
        {"seller": names[seller], "at": row["at"].isoformat(), "trust": row["trust"]}
        for seller in kept
        for row in _thinned([row for row in readings if row["seller_id"] == seller])
    ]
    shown = list(names.values())
    base = data(values)
    colour = alt.Color(
        "seller:N",
        sort=shown,
        scale=alt.Scale(domain=shown, range=[light(one) for one in _COLOURS[: len(shown)]]),
        legend=_LEGEND,
    )
    dash = alt.StrokeDash(
        "seller:N",
        sort=shown,
        scale=alt.Scale(domain=shown, range=[list(one) for one in _DASHES[: len(shown)]]),
        legend=_LEGEND,
    )
    score = alt.Y(
        "trust:Q",
        title="trust, as it was read",
        scale=alt.Scale(domain=_reach([value["trust"] for value in values]), nice=False),
        axis=alt.Axis(format=".2f", tickCount=6, grid=True),
    )
    when = _when([row["at"] for row in readings])
    lines = base.mark_line(strokeWidth=2).encode(x=when, y=score, color=colour, strokeDash=dash)
    points = base.mark_circle(size=22, opacity=1).encode(x=when, y=score, color=colour)
    return alt.layer(lines, points).properties(width=WIDTH, height=_HEIGHT)


def sales(block: Block) -> alt.TopLevelMixin | None:
    """Draw a bar for each span of time: what sellers were paid in it, one above the other."""
    currency = main_currency(block.rows)
    rows = [row for row in block.rows if row["currency"] == currency and row["captured_minor"]]
    if not rows:
        return None
    totals: Counter[str] = Counter()
    for row in rows:
        totals[row["seller_id"]] += row["captured_minor"]
    first = [seller for seller, _ in totals.most_common(MAX_SELLERS)]
    handles = {row["seller_id"]: row["seller"] for row in rows}
    names = _names([(seller, handles[seller]) for seller in first])
    shown = list(names.values())
    palette = [light(one) for one in _COLOURS[: len(shown)]]
    if len(totals) > len(first):
        shown.append(_REST)
        palette.append(light("line"))
    rows.sort(key=lambda row: (row["at"], first.index(row["seller_id"]) if row["seller_id"] in
                               names else len(first)))  # fmt: skip
    pieces = _stacked(rows, names)
    values = [
        {**piece, "low": amount(piece["low"], currency), "high": amount(piece["high"], currency)}
        for piece in pieces
    ]
    when = _when([row["at"] for row in rows])
    most = max(value["high"] for value in values)
    paid = alt.Y(
        "low:Q",
        title=f"paid, {currency}",
        scale=alt.Scale(domain=[0, most * 1.05], nice=False),
        axis=alt.Axis(tickCount=5, grid=True),
    )
    colour = alt.Color(
        "seller:N",
        sort=shown,
        scale=alt.Scale(domain=shown, range=palette),
        legend=alt.Legend(columns=4),
    )
    bars = data(values).mark_bar(stroke=light("ground"), strokeWidth=0.5)
    return alt.layer(
        bars.encode(x=when, x2="until:T", y=paid, y2="high:Q", color=colour)
    ).properties(width=WIDTH, height=_HEIGHT - 40)


def _reach(scores: Sequence[float]) -> list[float]:
    """Return the part of 0 to 1 that is drawn: what was read, to the next twentieth."""
    low, high = math.floor(min(scores) * 20) / 20, math.ceil(max(scores) * 20) / 20
    return [max(low - 0.05, 0.0), min(max(high, low + 0.05), 1.0)]


def _when(moments: Sequence[datetime]) -> alt.X:
    """Return an axis of time: by the clock within a day, with the date over several."""
    span = max(moments) - min(moments)
    form = "%H:%M:%S" if span <= _MINUTES else "%H:%M" if span <= _DAY else "%m-%d %H:%M"
    axis = alt.Axis(tickCount=6, format=form, labelFlush=False, labelOverlap=True)
    title = f"UTC, from {min(moments):%Y-%m-%d}"
    return alt.X("at:T", scale=alt.Scale(type="utc"), title=title, axis=axis)


def _stacked(rows: Sequence[Row], names: dict[str, str]) -> list[dict[str, Any]]:
    """Put the amounts of each span one above the other, in the order of the rows."""
    reached: Counter[Any] = Counter()
    pieces = []
    for row in rows:
        low = reached[row["at"]]
        reached[row["at"]] += row["captured_minor"]
        pieces.append(
            {
                "seller": names.get(row["seller_id"], _REST),
                "at": row["at"].isoformat(),
                "until": row["until"].isoformat(),
                "low": low,
                "high": reached[row["at"]],
            }
        )
    return pieces


def _names(sellers: Sequence[tuple[str, str | None]]) -> dict[str, str]:
    made = labels([handle or seller for seller, handle in sellers])
    return dict(zip([seller for seller, _ in sellers], made, strict=True))


def _thinned(readings: Sequence[Row]) -> list[Row]:
    """Return readings, or of very many the lowest and the highest of each span of them."""
    if len(readings) <= _MAX_POINTS:
        return list(readings)
    size = -(-len(readings) // (_MAX_POINTS // 2))
    kept: list[Row] = []
    for start in range(0, len(readings), size):
        span = readings[start : start + size]
        ends = {min(range(len(span)), key=lambda at: span[at]["trust"]),
                max(range(len(span)), key=lambda at: span[at]["trust"])}  # fmt: skip
        kept += [span[at] for at in sorted(ends)]
    return kept
