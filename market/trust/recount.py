"""The whole rule over all facts at once, in polars: what a batch fixes and what the sums must be.

It says the same as ``recording`` does one fact at a time, to the last millionth: floats are made
from integers row by row, by operations that round alike everywhere, and only integers are added
up. Whoever has the facts can run it.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import polars as pl

from market.trust.columns import INT, parted, recalled, voices
from market.trust.outcomes import PAIR, outcomes, typical_prices, with_evidence
from market.trust.scoring import COUNTER, MICRO, Standing
from market.trust.weighing import vouched_sellers, weighed_buyers

FACTS: Final = pl.Schema(
    {
        "number": pl.Int64(),
        "subject_id": pl.String(),
        "kind": pl.String(),
        "version": pl.Int64(),
        "seller_id": pl.String(),
        "buyer_id": pl.String(),
        "amount_minor": pl.Int64(),
        "currency": pl.String(),
        "is_on_time": pl.Int64(),
        "is_own": pl.Int64(),
        "recorded_at": pl.Int64(),
    }
)
"""One row per fact, as in the table; moments are microseconds since 1970."""

KINDS: Final = ("anchor", "vouched", "crowd")
"""The kinds of voices: an anchor's, one with vouched money behind it, one without."""

_WEIGHTS: Final = ("vouched", "crowd")


class Reference(NamedTuple):
    """Under what a batch weighs: the day that ages count from, its last fact, the anchors.

    ``typical`` is given with facts that hide who bought, and so what anchors bought.
    """

    day: int
    last_fact: int
    anchors: frozenset[str]
    typical: dict[str, int] | None = None


class Recount(NamedTuple):
    """What all facts amount to: the typical price by currency, and frames.

    One row per

    * buyers: buyer_id, vouched_micro, crowd_micro, calibration_micro, spend_micro, is_anchor
    * pairs: seller_id, buyer_id, facts, good_micro, bad_micro
    * standings: seller_id and the fields of ``Standing``
    * sellers: seller_id, vouched_micro, calibration_micro; of each of ``KINDS`` voices and weight
    * orders: those that the batch knew (``outcomes.with_evidence``)
    """

    typical: dict[str, int]
    buyers: pl.DataFrame
    pairs: pl.DataFrame
    standings: pl.DataFrame
    sellers: pl.DataFrame
    orders: pl.DataFrame


def frame_of(rows: Iterable[Sequence[Any]]) -> pl.DataFrame:
    """Return facts as a frame; each row has the values of ``FACTS`` in their order."""
    return pl.DataFrame(list(rows), schema=FACTS, orient="row")


def recount(
    facts: pl.DataFrame, reference: Reference, *, buyers: pl.DataFrame | None = None
) -> Recount:
    """Return what these facts amount to under the batch that ``reference`` describes.

    ``buyers`` are given where the facts do not tell them: published facts, which hide who bought.
    """
    facts = facts.sort("number")
    own = facts.filter(pl.col("is_own") == 1).select("subject_id").unique()
    facts = facts.join(own, on="subject_id", how="anti", maintain_order="left")
    known = facts.filter(pl.col("number") <= reference.last_fact)
    typical = reference.typical
    if typical is None:
        typical = typical_prices(known, reference.day, reference.anchors)
    then = with_evidence(outcomes(known), typical, reference.day)
    now = then
    if known.height < facts.height:
        now = with_evidence(outcomes(facts), typical, reference.day)
    sums = then.group_by(PAIR).agg(
        pl.col("good_micro", "bad_micro", "spend_micro", "praise", "blame").sum()
    )
    vouched = vouched_sellers(sums, reference.anchors)
    if buyers is None:
        buyers = weighed_buyers(sums, vouched, reference.anchors)
    pairs = _pairs(now, facts)
    standings = _counts(facts, now)
    for part in (_long(_spoken(pairs, buyers)), _last(then, buyers), _since(now, then, buyers)):
        standings = standings.join(part, on="seller_id", how="left")
    return Recount(
        typical=typical,
        buyers=buyers.sort("buyer_id"),
        pairs=pairs.sort(PAIR),
        standings=standings.select(
            "seller_id", *[pl.col(name).fill_null(0).cast(INT) for name in Standing._fields]
        ).sort("seller_id"),
        sellers=_sellers(_spoken(sums, buyers), vouched, known),
        orders=then,
    )


