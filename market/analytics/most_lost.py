"""Which sellers lost most: whom to ask ``why`` about first."""

import polars as pl

from market.analytics.facts import Facts


def most_lost(facts: Facts, limit: int = 5) -> pl.DataFrame:
    """Return one row per seller that a journey saw and did not buy from, the most such first.

    seller_id, seller_handle str; seen i64: journeys that were shown one of its services; bought
    i64: those with a settled order at it; lost i64: the rest, whether or not they are over. At
    most ``limit`` rows; of equals the one registered as a seller first.
    """
    seen = facts.sightings.select("session_id", "seller_id").unique()
    bought = (
        facts.orders.filter(pl.col("state") == "settled")
        .select("session_id", "seller_id", is_bought=True)
        .unique()
    )
    names = facts.services.group_by("seller_id").agg(
        pl.col("seller_handle").first(), pl.col("service_id").min()
    )
    return (
        seen.join(bought, ["session_id", "seller_id"], "left")
        .group_by("seller_id")
        .agg(
            pl.len().cast(pl.Int64).alias("seen"),
            pl.col("is_bought").fill_null(False).sum().cast(pl.Int64).alias("bought"),
        )
        .join(names, "seller_id")
        .with_columns(lost=pl.col("seen") - pl.col("bought"))
        .filter(pl.col("lost") > 0)
        .sort("lost", "service_id", descending=[True, False])
        .select("seller_id", "seller_handle", "seen", "bought", "lost")
        .head(limit)
        .collect(engine="streaming")
    )
