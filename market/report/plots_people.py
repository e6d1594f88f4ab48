"""Plots on who speaks for whom: the graph of recommendations, and how rings look."""

import math
from collections import Counter
from typing import Any, Final

import altair as alt

from market.report.drawing import TIMES, Row, colours, data, label
from market.report.forms import Block
from market.report.layout import Spot, spread
from market.report.theme import WIDTH, light

MAX_NODES: Final = 60
"""Agents of the graph: those with the most ties."""

MAX_EDGES: Final = 400
_NAMED: Final = 16
_FEW: Final = 60
_HEIGHT: Final = 400
_LEAST_HEIGHT: Final = 110
_TIP: Final = 0.88
"""How far along an edge its arrow stands: before the node that it leads to."""


def recommendations(block: Block) -> alt.TopLevelMixin | None:
    """Draw who told whom: arrows from those that recommend, dark where that was followed."""
    ties: Counter[str] = Counter()
    for row in block.rows:
        ties.update([row["from_id"], row["to_id"]])
    kept = {agent for agent, _ in ties.most_common(MAX_NODES)}
    rows = [row for row in block.rows if {row["from_id"], row["to_id"]} <= kept][:MAX_EDGES]
    nodes = sorted({row[side] for row in rows for side in ("from_id", "to_id")})
    places = spread(nodes, [(row["from_id"], row["to_id"]) for row in rows])
    names = {row[f"{side}_id"]: row[f"{side}_name"] for row in rows for side in ("from", "to")}
    height = min(_LEAST_HEIGHT + 14 * len(nodes), _HEIGHT)
    edges = [_edge(row, places[row["from_id"]], places[row["to_id"]], height) for row in rows]
    return _graph(edges, _nodes(rows, places, names, ties), height)


def _edge(row: Row, start: Spot, end: Spot, height: int) -> dict[str, Any]:
    dx, dy = end[0] - start[0], end[1] - start[1]
    turn = math.degrees(math.atan2(dx * WIDTH, dy * height))
    return {
        "x": start[0],
        "y": start[1],
        "to_x": end[0],
        "to_y": end[1],
        "tip_x": start[0] + _TIP * dx,
        "tip_y": start[1] + _TIP * dy,
        "turn": turn,
        "outcome": "followed" if row["followed"] else "not followed",
    }


def _nodes(
    rows: list[dict[str, Any]], places: Any, names: dict[str, str | None], ties: Counter[str]
) -> list[dict[str, Any]]:
    told = Counter(row["to_id"] for row in rows)
    named = {agent for agent, _ in ties.most_common() if agent in places}
    loudest = sorted(named, key=lambda agent: (-ties[agent], names[agent] or ""))[:_NAMED]
    return [
        {
            "x": x,
            "y": y,
            "told": told[agent],
            "name": label(names[agent] or agent) if agent in loudest else "",
        }
        for agent, (x, y) in places.items()
    ]


def _graph(
    edges: list[dict[str, Any]], nodes: list[dict[str, Any]], height: int
) -> alt.TopLevelMixin:
    # Room for names; the scales say nothing, so there are no axes.
    across = alt.Scale(domain=[-0.08, 1.08], nice=False)
    up = alt.Scale(domain=[-0.08, 1.22], nice=False)
    edges.sort(key=lambda edge: edge["outcome"], reverse=True)

    def at(x: str, y: str) -> dict[str, Any]:
        return {
            "x": alt.X(f"{x}:Q", scale=across, axis=None),
            "y": alt.Y(f"{y}:Q", scale=up, axis=None),
        }

    width = 1.2 if len(edges) <= _FEW else 0.5
    shown = {edge["outcome"] for edge in edges}
    palette = {"followed": "passed", "not followed": "open"}
    colour = colours({name: hue for name, hue in palette.items() if name in shown})
    lines = (
        data(edges)
        .mark_rule(strokeWidth=width, opacity=0.55)
        .encode(**at("x", "y"), x2="to_x:Q", y2="to_y:Q", color=colour)
    )
    tips = (
        data(edges)
        .mark_point(shape="triangle-up", filled=True, size=26 * width, opacity=1)
        .encode(**at("tip_x", "tip_y"), angle=alt.Angle("turn:Q", scale=None), color=colour)
    )
    most = max((node["told"] for node in nodes), default=1) or 1
    size = alt.Size("told:Q", legend=None, scale=alt.Scale(domain=[0, most], range=[60, 260]))
    spots = (
        data(nodes)
        .mark_circle(fill=light("second"), opacity=1, stroke=light("ground"))
        .encode(**at("x", "y"), size=size)
    )
    # Names stand on a seam in the colour of the ground, so that lines do not cross them out.
    named = data([node for node in nodes if node["name"]])
    seam = named.mark_text(dy=-13, stroke=light("ground"), strokeWidth=4, fill=light("ground"))
    seams = seam.encode(**at("x", "y"), text="name:N")
    names = named.mark_text(dy=-13).encode(**at("x", "y"), text="name:N")
    return alt.layer(lines, tips, spots, seams, names).properties(width=WIDTH, height=height)


def rings(block: Block) -> alt.TopLevelMixin | None:
    """Draw a point for each group: how new its buyers were, and how sudden their praise."""
    if "ring" not in block.rows[0]:
        return None
    values = [
        {
            **{key: row[key] for key in ("age_seconds", "burst_share", "members")},
            "name": label(f"{row['ring']}: {', '.join(row['sellers']) or 'no seller'}"),
        }
        for row in block.rows
        if row["burst_share"] is not None and row["age_seconds"] is not None
    ]
    if not values:
        return None
    oldest = max(value["age_seconds"] for value in values) or 1
    base = data(values)
    age = alt.X(
        "age_seconds:Q",
        title="median age of its buyers when they first praised",
        scale=alt.Scale(domain=[0, oldest * 1.25], nice=False),
        axis=alt.Axis(labelExpr=TIMES, tickCount=6),
    )
    burst = alt.Y(
        "burst_share:Q",
        title="praise in one burst",
        scale=alt.Scale(domain=[0, 1.1], nice=False),
        axis=alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1]),
    )
    most = max(value["members"] for value in values)
    size = alt.Size("members:Q", legend=None, scale=alt.Scale(domain=[0, most], range=[30, 420]))
    points = base.mark_circle(fill=light("left"), opacity=1).encode(x=age, y=burst, size=size)
    text = base.mark_text(dy=-16).encode(x=age, y=burst, text="name:N")
    return alt.layer(points, text).properties(width=WIDTH - 40, height=220)
