"""Blocks on who speaks for whom: recommendations, and groups that praise only each other."""

from collections.abc import Sequence
from typing import Any, Final

from market import analytics
from market.report.forms import Block, Material, Table, Topic, columns_of
from market.report.words import counted, share

_TOLD: Final = Topic(
    "recommendations",
    "Recommendations",
    "Who recommended a service to whom. A recommendation was followed if its receiver later bought"
    " the service.",
)
_RINGS: Final = Topic(
    "rings",
    "Rings",
    "A ring is a closed group: buyers that looked at few of the sellers they were shown and only"
    " praised, and the sellers that live by that praise. It is a reason to look and no proof: a"
    " seller that alone offers what its customers search for looks the same. Where a scenario tells"
    " who really is in a ring, precision is the share of those named that are, recall the share of"
    " those that are who were named.",
)


def recommendations(of: Material) -> Block:
    """Tell who recommended to whom, and what came of it."""
    edges = analytics.recommendation_graph(of.facts).to_dicts()
    if not edges:
        return _TOLD.nothing("Nobody recommended anything.")
    degrees = analytics.recommendation_degrees(of.facts).to_dicts()
    sent, followed = (sum(edge[key] for edge in edges) for key in ("recommendations", "followed"))
    tellers = sum(one["out_degree"] > 0 for one in degrees)
    told = sum(one["in_degree"] > 0 for one in degrees)
    says = [
        f"{counted(tellers, 'agent')} sent {counted(sent, 'recommendation')} to"
        f" {counted(told, 'agent')}; {followed:,} ({share(followed / sent)}) led to a purchase."
    ]
    if tellers > 1:
        loudest = max(degrees, key=lambda one: (one["sent"], one["name"] or ""))
        says.append(
            f"Nobody sent more than {loudest['name']}: {loudest['sent']:,}, of which"
            f" {loudest['sent_followed']:,} led to a purchase."
        )
    edges.sort(key=lambda edge: (-edge["followed"], -edge["recommendations"]))
    degrees.sort(key=lambda one: -(one["out_degree"] + one["in_degree"]))
    return _TOLD.found(says, _edges(edges), _degrees(degrees))


def _edges(rows: list[dict[str, Any]]) -> Table:
    columns = columns_of(
        "recommendation_graph",
        from_name=("From", "name"),
        to_name=("To", "name"),
        recommendations=("Recommendations", "count"),
        services=("Services", "count"),
        followed=("Followed", "count"),
    )
    return Table(title="Who told whom", columns=columns, rows=rows)


def _degrees(rows: list[dict[str, Any]]) -> Table:
    columns = columns_of(
        "recommendation_degrees",
        name=("Agent", "name"),
        out_degree=("Told", "count"),
        in_degree=("Told by", "count"),
        sent=("Sent", "count"),
        sent_followed=("Sent, followed", "count"),
        received=("Received", "count"),
        received_followed=("Received, followed", "count"),
    )
    return Table(title="Agents", columns=columns, rows=rows)


def rings(of: Material) -> Block:
    """Tell which groups look closed, and how many of the real ones that is."""
    found = analytics.rings(of.facts, truth=of.truth)
    rows = found.to_dicts()
    tables = []
    says = [_looks(rows)]
    if rows:
        tables.append(_found(rows))
    if of.truth is not None:
        accuracy = analytics.ring_accuracy(found, of.truth).to_dicts()
        says.append(_accuracy_of(accuracy[0]))
        if accuracy[0]["named"] or accuracy[0]["true"]:
            tables.append(_accuracy(accuracy))
    if not tables:
        return _RINGS.nothing(" ".join(says))
    return _RINGS.found(says, *tables)


def _looks(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "No group of buyers and sellers looks closed."
    members = sum(row["members"] for row in rows)
    return (
        f"{counted(len(rows), 'group')} with {counted(members, 'member')} look"
        f"{'s' if len(rows) == 1 else ''} closed; the largest has {rows[0]['members']:,}, around"
        f" {', '.join(rows[0]['sellers']) or 'no seller'}."
    )


def _accuracy_of(row: dict[str, Any]) -> str:
    if not row["true"]:
        return "The scenario has no ring."
    there = counted(row["true"], "agent is", "agents are")
    said = f"By the scenario, {there} in rings; {row['hits']:,} of them were named"
    if row["named"] > row["hits"]:
        said += f", and {row['named'] - row['hits']:,} others"
    return f"{said}."


def _found(rows: list[dict[str, Any]]) -> Table:
    columns = columns_of(
        "rings",
        ring=("Ring", "count"),
        sellers=("Sellers", "name"),
        members=("Members", "count"),
        praise=("Praise", "count"),
        praise_share=("Of all praise", "share"),
        choice_share=("Had a choice", "share"),
        burst_share=("In one burst", "share"),
        age_seconds=("Age at praise", "seconds"),
        precision=("Truly", "share"),
    )
    return Table(title="Groups that look closed", columns=columns, rows=rows)


def _accuracy(rows: list[dict[str, Any]]) -> Table:
    columns = columns_of(
        "ring_accuracy",
        kind=("Who", "text"),
        named=("Named", "count"),
        true=("In rings", "count"),
        hits=("Both", "count"),
        precision=("Precision", "share"),
        precision_low=("At least", "share"),
        recall=("Recall", "share"),
        recall_low=("At least", "share"),
    )
    return Table(title="Named against the truth", columns=columns, rows=rows)
