"""A run in numbers, by name: what two runs, or two sets of replicas, are compared by."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import polars as pl

from market.analytics.answers import CURRENCY, gives, real, text
from market.analytics.cohorts import funnel, reasons
from market.analytics.facts import Facts
from market.analytics.moneys import money
from market.analytics.schema import Column
from market.analytics.timing import latency
from market.analytics.welfare import welfare

METRICS: Final = (
    "journeys", "bought", "conversion", "orders", "settled", "failed", "cancelled", "revenue",
    "fees", "refunds", "mean_price", "surplus", "surplus_share", "welfare_share", "passed", "left",
    "seconds", "seller_conversion", "seller_revenue",
)  # fmt: skip
METRIC: Final = pl.Enum(METRICS)
"""What is measured, in the order in which it is told."""

ADDED: Final = frozenset(
    {
        "bought", "orders", "settled", "failed", "cancelled", "revenue", "fees", "refunds", "left",
        "seller_revenue",
    }
)  # fmt: skip
"""Metrics that are 0 in a run that has none of them; the others are unknown there."""

_ENDS: Final = ("settled", "failed", "cancelled")

METRIC_COLUMNS: Final = {
    "metric": Column(
        METRIC,
        "journeys opened; bought: those with a settled order, conversion: their share; orders, and"
        " how many settled, failed, cancelled; revenue, fees, refunds; mean_price of settled"
        " orders; surplus, surplus_share, welfare_share: see `welfare`; passed: share of those that"
        " reached a stage; left: journeys by reason; seconds: median of a stage or delivery;"
        " seller_conversion: of journeys that were shown it; seller_revenue",
    ),
    "subject": text("the stage, reason, measure or seller that it is about; null: the whole run"),
    "currency": CURRENCY,
    "unit": text("count, share, seconds, or minor (units of the currency)"),
}


class Measured(NamedTuple):
    """One number about a run."""

    metric: str
    subject: str | None
    currency: str | None
    unit: str
    value: float | None


@gives(
    "One row per metric, subject and currency",
    ("metric", "subject", "currency"),
    {**METRIC_COLUMNS, "value": real("the number")},
)
def metrics_of(facts: Facts) -> pl.DataFrame:
    """Return a run in numbers; a market without journeys has none."""
    earned = money(facts)
    rows = [
        *_journeys(facts), *_money(facts, earned), *_stages(facts), *_sellers(facts, earned)
    ]  # fmt: skip
    has_journeys = any(row.metric == "journeys" and row.value for row in rows)
    return pl.DataFrame(
        rows if has_journeys else [],
        schema={
            "metric": pl.String, "subject": pl.String, "currency": pl.String, "unit": pl.String,
            "value": pl.Float64,
        },
        orient="row",
    )  # fmt: skip


def _journeys(facts: Facts) -> Iterator[Measured]:
    orders = facts.orders.select("session_id", "state").collect()
    journeys = facts.sessions.select(pl.len()).collect().item()
    bought = orders.filter(pl.col("state") == "settled")["session_id"].n_unique()
    counts = {"journeys": journeys, "bought": bought, "orders": orders.height}
    for state in _ENDS:
        counts[state] = orders.filter(pl.col("state") == state).height
    for name, count in counts.items():
        yield Measured(name, None, None, "count", float(count))
    yield Measured("conversion", None, None, "share", bought / journeys if journeys else None)


def _money(facts: Facts, earned: pl.DataFrame) -> Iterator[Measured]:
    sums = earned.group_by("currency").agg(
        revenue=pl.col("revenue_minor").sum(),
        fees=pl.col("fees_minor").sum(),
        refunds=pl.col("refunds_minor").sum(),
    )
    prices = (
        facts.orders.filter(pl.col("state") == "settled")
        .group_by("currency")
        .agg(mean_price=pl.col("amount_minor").mean())
        .collect()
    )
    for row in [*sums.iter_rows(named=True), *prices.iter_rows(named=True)]:
        currency = row.pop("currency")
        for name, amount in row.items():
            yield Measured(name, None, currency, "minor", float(amount))
    for row in welfare(facts).iter_rows(named=True):
        currency = row["currency"]
        yield Measured("surplus", None, currency, "minor", float(row["surplus_minor"]))
        for name in ("surplus_share", "welfare_share"):
            yield Measured(name, None, currency, "share", row[name])


def _stages(facts: Facts) -> Iterator[Measured]:
    for row in funnel(facts).iter_rows(named=True):
        yield Measured("passed", row["stage"], None, "share", row["step_share"])
    left = reasons(facts).group_by(pl.col("reason").fill_null("unsaid")).agg(
        pl.col("journeys").sum()
    )  # fmt: skip
    for reason, count in left.iter_rows():
        yield Measured("left", reason, None, "count", float(count))
    for row in latency(facts).iter_rows(named=True):
        yield Measured("seconds", row["measure"], None, "seconds", row["p50_seconds"])


def _sellers(facts: Facts, earned: pl.DataFrame) -> Iterator[Measured]:
    for row in earned.iter_rows(named=True):
        revenue = float(row["revenue_minor"])
        yield Measured("seller_revenue", row["seller"], row["currency"], "minor", revenue)
    pair = ("session_id", "seller_id")
    sold = (
        facts.orders.filter(pl.col("state") == "settled")
        .select(*pair, is_sold=pl.lit(1.0))
        .unique()
    )
    names = facts.agents.select(seller_id="agent_id", name="handle")
    shown = (
        facts.sightings.select(pair)
        .unique()
        .join(sold, pair, "left")
        .group_by("seller_id")
        .agg(share=pl.col("is_sold").fill_null(0.0).mean())
        .join(names, "seller_id")
        .select("name", "share")
        .collect()
    )
    for name, share in shown.iter_rows():
        yield Measured("seller_conversion", name, None, "share", share)
