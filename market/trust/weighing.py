"""What every buyer's word weighs: vouched money, and how far its verdicts lie from the others'."""

from typing import Final

import polars as pl

from market.trust.columns import INT, parted, rounded, voice_weight, voices
from market.trust.outcomes import PAIR
from market.trust.scoring import (
    CONSENSUS_PRIOR,
    ENOUGH,
    GENEROUS_ANCHORS,
    HONEST_DIFFERENCE,
    MICRO,
    MOST_AT_ONE,
    STEPS,
    TOLERANCE,
    VOUCHED_AT_HALF,
)

_STEP: Final = MICRO // STEPS


def vouched_sellers(pairs: pl.DataFrame, anchors: frozenset[str]) -> pl.DataFrame:
    """Return how far anchors vouch for sellers: one row each, seller_id str, vouch i64 millionths.

    What its two most generous anchors say of a seller is left out.
    """
    bought = pairs.filter(pl.col("buyer_id").is_in(list(anchors)))
    good, bad = voices(bought["good_micro"], bought["bad_micro"])
    net = (
        bought.with_columns((good - bad).alias("net"))
        .group_by("seller_id")
        .agg(pl.col("net").sort(descending=True).slice(GENEROUS_ANCHORS).sum())
        .filter(pl.col("net") > 0)
    )
    vouch = rounded(1e6 * net["net"] / (net["net"] + VOUCHED_AT_HALF * MICRO))
    return net.select("seller_id", vouch.alias("vouch"))


def weighed_buyers(
    pairs: pl.DataFrame, vouched: pl.DataFrame, anchors: frozenset[str]
) -> pl.DataFrame:
    """Return what each buyer's word weighs, in millionths and steps of a twentieth.

    One row per buyer: buyer_id str; vouched_micro, crowd_micro, calibration_micro, spend_micro
    (at vouched sellers, a typical order being 10) and is_anchor i64.
    """
    buyers = _by_money(pairs, vouched, anchors)
    judged = buyers.join(_calibrations(pairs, buyers), on="buyer_id", how="left").with_columns(
        pl.col("calibration").fill_null(STEPS)
    )
    own = judged["steps"] * judged["calibration"] // STEPS
    return judged.select(
        "buyer_id",
        (own * _STEP).alias("vouched_micro"),
        ((judged["calibration"] - own) * _STEP).alias("crowd_micro"),
        (judged["calibration"] * _STEP).alias("calibration_micro"),
        "spend_micro",
        "is_anchor",
    )


def _by_money(pairs: pl.DataFrame, vouched: pl.DataFrame, anchors: frozenset[str]) -> pl.DataFrame:
    """One row per buyer: its money at vouched sellers, and the steps that this is worth."""
    paid = pairs.join(vouched, on="seller_id")
    most = paid["spend_micro"].clip(upper_bound=MOST_AT_ONE * MICRO)
    spent = paid.select("buyer_id", parted(most, paid["vouch"]).alias("spend_micro"))
    spent = spent.group_by("buyer_id").agg(pl.col("spend_micro").sum())
    buyers = pairs.select("buyer_id").unique().join(spent, on="buyer_id", how="left")
    buyers = buyers.with_columns(
        pl.col("spend_micro").fill_null(0),
        pl.col("buyer_id").is_in(list(anchors)).cast(INT).alias("is_anchor"),
    )
    spend = buyers["spend_micro"] / MICRO
    share = spend * spend / (spend * spend + float(ENOUGH * ENOUGH))
    steps = (share * float(STEPS)).cast(INT)
    return buyers.with_columns(
        pl.when(pl.col("is_anchor") == 1).then(STEPS).otherwise(steps).cast(INT).alias("steps")
    )


def _calibrations(pairs: pl.DataFrame, buyers: pl.DataFrame) -> pl.DataFrame:
    """One row per buyer that reviewed: buyer_id, and calibration i64 in twentieths."""
    said = _verdicts(pairs, buyers)
    said = said.join(_consensus(said), on="seller_id")
    everywhere = said.unique("seller_id").select(pl.col("all_good", "all").sum())
    total_good, total = everywhere.row(0)
    usual = ((total_good or 0) + CONSENSUS_PRIOR / 2 * MICRO) / (
        (total or 0) + CONSENSUS_PRIOR * MICRO
    )
    # Of the consensus on a seller the buyer's own part is left out.
    crowd = said["share"] * said["crowd_good"], said["share"] * said["crowd"]
    good = said["all_good"] - said["own_good"] - crowd[0].cast(INT)
    whole = said["all"] - said["own"] - crowd[1].cast(INT)
    good, whole = good.clip(lower_bound=0), whole.clip(lower_bound=0)
    expected = (good + CONSENSUS_PRIOR * MICRO * usual) / (whole + CONSENSUS_PRIOR * MICRO)
    size = said["size"] / MICRO
    apart = said["good"] / MICRO - size * expected
    spread = size * expected * (1.0 - expected) * (1.0 + size / (whole / MICRO + CONSENSUS_PRIOR))
    rows = said.select(
        "buyer_id",
        (apart * 1e6).round(mode="half_away_from_zero").cast(INT).alias("apart"),
        rounded(apart * apart * 1e6).alias("squares"),
        rounded(spread.clip(lower_bound=0.0) * 1e6).alias("spread"),
    )
    sums = rows.group_by("buyer_id").agg(pl.col("apart", "squares", "spread").sum())
    sigma = sums["spread"] / MICRO + HONEST_DIFFERENCE
    lean = (sums["apart"] / MICRO) * (sums["apart"] / MICRO) / sigma
    swing = (sums["squares"] / MICRO) / sigma - 1.0
    sums = sums.with_columns(lean.alias("lean"), swing.alias("swing"))
    furthest = sums.select(pl.max_horizontal("lean", "swing")).to_series()
    allowed = TOLERANCE * TOLERANCE / furthest.clip(lower_bound=TOLERANCE * TOLERANCE)
    return sums.select("buyer_id", (allowed * float(STEPS)).cast(INT).alias("calibration"))


def _verdicts(pairs: pl.DataFrame, buyers: pl.DataFrame) -> pl.DataFrame:
    """One row per pair with reviews: the voice of these, split by the weight of its buyer."""
    pairs = pairs.filter(pl.col("praise") + pl.col("blame") > 0)
    good, bad = voices(pairs["praise"], pairs["blame"])
    said = pairs.select(*PAIR, good.alias("good"), (good + bad).alias("size"))
    said = said.join(buyers.select("buyer_id", "steps"), on="buyer_id")
    own = said["steps"] * _STEP
    return said.with_columns(
        parted(said["good"], own).alias("own_good"),
        parted(said["size"], own).alias("own"),
        parted(said["good"], MICRO - own).alias("crowd_good"),
        parted(said["size"], MICRO - own).alias("crowd"),
    )


def _consensus(said: pl.DataFrame) -> pl.DataFrame:
    """One row per seller: all its reviews, the crowd's cut to one voice: the share that is left."""
    sums = said.group_by("seller_id").agg(
        pl.col("own_good", "own").sum(),
        pl.col("crowd_good", "crowd").sum(),
    )
    crowd = sums["crowd"].clip(lower_bound=1)
    share = MICRO * voice_weight(crowd) / crowd
    return sums.select(
        "seller_id",
        share.alias("share"),
        (sums["own_good"] + (share * sums["crowd_good"]).cast(INT)).alias("all_good"),
        (sums["own"] + (share * sums["crowd"]).cast(INT)).alias("all"),
    )
