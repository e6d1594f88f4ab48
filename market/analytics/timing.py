"""Latency: how long the stages of a journey and the delivery of an order took."""

from typing import Final

import polars as pl

from market.analytics.answers import gives, real, whole
from market.analytics.facts import Facts
from market.analytics.schema import Column
from market.protocol.events import STAGES

MEASURES: Final = (*STAGES, "approval", "first_chunk", "delivery", "settlement")
MEASURE: Final = pl.Enum(MEASURES)
"""What is timed: the six stages, and then parts of an order's life."""

_QUANTILES: Final = (50, 95, 99)


@gives(
    "One row per measure, in the order of a journey; those of which there is none are missing",
    ("measure",),
    {
        "measure": Column(
            MEASURE,
            "a stage: from entering to passing or leaving it; approval: from asking a human to the"
            " answer; first_chunk and delivery: from the order's placement, or its approval, to the"
            " first part and to the last; settlement: from the last part to the end of the order",
        ),
        "measured": whole("journeys or orders that came to the end of it; what is open is not in"),
        "p50_seconds": real("median"),
        "p95_seconds": real("95th percentile"),
        "p99_seconds": real("99th percentile"),
        "max_seconds": real("the longest"),
    },
)
def latency(facts: Facts) -> pl.DataFrame:
    """Return how long things took, by the market's clock: p50, p95, p99 of each measure.

    Between two values percentiles are interpolated in proportion.
    """
    stages = facts.stages.select(
        pl.col("stage").cast(pl.String()).alias("measure"),
        _seconds("entered_at", "left_at").alias("seconds"),
    )
    timed = pl.concat([stages, *_orders(facts)]).drop_nulls("seconds")
    quantiles = [
        pl.col("seconds").quantile(percent / 100, "linear").alias(f"p{percent}_seconds")
        for percent in _QUANTILES
    ]
    return (
        timed.group_by(pl.col("measure").cast(MEASURE))
        .agg(pl.len().alias("measured"), *quantiles, pl.col("seconds").max().alias("max_seconds"))
        .collect(engine="streaming")
    )


def _orders(facts: Facts) -> list[pl.LazyFrame]:
    """The measures of orders, each with columns ``measure`` and ``seconds``."""
    approvals = facts.events.filter(pl.col("kind").str.starts_with("approval."))
    asked = approvals.filter(pl.col("kind") == "approval.requested").select(
        "order_id", asked_at="recorded_at"
    )
    answered = approvals.filter(pl.col("kind") != "approval.requested").select(
        "order_id",
        answered_at="recorded_at",
        granted_at=pl.when(pl.col("kind") == "approval.granted").then(pl.col("recorded_at")),
    )
    parts = facts.chunks.group_by("order_id").agg(
        first_at=pl.col("delivered_at").min(), last_at=pl.col("delivered_at").max()
    )
    orders = (
        facts.orders.select("order_id", "placed_at", "ended_at", "units", "units_delivered")
        .join(asked, "order_id", "left")
        .join(answered, "order_id", "left")
        .join(parts, "order_id", "left")
        .with_columns(
            begun_at=pl.coalesce("granted_at", "placed_at"),
            whole_at=pl.when(pl.col("units_delivered") == pl.col("units")).then(pl.col("last_at")),
        )
    )
    spans = {
        "approval": _seconds("asked_at", "answered_at"),
        "first_chunk": _seconds("begun_at", "first_at"),
        "delivery": _seconds("begun_at", "whole_at"),
        "settlement": _seconds("whole_at", "ended_at"),
    }
    return [
        orders.select(pl.lit(name).alias("measure"), span.alias("seconds"))
        for name, span in spans.items()
    ]


def _seconds(since: str, until: str) -> pl.Expr:
    return (pl.col(until) - pl.col(since)).dt.total_microseconds() / 1e6
