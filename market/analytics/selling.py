"""Sellers side by side: what became of each, in one row."""

from typing import Final

import polars as pl

from market.analytics.answers import CURRENCY, flag, gives, real, text, whole
from market.analytics.facts import Facts
from market.analytics.moneys import money
from market.analytics.over_time import trust_over_time

_KEY: Final = ["seller_id", "currency"]
_COUNTED: Final = ("shown", "orders", "sold", "failed", "cancelled", "refunded")
_EARNED: Final = ("revenue_minor", "refunds_minor", "forfeited_minor", "kept_minor")


@gives(
    "One row per seller and currency in which it has a service or an order",
    ("seller", "seller_id", "currency"),
    {
        "seller_id": text("the seller"),
        "seller": text("its handle"),
        "currency": CURRENCY,
        "is_honest": flag("whether it means well; null without truth about it"),
        "shown": whole("journeys that were shown one of its services"),
        "orders": whole("orders that it got"),
        "sold": whole("of these, those that were settled"),
        "failed": whole("those that failed"),
        "cancelled": whole("those that were cancelled"),
        "refunded": whole("those of which something was given back later"),
        "revenue_minor": whole("paid out of escrow for them, before fees and refunds"),
        "refunds_minor": whole("part of it that buyers got back later, fees included"),
        "forfeited_minor": whole("what its bond lost to the market because its orders failed"),
        "kept_minor": whole("what its orders left it in the end, in wallet and bond"),
        "trust": real("its score, 0 to 1, as a buyer read it last; null if none asked"),
        "is_frozen": flag("whether that report called it frozen; null if no buyer asked"),
        "is_suspended": flag("whether it was shut out of the market in the end"),
    },
)
def sellers(facts: Facts, *, truth: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return what became of each seller: seen, sold, failed, paid, kept, trusted.

    With ``truth`` (``truth`` of a run) it says who meant well. ``money`` tells more about payments.
    """
    ended, state = facts.orders.group_by(_KEY), pl.col("state")
    orders = ended.agg(
        pl.len().alias("orders"),
        (state == "settled").sum().alias("sold"),
        (state == "failed").sum().alias("failed"),
        (state == "cancelled").sum().alias("cancelled"),
        (pl.col("refunded_minor") > 0).sum().alias("refunded"),
    )
    shown = facts.sightings.group_by("seller_id").agg(
        pl.col("session_id").n_unique().alias("shown")
    )
    whom = facts.agents.select(
        seller_id="agent_id", seller="handle", is_suspended=pl.col("suspended_at").is_not_null()
    )
    return (
        pl.concat([facts.services.select(_KEY), facts.orders.select(_KEY)])
        .unique()
        .join(shown, "seller_id", "left")
        .join(orders, _KEY, "left", nulls_equal=True)
        .join(money(facts).lazy().select(*_KEY, *_EARNED), _KEY, "left", nulls_equal=True)
        .with_columns(pl.col(*_COUNTED, *_EARNED).fill_null(0))
        .join(_last_read(facts), "seller_id", "left")
        .join(_honesty(truth), "seller_id", "left")
        .join(whom, "seller_id", "left")
        .collect(engine="streaming")
    )


def _last_read(facts: Facts) -> pl.LazyFrame:
    """One row per seller that a buyer asked about: its trust then, and whether it was frozen."""
    return (
        trust_over_time(facts)
        .lazy()
        .sort("at", "session_id", "offset")
        .group_by("seller_id")
        .agg(pl.col("trust").last(), pl.col("flags").last())
        .with_columns(is_frozen=pl.col("flags").list.contains("frozen"))
        .drop("flags")
    )


def _honesty(truth: pl.DataFrame | None) -> pl.LazyFrame:
    if truth is None:
        return pl.LazyFrame(schema={"seller_id": pl.String(), "is_honest": pl.Boolean()})
    return truth.lazy().select(seller_id="agent_id", is_honest="is_honest")
