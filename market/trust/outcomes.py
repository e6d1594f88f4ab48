"""What every order says, and what is typical: the first part of the rule, over all facts."""

from typing import Final

import polars as pl

from market.trust.columns import INT, aged, parted, rounded
from market.trust.scoring import (
    BAD_REVIEW,
    DAY_MICROS,
    GENEROUS_ANCHORS,
    HALF_LIFE_DAYS,
    MICRO,
    MOST_AT_ONE,
    MOST_WEIGHT,
    TYPICAL,
    UNREVIEWED,
)

PAIR: Final = ("seller_id", "buyer_id")
_ENDINGS: Final = ("order.settled", "order.failed", "order.cancelled")
_VERDICTS: Final = ("review.good", "review.bad")


def outcomes(facts: pl.DataFrame) -> pl.DataFrame:
    """Return what the latest of these facts, sorted by number, say of each order.

    One row per order: subject_id, seller_id, buyer_id str; number i64 of the fact that gives it its
    place; day i64; ending and verdict str or null; amount_minor i64 and currency str of the ending;
    refunded_minor i64.
    """
    told = facts.filter(pl.col("buyer_id").is_not_null())
    first = told.unique("subject_id", keep="first", maintain_order=True)
    ended = told.filter(pl.col("kind").is_in(_ENDINGS))
    ending = ended.unique("subject_id", keep="first", maintain_order=True).select(
        "subject_id",
        pl.col("kind").str.strip_prefix("order.").alias("ending"),
        "amount_minor",
        "currency",
        pl.col("number").alias("ended"),
        pl.col("recorded_at").alias("ended_at"),
    )
    refund = _latest(told.filter(pl.col("kind") == "order.refunded")).select(
        "subject_id", pl.col("amount_minor").alias("refunded_minor")
    )
    review = _latest(told.filter(pl.col("kind").is_in(_VERDICTS))).select(
        "subject_id", pl.col("kind").str.strip_prefix("review.").alias("verdict")
    )
    orders = first.select("subject_id", *PAIR, "number", "recorded_at")
    for part in (ending, refund, review):
        orders = orders.join(part, on="subject_id", how="left")
    return orders.with_columns(
        pl.coalesce("ended", "number").alias("number"),
        (pl.coalesce("ended_at", "recorded_at") // DAY_MICROS).alias("day"),
        pl.col("amount_minor", "refunded_minor").fill_null(0),
    ).drop("ended", "ended_at", "recorded_at")


def typical_prices(facts: pl.DataFrame, day: int, anchors: frozenset[str]) -> dict[str, int]:
    """Return what a typical order costs, by currency: the median of the last 30 days.

    Each seller has one say, its own median, of what was not refunded; and only those have a say
    from whom more anchors bought than the rule leaves out, as soon as there is one: else a hundred
    new names that sell to themselves for next to nothing would make every other order large.
    Where nothing was sold in that time, everything before counts.
    """
    refunded = facts.filter(pl.col("kind") == "order.refunded").select("subject_id")
    sold = facts.filter(pl.col("kind") == "order.settled", pl.col("amount_minor") > 0)
    sold = sold.join(refunded, on="subject_id", how="anti")
    tried = pl.col("buyer_id").filter(pl.col("buyer_id").is_in(list(anchors))).n_unique()
    proven = sold.filter(tried.over("seller_id") > GENEROUS_ANCHORS)
    sold = proven if proven.height else sold
    recent = sold.filter(pl.col("recorded_at") // DAY_MICROS > day - HALF_LIFE_DAYS)
    sellers = (recent if recent.height else sold).group_by("currency", "seller_id").agg(_median())
    medians = sellers.group_by("currency").agg(_median()).sort("currency")
    return dict(medians.iter_rows())


def with_evidence(orders: pl.DataFrame, typical: dict[str, int], day: int) -> pl.DataFrame:
    """Return orders with their evidence, in millionths.

    Added are, i64: weight; said_good and said_bad, shares of it; heard_good and heard_bad,
    the same without reviews; good_micro and bad_micro, the
    evidence with its age; spend_micro; praise and blame, the weight of a clean order's review.
    """
    prices = {"currency": list(typical), "usual": list(typical.values())}
    usual = pl.DataFrame(prices, schema={"currency": pl.String(), "usual": INT})
    orders = orders.join(usual, on="currency", how="left")
    amount, price = (orders[name].cast(pl.Float64) for name in ("amount_minor", "usual"))
    weight = rounded(MICRO * (amount / price).sqrt().clip(upper_bound=MOST_WEIGHT))
    back = rounded(1e6 * orders["refunded_minor"] / amount.clip(lower_bound=1.0))
    units = (float(TYPICAL * MICRO) * amount / price).clip(upper_bound=float(MOST_AT_ONE * MICRO))
    is_free, is_kept = pl.col("amount_minor") <= 0, pl.col("refunded_minor") <= 0
    orders = orders.with_columns(
        pl.when(is_free).then(0).otherwise(weight.fill_null(MICRO)).alias("weight"),
        pl.when(is_kept).then(0).when(is_free).then(MICRO).otherwise(back).alias("back"),
        aged(rounded(units), orders["day"], day).fill_null(0).alias("spend"),
    )
    orders = _with_shares(orders.with_columns(pl.col("back").clip(upper_bound=MICRO)))
    left = aged(orders["weight"], orders["day"], day)
    return orders.with_columns(
        parted(left, orders["said_good"]).alias("good_micro"),
        parted(left, orders["said_bad"]).alias("bad_micro"),
        parted(left, orders["praised"]).alias("praise"),
        parted(left, orders["damned"]).alias("blame"),
        parted(orders["spend"], orders["paid"]).alias("spend_micro"),
    ).drop("back", "praised", "damned", "paid", "spend", "usual")


def _with_shares(orders: pl.DataFrame) -> pl.DataFrame:
    """What orders say, as ``scoring.shares`` has it; of those that are over, what was paid."""
    clean, back, verdict = MICRO - pl.col("back"), pl.col("back"), pl.col("verdict")
    is_over = (pl.col("ending") == "settled") | (
        (pl.col("ending") == "cancelled") & verdict.is_not_null()
    )
    silent, blamed = ((clean * part + 0.5).cast(INT) for part in (UNREVIEWED, BAD_REVIEW))
    good = pl.when(verdict == "good").then(clean).when(verdict == "bad").then(0).otherwise(silent)
    bad = back + pl.when(verdict == "bad").then(blamed).otherwise(0)
    has_failed = pl.col("ending") == "failed"
    return orders.with_columns(
        pl.when(is_over).then(good).otherwise(0).alias("said_good"),
        pl.when(has_failed).then(MICRO).when(is_over).then(bad).otherwise(back).alias("said_bad"),
        pl.when(is_over & (verdict == "good")).then(clean).otherwise(0).alias("praised"),
        pl.when(is_over & (verdict == "bad")).then(clean).otherwise(0).alias("damned"),
        pl.when(pl.col("ending") == "settled").then(silent).otherwise(0).alias("heard_good"),
        pl.when(has_failed).then(MICRO).otherwise(back).alias("heard_bad"),
        pl.when(pl.col("ending").is_in(["settled", "cancelled"]))
        .then(clean)
        .otherwise(0)
        .alias("paid"),
    ).with_columns(
        pl.col(
            "said_good", "said_bad", "heard_good", "heard_bad", "praised", "damned", "paid"
        ).cast(INT),
    )


def _latest(facts: pl.DataFrame) -> pl.DataFrame:
    in_order = facts.sort("version", "number", descending=[True, False])
    return in_order.unique("subject_id", keep="first", maintain_order=True)


def _median() -> pl.Expr:
    return pl.col("amount_minor").sort().get((pl.len() - 1) // 2)
