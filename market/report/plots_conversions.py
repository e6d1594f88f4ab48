"""Plots on what was shown and bought: points with their intervals."""

from collections.abc import Sequence
from typing import Final

import altair as alt

from market.report.drawing import MAX_BARS, Row, colours, data, label, main_currency, share_axis
from market.report.forms import Block
from market.report.theme import ROW, WIDTH, light
from market.report.words import money

_HEIGHT: Final = 190
_ONE: Final = alt.ColorValue(light("passed"))
_BOUGHT: Final = "bought of shown"
_WON: Final = "journeys in which the first proposal won (dot), and would by chance (line)"
_EVERYBODY: Final = "all sellers"
_WHO: Final = {True: "honest", False: "dishonest", None: _EVERYBODY}


def price(block: Block) -> alt.TopLevelMixin | None:
    """Draw a point for each band of prices: its conversion, its interval, its size by offers."""
    currency = main_currency(block.rows)
    values = [
        {**row, "band_text": _band(row), "who": _EVERYBODY}
        for row in block.rows
        if currency and row["currency"] == currency
    ]
    return _points(values, title=f"price, {currency}", colour=_ONE) if values else None


def _band(row: Row) -> str:
    low, high = (
        money(row[key], row["currency"], is_bare=True) for key in ("from_minor", "to_minor")
    )
    return low if low == high else f"{low} to {high}"


def trust(block: Block) -> alt.TopLevelMixin:
    """Draw the conversion of each band of trust, of honest and of dishonest sellers."""
    values = [
        {
            **row,
            "band_text": f"{row['from_trust']:.1f} to {row['to_trust']:.1f}",
            "who": _WHO[row["is_honest"]],
        }
        for row in sorted(block.rows, key=lambda row: row["from_trust"])
    ]
    palette = {"honest": "passed", "dishonest": "left", _EVERYBODY: "open"}
    known = {value["who"] for value in values}
    if known == {_EVERYBODY}:
        return _points(values, title="reported trust", colour=_ONE)
    shown = {who: colour for who, colour in palette.items() if who in known}
    return _points(values, title="reported trust", colour=colours(shown, "who"))


def _points(
    values: Sequence[Row], *, title: str, colour: alt.Color | alt.ColorValue
) -> alt.TopLevelMixin:
    """Draw points with intervals and counts; those of one band stand side by side."""
    base = data(values)
    axis = alt.Axis(labelAngle=0, labelLimit=150)
    band = alt.X("band_text:N", sort=None, title=title, axis=axis)
    beside = alt.XOffset("who:N")
    low = alt.Y("low:Q", title=_BOUGHT)
    conversion = alt.Y("share:Q", title=_BOUGHT, scale=alt.Scale(domain=[0, 1]), axis=share_axis())
    most = max(value["shown"] for value in values)
    size = alt.Size("shown:Q", legend=None, scale=alt.Scale(domain=[0, most], range=[30, 420]))
    intervals = base.mark_rule(strokeWidth=2).encode(
        x=band, xOffset=beside, y=low, y2="high:Q", color=colour
    )
    points = base.mark_circle(opacity=1).encode(
        x=band, xOffset=beside, y=conversion, size=size, color=colour
    )
    counts = base.transform_calculate(of="datum.bought + ' of ' + datum.shown")
    # Beside its point: above it there may be no room, and on it nobody could read it.
    text = counts.mark_text(align="left", dx=13, dy=-7).encode(
        x=band, xOffset=beside, y=conversion, text="of:N"
    )
    return alt.layer(intervals, points, text).properties(width=WIDTH, height=_HEIGHT)


def first(block: Block) -> alt.TopLevelMixin:
    """Draw how often the first proposal won, with its interval, against chance."""
    values = [
        {**row, "who": f"{label(row['policy'] or 'no policy')}, {row['proposal']}"}
        for row in block.rows[:MAX_BARS]
    ]
    base = data(values)
    who = alt.Y("who:N", sort=None, title=None)
    scale = alt.Scale(domain=[0, 1])
    interval = base.mark_rule(strokeWidth=2, stroke=light("soft")).encode(
        y=who, x=alt.X("low:Q", title=_WON), x2="high:Q"
    )
    points = base.mark_circle(size=110, opacity=1, fill=light("passed")).encode(
        y=who, x=alt.X("share:Q", scale=scale, axis=share_axis(), title=_WON)
    )
    chance = base.mark_tick(thickness=3, size=16, color=light("left"), opacity=1).encode(
        y=who, x="chance_share:Q"
    )
    return alt.layer(interval, points, chance).properties(
        width=WIDTH - 60, height=ROW * len(values) + 8
    )
