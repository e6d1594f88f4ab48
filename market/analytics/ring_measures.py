"""What rings look like, one by one, and how well they were found."""

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from market.analytics.answers import gives, real, text, whole
from market.analytics.facts import Facts
from market.analytics.intervals import with_share

BURST: Final = 10
"""A burst is praise within a tenth of the time from the first event to the last."""


@gives(
    "One row per kind of member, and one for all",
    ("kind",),
    {
        "kind": text("all, buyer or seller"),
        "named": whole("members of the rings that were found"),
        "true": whole("agents that are in a ring by the truth"),
        "hits": whole("agents that are both"),
        "precision": real("hits of named"),
        "precision_low": real("lower end of its 95 % Wilson interval"),
        "precision_high": real("upper end of it"),
        "recall": real("hits of true"),
        "recall_low": real("lower end of its 95 % Wilson interval"),
        "recall_high": real("upper end of it"),
    },
)
def ring_accuracy(found: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """Return how well ``rings`` found those that there are.

    ``truth`` is ``truth`` of a run, or any frame with agent_id, kind (buyer or seller) and ring.
    """
    named = pl.concat(
        [
            found.select(agent_id=pl.col(f"{kind}_ids").explode(), kind=pl.lit(kind))
            for kind in ("buyer", "seller")
        ]
    ).drop_nulls("agent_id")
    there = truth.filter(pl.col("ring").is_not_null()).select("agent_id", "kind")
    both = named.with_columns(is_named=True).join(
        there.with_columns(is_true=True), ["agent_id", "kind"], "full", coalesce=True
    )
    every = pl.concat([both, both.with_columns(kind=pl.lit("all"))])
    kinds = pl.DataFrame({"kind": ["all", "buyer", "seller"]})
    counted = every.group_by("kind").agg(
        named=pl.col("is_named").sum(),
        true=pl.col("is_true").sum(),
        hits=(pl.col("is_named") & pl.col("is_true")).sum(),
    )
    shares = [
        expression.alias(name)
        for of, said in (("named", "precision"), ("true", "recall"))
        for expression, name in zip(
            with_share("hits", of), (said, f"{said}_low", f"{said}_high"), strict=True
        )
    ]
    counts = ("named", "true", "hits")
    return (
        kinds.join(counted, "kind", "left")
        .with_columns(pl.col(counts).fill_null(0))
        .with_columns(shares)
    )


def told_of(
    facts: Facts,
    members: pl.DataFrame,
    praise: pl.DataFrame,
    closed: pl.DataFrame,
    truth: pl.DataFrame | None,
) -> pl.DataFrame:
    """Return a row per ring, from its members: ring, agent_id, is_seller."""
    agents = facts.agents.select("agent_id", "handle", "registered_at").collect()
    members = members.join(agents, "agent_id", "left").join(
        closed, left_on="agent_id", right_on="buyer_id", how="left"
    )
    buyers, sellers = ~pl.col("is_seller"), pl.col("is_seller")
    groups = members.sort("ring", "agent_id").group_by("ring", maintain_order=True)
    whole_rings = groups.agg(
        sellers=pl.col("handle").filter(sellers),
        seller_ids=pl.col("agent_id").filter(sellers),
        buyer_ids=pl.col("agent_id").filter(buyers),
        members=pl.len(),
        choice_share=pl.col("had_choice").filter(buyers).mean(),
    )
    of = members.select("ring", "agent_id", "registered_at")
    given = praise.join(of, left_on="buyer_id", right_on="agent_id")
    got = praise.join(of.select("ring", "agent_id"), left_on="seller_id", right_on="agent_id")
    all_good = got.group_by("ring").agg(all_good=pl.col("good").sum())
    own = given.join(of.select("ring", seller_id="agent_id"), ["ring", "seller_id"], "semi")
    inside = own.group_by("ring").agg(
        praise=pl.col("good").sum(), times=pl.col("times").explode().sort()
    )
    first = own.group_by("ring", "buyer_id").agg(
        age=(pl.col("times").list.min().min() - pl.col("registered_at").first())
    )
    ages = first.group_by("ring").agg(
        age_seconds=pl.col("age").dt.total_microseconds().median() / 1e6
    )
    window = _window(facts)
    burst = inside.select(
        "ring",
        burst_share=pl.col("times").map_elements(
            lambda times: _densest(times.to_list(), window), return_dtype=pl.Float64
        ),
    )
    found = whole_rings
    for more in (inside.drop("times"), all_good, ages, burst):
        found = found.join(more, "ring", "left")
    found = found.with_columns(
        pl.col("praise").fill_null(0),
        praise_share=pl.when(pl.col("all_good") > 0).then(pl.col("praise") / pl.col("all_good")),
    ).with_columns(praise_per_buyer=pl.col("praise") / pl.col("buyer_ids").list.len())
    return found.join(_hits(members, truth), "ring", "left").with_columns(
        precision=pl.col("true_members") / pl.col("members")
    )


def _hits(members: pl.DataFrame, truth: pl.DataFrame | None) -> pl.DataFrame:
    """One row per ring: true_members i64, null without truth."""
    if truth is None:
        return members.group_by("ring").agg(true_members=pl.lit(None, pl.Int64))
    there = truth.filter(pl.col("ring").is_not_null()).select("agent_id", is_true=True)
    return (
        members.join(there, "agent_id", "left")
        .group_by("ring")
        .agg(true_members=pl.col("is_true").sum().cast(pl.Int64))
    )


def _window(facts: Facts) -> timedelta:
    """Return a tenth of the time from the first session to the last event."""
    span = (
        facts.events.select(pl.col("recorded_at").max() - pl.col("recorded_at").min())
        .collect()
        .item()
    )
    return (span or timedelta()) / BURST


def _densest(times: list[datetime], window: timedelta) -> float | None:
    """Return the largest share of sorted moments that lie within one window."""
    first, most = 0, 0
    for last, moment in enumerate(times):
        while moment - times[first] > window:
            first += 1
        most = max(most, last - first + 1)
    return most / len(times) if times else None
