"""Plots on the journey: the funnel, and the reasons to leave."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import altair as alt

from market.report.drawing import MAX_BARS, Row, amount, colours, count_axis, data, labels
from market.report.forms import Block
from market.report.theme import ROW, WIDTH, light
from market.report.words import STAGE_ORDER, money, plain

_OUTCOMES: Final = ("passed", "open", "left")
_CAUSES: Final = ("left", "passed", "second", "fourth", "third")
_REST: Final = "the rest"
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


def causes(block: Block) -> alt.TopLevelMixin:
    """Draw a bar for each seller: for which causes it lost its sales."""
    sellers = list(dict.fromkeys(row["seller"] for row in block.rows))
    names = dict(zip(sellers, labels(sellers), strict=True))
    counts: Counter[str] = Counter()
    for row in block.rows:
        counts[plain(row["cause"])] += row["journeys"]
    first = [cause for cause, _ in counts.most_common(len(_CAUSES))]
    pieces = [
        {
            "seller": names[row["seller"]],
            "outcome": cause if cause in first else _REST,
            "order": -first.index(cause) if cause in first else -len(first),
            "journeys": row["journeys"],
        }
        for row in block.rows
        for cause in [plain(row["cause"])]
    ]
    pieces += [
        {"seller": names[seller], "outcome": _REST, "order": -len(first), "journeys": left}
        for seller in sellers
        if (left := _untold(block.rows, seller))
    ]
    shown = dict(zip(first, _CAUSES, strict=False))
    if any(piece["outcome"] == _REST for piece in pieces):
        shown[_REST] = "open"
    whose = alt.Y("seller:N", sort=list(names.values()), title=None)
    most = max(row["lost"] for row in block.rows)
    length = alt.X("sum(journeys):Q", title="journeys lost", axis=count_axis(most))
    bars = (
        data(pieces)
        .mark_bar()
        .encode(
            y=whose, x=length, color=colours(shown), order=alt.Order("order:Q", sort="descending")
        )
    )
    return alt.layer(bars).properties(width=WIDTH - 60, height=ROW * len(sellers))


def _untold(rows: Sequence[Row], seller: str) -> int:
    """Return how many of a seller's lost journeys are of causes that are not told."""
    own = [row for row in rows if row["seller"] == seller]
    return int(own[0]["lost"] - sum(row["journeys"] for row in own))


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
