"""Over time: what buyers read of sellers' trust, and what sellers were paid, moment by moment."""

from typing import Final

import polars as pl

from market.analytics.answers import CURRENCY, gives, real, text, texts, whole
from market.analytics.facts import Facts
from market.analytics.schema import MOMENT, Column

_SELLER: Final = {"seller_id": text("the seller"), "seller": text("its handle")}


@gives(
    "One row per trust report that a buyer read",
    ("seller", "seller_id", "at", "session_id", "offset"),
    {
        **_SELLER,
        "at": Column(MOMENT, "when the buyer read it"),
        "trust": real("the seller's score then, 0 to 1"),
        "confidence": real("how much evidence it rested on, 0 to 1"),
        "good": real("weighed good voices in it"),
        "bad": real("weighed bad voices in it"),
        "flags": texts("what the report warned of, such as frozen"),
        "buyer_id": text("agent that read it"),
        "session_id": text("its journey"),
        "offset": whole("place of the report in that journey's log"),
    },
)
def trust_over_time(facts: Facts) -> pl.DataFrame:
    """Return what buyers read of each seller's trust, and at which moment.

    Between two readings nobody looked; what the score was then is not in the facts.
    """
    buyers = facts.sessions.select("session_id", "buyer_id")
    return (
        facts.sightings.filter(pl.col("kind") == "trust.reported", pl.col("trust").is_not_null())
        .rename({"seen_at": "at"})
        .join(buyers, "session_id", "left")
        .join(_handles(facts), "seller_id", "left")
        .collect(engine="streaming")
    )


@gives(
    "One row per seller, currency and span of time in which it was paid or an order ended",
    ("seller", "seller_id", "currency", "at"),
    {
        **_SELLER,
        "currency": CURRENCY,
        "at": Column(MOMENT, "when the span begins"),
        "until": Column(MOMENT, "when it ends, exclusive"),
        "captured_minor": whole("paid out of escrow in it, before fees and refunds"),
        "settled": whole("orders that were settled in it"),
        "failed": whole("orders that failed in it"),
    },
)
def sales_over_time(facts: Facts, *, every: str = "1h") -> pl.DataFrame:
    """Return what sellers were paid, and which orders ended, in each span of time.

    ``every`` is the length of a span, as polars writes it (``10m``, ``1h``, ``1d``). Spans in which
    nothing happened have no row.
    """
    nothing = pl.lit(0, pl.Int64())
    is_payment = (pl.col("account_kind") == "escrow") & (pl.col("reason") == "escrow.capture")
    sellers = facts.orders.select("order_id", "seller_id")
    is_dated = pl.col("recorded_at").is_not_null()
    paid = facts.postings.filter(is_payment, is_dated).join(sellers, "order_id")
    payments = paid.select(
        "seller_id",
        "currency",
        pl.col("recorded_at").alias("at"),
        (-pl.col("amount_minor")).alias("captured_minor"),
        settled=nothing,
        failed=nothing,
    )
    endings = facts.orders.filter(pl.col("ended_at").is_not_null()).select(
        "seller_id",
        "currency",
        pl.col("ended_at").alias("at"),
        nothing.alias("captured_minor"),
        settled=(pl.col("state") == "settled").cast(pl.Int64()),
        failed=(pl.col("state") == "failed").cast(pl.Int64()),
    )
    return (
        pl.concat([payments, endings])
        .group_by("seller_id", "currency", pl.col("at").dt.truncate(every))
        .agg(pl.col("captured_minor", "settled", "failed").sum())
        .filter(pl.sum_horizontal("captured_minor", "settled", "failed") > 0)
        .with_columns(until=pl.col("at").dt.offset_by(every))
        .join(_handles(facts), "seller_id", "left")
        .collect(engine="streaming")
    )


def _handles(facts: Facts) -> pl.LazyFrame:
    return facts.agents.select(seller_id="agent_id", seller="handle")
