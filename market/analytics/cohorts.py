"""The funnel: how far journeys came, and why they ended where they did.

Three outcomes: *passed*, *left*, *open* (neither yet: open is not left). Entry decides the cohort:
a journey belongs to the moment at which its session was opened, in every stage.
"""

from datetime import datetime
from typing import Final

import polars as pl

from market.analytics.facts import Facts
from market.analytics.intervals import share_of
from market.analytics.schema import STAGE
from market.protocol.events import STAGES

_OUTCOMES: Final = ("passed", "left", "open")


def funnel(
    facts: Facts, *, since: datetime | None = None, until: datetime | None = None
) -> pl.DataFrame:
    """Return one row per stage, in the order of a journey, of those opened in [since, until).

    stage enum; reached, passed, left, open i64 (reached is their sum); step_share f64 (passed of
    reached), total_share f64 (passed of all journeys); median_seconds f64 from entering to passing
    or leaving. Shares and median are null where there is nothing to divide or to measure.
    """
    stages = _cohort(facts.stages, since, until)
    seconds = (pl.col("left_at") - pl.col("entered_at")).dt.total_microseconds() / 1e6
    counted = stages.group_by("stage").agg(
        pl.len().cast(pl.Int64).alias("reached"),
        *[(pl.col("outcome") == name).sum().cast(pl.Int64).alias(name) for name in _OUTCOMES],
        seconds.median().alias("median_seconds"),
    )
    counts = ("reached", *_OUTCOMES)
    journeys = pl.col("reached").first()
    return (
        pl.LazyFrame({"stage": STAGES}, schema={"stage": STAGE})
        .join(counted, "stage", "left", maintain_order="left")
        .with_columns(pl.col(counts).fill_null(0))
        .select(
            "stage",
            *counts,
            share_of(pl.col("passed"), pl.col("reached")).alias("step_share"),
            share_of(pl.col("passed"), journeys).alias("total_share"),
            "median_seconds",
        )
        .collect(engine="streaming")
    )


def reasons(
    facts: Facts, *, since: datetime | None = None, until: datetime | None = None
) -> pl.DataFrame:
    """Return one row per stage, reason and currency, the most frequent first within a stage.

    stage enum; reason str (of the closed list; null: the session was closed without a word);
    journeys i64 that left so; at_stake_minor i64: what they would have bought, priced as the
    chosen or best service of their last decision, 0 where nothing was priced; currency str of that,
    null if no journey of the row had a price.
    """
    left = _cohort(facts.stages, since, until).filter(pl.col("outcome") == "left")
    # A journey without a price counts beside those that have one; amounts never mix currencies.
    known = pl.col("currency").drop_nulls().first().over("stage", "reason")
    return (
        left.with_columns(pl.col("currency").fill_null(known))
        .group_by("stage", "reason", "currency")
        .agg(
            pl.len().cast(pl.Int64).alias("journeys"),
            pl.col("amount_minor").sum().alias("at_stake_minor"),
        )
        .sort("stage", "journeys", "reason", descending=[False, True, False])
        .select("stage", "reason", "journeys", "at_stake_minor", "currency")
        .collect(engine="streaming")
    )


def _cohort(stages: pl.LazyFrame, since: datetime | None, until: datetime | None) -> pl.LazyFrame:
    if since is not None:
        stages = stages.filter(pl.col("opened_at") >= since)
    if until is not None:
        stages = stages.filter(pl.col("opened_at") < until)
    return stages
