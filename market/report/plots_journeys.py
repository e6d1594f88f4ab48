"""Plots on the journey: the funnel, and the reasons to leave."""

from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from market.report.drawing import MAX_BARS, Row, amount, colours, data
from market.report.forms import Block
from market.report.theme import ROW, WIDTH, light
from market.report.words import STAGE_ORDER, money, plain

_OUTCOMES: Final = ("passed", "open", "left")
_ROOM: Final = 1.55
"""How much longer than its longest bar a plot is, so that a value fits behind that."""


def funnel(block: Block) -> alt.TopLevelMixin:
    """Draw a bar for each stage: of those that reached it, who passed, is open, or left."""
    pieces = [
        {"stage": plain(row["stage"]), "outcome": outcome, "order": order, "journeys": row[outcome]}
        for row in block.rows
        for order, outcome in enumerate(_OUTCOMES)
        if row[outcome]
    ]
    marks = [
        {"stage": plain(row["stage"]), "reached": row["reached"], "said": _passed_of(row)}
        for row in block.rows
    ]
    stage = alt.Y("stage:N", sort=list(STAGE_ORDER), title=None)
    most = block.rows[0]["reached"]
    length = alt.Scale(domain=[0, most * 1.4], nice=False)
    used = [outcome for outcome in _OUTCOMES if any(row[outcome] for row in block.rows)]
    bars = (
        data(pieces)
        .mark_bar()
        .encode(
            y=stage,
            x=alt.X("journeys:Q", scale=length, axis=None),
            color=colours({outcome: outcome for outcome in used}),
            order="order:O",
        )
    )
    said = data(marks).mark_text(align="left", dx=6).encode(y=stage, x="reached:Q", text="said:N")
    return alt.layer(bars, said).properties(width=WIDTH, height=ROW * len(STAGE_ORDER))


def _passed_of(row: dict[str, Any]) -> str:
    if not row["reached"]:
        return "nobody came"
    return f"{row['passed']:,} of {row['reached']:,} passed"


def reasons(block: Block) -> alt.TopLevelMixin:
    """Draw two bars for each stage and reason: journeys, and what was at stake."""
    rows = sorted(block.rows, key=lambda row: -row["journeys"])[:MAX_BARS]
    rows.sort(key=lambda row: (STAGE_ORDER.index(plain(row["stage"])), -row["journeys"]))
    several = len({row["currency"] for row in rows if row["currency"]}) > 1
    values = [
        {
            "way": f"{plain(row['stage'])}: {plain(row['reason'] or 'no word')}"
            + (f" ({row['currency'] or 'unpriced'})" if several else ""),
            "journeys": row["journeys"],
            "amount": amount(row["at_stake_minor"], row["currency"]),
            "said": f"{row['journeys']:,}",
            "stake": money(row["at_stake_minor"], row["currency"]),
        }
        for row in rows
    ]
    height = ROW * len(values)
    sides = [
        _side(values, "journeys", "said", "journeys", "left", has_names=True),
        _side(values, "amount", "stake", "at stake", "second", has_names=False),
    ]
    return alt.hconcat(
        *[one.properties(width=WIDTH // 2 - 10, height=height) for one in sides], spacing=20
    )


def _side(
    values: Sequence[Row], field: str, said: str, title: str, colour: str, *, has_names: bool
) -> alt.LayerChart | alt.FacetChart:
    """Draw bars of one measure; each has its value behind it, so there is no axis."""
    most = max(value[field] for value in values) or 1
    way = alt.Y("way:N", sort=None, title=None, axis=alt.Axis() if has_names else None)
    length = alt.X(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(domain=[0, most * _ROOM], nice=False),
        axis=alt.Axis(labels=False, ticks=False, grid=False, domain=False, titleAnchor="start"),
    )
    bars = data(values).mark_bar(fill=light(colour)).encode(y=way, x=length)
    text = data(values).mark_text(align="left", dx=5)
    return alt.layer(bars, text.encode(y=way, x=length, text=f"{said}:N"))
