"""Recommendations as a graph: who told whom, and what came of it."""

import polars as pl

from market.analytics.answers import gives, text, whole
from market.analytics.facts import Facts


@gives(
    "One row per pair of agents of which one recommended something to the other",
    ("from_id", "to_id"),
    {
        "from_id": text("agent that recommends"),
        "from_name": text("its handle"),
        "to_id": text("agent that was told"),
        "to_name": text("its handle"),
        "recommendations": whole("how many it got from there"),
        "services": whole("how many services these were about"),
        "followed": whole("of the recommendations, those whose service it then bought"),
    },
)
def recommendation_graph(facts: Facts) -> pl.DataFrame:
    """Return who recommended to whom, as edges.

    A recommendation is followed by a settled order of its service that was placed after it was
    sent; one order may follow several.
    """
    return (
        _told(facts)
        .group_by("from_id", "to_id")
        .agg(
            pl.len().alias("recommendations"),
            pl.col("service_id").n_unique().alias("services"),
            pl.col("is_followed").sum().alias("followed"),
        )
        .join(_names(facts, "from"), "from_id", "left")
        .join(_names(facts, "to"), "to_id", "left")
        .collect(engine="streaming")
    )


@gives(
    "One row per agent that recommended, or was told of, a service",
    ("name", "agent_id"),
    {
        "agent_id": text("the agent"),
        "name": text("its handle"),
        "out_degree": whole("agents that it recommended something to"),
        "in_degree": whole("agents that recommended something to it"),
        "sent": whole("recommendations that it sent, one for each that was told"),
        "received": whole("recommendations that it got"),
        "sent_followed": whole("of those that it sent, those that were followed"),
        "received_followed": whole("of those that it got, those that it followed"),
    },
)
def recommendation_degrees(facts: Facts) -> pl.DataFrame:
    """Return how many each agent recommended something to, and how many to it."""
    told = _told(facts)
    sides = [
        told.group_by(pl.col(f"{one}_id").alias("agent_id")).agg(
            pl.col(f"{other}_id").n_unique().alias(f"{way}_degree"),
            pl.len().alias(verb),
            pl.col("is_followed").sum().alias(f"{verb}_followed"),
        )
        for one, other, way, verb in (
            ("from", "to", "out", "sent"),
            ("to", "from", "in", "received"),
        )
    ]
    names = facts.agents.select("agent_id", name="handle")
    return (
        sides[0]
        .join(sides[1], "agent_id", "full", coalesce=True)
        .join(names, "agent_id", "left")
        .with_columns(pl.selectors.integer().fill_null(0))
        .collect(engine="streaming")
    )


def _told(facts: Facts) -> pl.LazyFrame:
    """One row per recommendation and agent that got it: from_id, to_id, service_id, is_followed."""
    bought = (
        facts.orders.filter(pl.col("state") == "settled")
        .group_by("service_id", pl.col("buyer_id").alias("to_id"))
        .agg(last_at=pl.col("placed_at").max())
    )
    return (
        facts.recommendations.rename({"recipient_id": "to_id"})
        .join(bought, ["service_id", "to_id"], "left")
        .with_columns(is_followed=(pl.col("last_at") > pl.col("sent_at")).fill_null(False))
    )


def _names(facts: Facts, side: str) -> pl.LazyFrame:
    return facts.agents.select(
        pl.col("agent_id").alias(f"{side}_id"), pl.col("handle").alias(f"{side}_name")
    )