def _pairs(orders: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    told = facts.filter(pl.col("buyer_id").is_not_null()).group_by(PAIR)
    sums = orders.group_by(PAIR).agg(pl.col("good_micro", "bad_micro").sum())
    counted = told.agg(pl.len().cast(INT).alias("facts")).join(sums, on=PAIR, how="left")
    return counted.with_columns(pl.col("good_micro", "bad_micro").fill_null(0))


def _spoken(pairs: pl.DataFrame, buyers: pl.DataFrame) -> pl.DataFrame:
    """One row per pair: the voice, ``good`` and ``bad`` i64, beside its buyer's weights."""
    good, bad = voices(pairs["good_micro"], pairs["bad_micro"])
    spoken = pairs.select(*PAIR, good.alias("good"), bad.alias("bad"))
    return _with_weights(spoken, buyers)


def _with_weights(rows: pl.DataFrame, buyers: pl.DataFrame) -> pl.DataFrame:
    return rows.join(buyers, on="buyer_id", how="left").with_columns(
        pl.col("vouched_micro", "is_anchor").fill_null(0),
        pl.col("crowd_micro", "calibration_micro").fill_null(MICRO),
    )


def _long(spoken: pl.DataFrame) -> pl.DataFrame:
    parts = [
        parted(spoken[side], spoken[f"{name}_micro"]).alias(f"{name}_{side}")
        for name in _WEIGHTS
        for side in ("good", "bad")
    ]
    rows = spoken.select("seller_id", *parts)
    return rows.group_by("seller_id").agg(pl.exclude("seller_id").sum())


def _remembered(orders: pl.DataFrame, buyers: pl.DataFrame) -> pl.DataFrame:
    """One row per order: what it adds to the short memory, where the crowd's reviews are mute."""
    rows = _with_weights(orders.drop("spend_micro"), buyers)
    for name, said in (("vouched", "said"), ("crowd", "heard")):
        good, bad = rows[f"{said}_good"], rows[f"{said}_bad"]
        is_said = ((good > 0) | (bad > 0)).cast(INT)
        weight = parted(rows["weight"], rows[f"{name}_micro"]) * is_said
        rows = rows.with_columns(
            weight.alias(name),
            parted(weight, good).alias(f"{name}_good"),
            parted(weight, bad).alias(f"{name}_bad"),
        )
    return rows


def _last(orders: pl.DataFrame, buyers: pl.DataFrame) -> pl.DataFrame:
    """The short memory as the batch left it: the weight behind an order fades it."""
    rows = _remembered(orders, buyers).sort("number")
    parts = []
    for name in _WEIGHTS:
        upto = rows.select(pl.col(name).cum_sum().over("seller_id")).to_series()
        whole = rows.select(pl.col(name).sum().over("seller_id")).to_series()
        parts += [
            recalled(rows[f"{name}_{side}"], whole - upto).alias(f"last_{name}_{side}")
            for side in ("good", "bad")
        ]
    return rows.select("seller_id", *parts).group_by("seller_id").agg(pl.exclude("seller_id").sum())


def _since(now: pl.DataFrame, then: pl.DataFrame, buyers: pl.DataFrame) -> pl.DataFrame:
    """What the facts behind the batch's last one add to the short memory: the difference."""
    names = [f"{name}{side}" for name in _WEIGHTS for side in ("", "_good", "_bad")]
    sums = [
        _remembered(orders, buyers).group_by("seller_id").agg(pl.col(names).sum())
        for orders in (now, then)
    ]
    both = sums[0].join(sums[1], on="seller_id", how="full", coalesce=True, suffix="_then")
    return both.select(
        "seller_id",
        *[
            (pl.col(name).fill_null(0) - pl.col(f"{name}_then").fill_null(0)).alias(f"since_{name}")
            for name in names
        ],
    )


def _counts(facts: pl.DataFrame, orders: pl.DataFrame) -> pl.DataFrame:
    """What happened, counted: one row per seller with a fact."""
    sellers = facts.select("seller_id").unique()
    kind = pl.col("kind")
    happened = facts.unique(["subject_id", "kind"])
    counted = happened.group_by("seller_id").agg(
        *[(kind == each).sum().alias(name) for each, name in COUNTER.items()],
        kind.str.starts_with("price.").sum().alias("price_changes"),
        (kind == "price.raised").sum().alias("price_raises"),
    )
    others = facts.group_by("seller_id").agg(
        (pl.col("is_on_time").fill_null(0) * pl.col("buyer_id").is_not_null())
        .sum()
        .alias("on_time"),
        pl.col("buyer_id").drop_nulls().n_unique().alias("distinct_buyers"),
    )
    verdicts = orders.group_by("seller_id").agg(
        *[(pl.col("verdict") == side).sum().alias(f"reviews_{side}") for side in ("good", "bad")]
    )
    counted = counted.drop("reviews_good", "reviews_bad")
    for part in (counted, others, verdicts):
        sellers = sellers.join(part, on="seller_id", how="left")
    return sellers


def _sellers(spoken: pl.DataFrame, vouched: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """What the report tells of voices: of each kind how many, and their weight before the cut."""
    size = spoken["good"] + spoken["bad"]
    is_anchor, is_backed = pl.col("is_anchor") == 1, pl.col("vouched_micro") > 0
    rows = spoken.with_columns(
        parted(size, spoken["vouched_micro"]).alias("own"),
        parted(size, spoken["crowd_micro"]).alias("rest"),
        pl.when(is_anchor)
        .then(pl.lit("anchor"))
        .when(is_backed)
        .then(pl.lit("vouched"))
        .otherwise(pl.lit("crowd"))
        .alias("voice"),
    )
    voice = pl.col("voice")
    counted = rows.group_by("seller_id").agg(
        *[(voice == kind).sum().cast(INT).alias(f"{kind}_voices") for kind in KINDS],
        pl.col("own").filter(is_anchor).sum().alias("anchor_weight"),
        pl.col("own").filter(~is_anchor).sum().alias("vouched_weight"),
        pl.col("rest").sum().alias("crowd_weight"),
        (pl.col("calibration_micro").sum() // pl.len().cast(INT)).alias("calibration_micro"),
    )
    names = [f"{kind}_{what}" for kind in KINDS for what in ("voices", "weight")]
    sellers = known.select("seller_id").unique().join(counted, on="seller_id", how="left")
    sellers = sellers.join(vouched, on="seller_id", how="left")
    return sellers.select(
        "seller_id",
        pl.col("vouch").fill_null(0).alias("vouched_micro"),
        *[pl.col(name).fill_null(0) for name in names],
        pl.col("calibration_micro").fill_null(MICRO),
    ).sort("seller_id")
