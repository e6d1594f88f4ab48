"""Surplus and welfare: what journeys were worth to buyers, against the best they could have been.

*Value* is the buyer's own word: the most that it would have paid for the job (``limit_minor`` in
its last decision on evaluating). An offer is *feasible* if that decision gives a limit for it: it
fits the need, whatever it costs. What was never looked at is not in it, so the best here is the
best of what buyers had read.

*Realised* is that value in proportion to the units delivered, of an order that did not fail and was
not left for its quality. *Surplus* is that less what was paid and not given back; *welfare* is
that less what the work cost the seller: prices and fees only move money.

The best allocation gives each journey at most one feasible service, so that the sum over all
journeys is the highest. Without capacities journeys do not stand in each other's way, so each has
its own best: sorting finds it. With capacities it is an assignment problem, solved exactly
(``assignment``); the highest bidders first would not do, as they may have more than one choice.
"""

from collections.abc import Mapping
from typing import Final

import polars as pl

from market.analytics.answers import CURRENCY, gives, real, text, whole
from market.analytics.assignment import best_assignment
from market.analytics.facts import Facts
from market.analytics.intervals import share_of

_LOST_VALUE: Final = ("quality", "delivery_failed", "timeout")
_SUMMED: Final = (
    "value_minor", "paid_minor", "surplus_minor", "best_surplus_minor", "welfare_minor",
    "best_welfare_minor",
)  # fmt: skip


@gives(
    "One row per journey that stated a limit",
    ("session_id",),
    {
        "session_id": text("the journey"),
        "buyer_id": text("agent that buys"),
        "currency": CURRENCY,
        "service_id": text("service ordered, the last if there were several; null for none"),
        "value_minor": whole("realised: what came of it was worth this to the buyer"),
        "paid_minor": whole("paid, less what was given back"),
        "surplus_minor": whole("value_minor less paid_minor"),
        "welfare_minor": whole("value_minor less the seller's costs of what it delivered"),
        "best_surplus_service_id": text("what it has where buyers gain most, at quoted prices"),
        "best_surplus_minor": whole("limit less price of that; 0 for none"),
        "best_service_id": text("what it has in the allocation of the highest welfare"),
        "best_welfare_minor": whole("limit less costs of that; 0 for none"),
    },
)
def surplus(
    facts: Facts,
    *,
    costs: Mapping[str, int] | None = None,
    capacities: Mapping[str, int] | None = None,
) -> pl.DataFrame:
    """Return each journey's surplus and welfare, and what they are in the best allocation.

    ``costs`` are a seller's costs of one job, in minor units by service id; those that are not
    given are 0, so that welfare counts all the value. ``capacities`` are how many jobs a service
    can take in all, by service id; without one it takes any number. Neither is recorded by a
    market. The two best allocations need not be one: buyers gain most where it is cheap, all
    together where costs are low.
    """
    cost = _costs(costs or {})
    offers = _offers(facts).join(cost, "service_id", "left").with_columns(
        gain=pl.col("limit_minor") - pl.col("amount_minor"),
        created=pl.col("limit_minor") - pl.col("cost_minor").fill_null(0),
    )  # fmt: skip
    collected = offers.collect()
    journeys = (
        collected.lazy()
        .group_by("session_id")
        .agg(pl.col("buyer_id", "currency").first(), most_minor=pl.col("limit_minor").max())
    )
    found = journeys.join(_realised(facts, collected.lazy(), cost), "session_id", "left")
    for weight, service, amount in (
        ("gain", "best_surplus_service_id", "best_surplus_minor"),
        ("created", "best_service_id", "best_welfare_minor"),
    ):
        best = _best(collected, weight, capacities or {}).rename(
            {"service_id": service, weight: amount}
        )
        found = found.join(best.lazy(), "session_id", "left")
    amounts = ("value_minor", "paid_minor", "spent_minor", "best_surplus_minor")
    return (
        found.with_columns(pl.col(*amounts, "best_welfare_minor").fill_null(0))
        .with_columns(
            surplus_minor=pl.col("value_minor") - pl.col("paid_minor"),
            welfare_minor=pl.col("value_minor") - pl.col("spent_minor"),
        )
        .collect()
    )


@gives(
    "One row per currency",
    ("currency",),
    {
        "currency": CURRENCY,
        "journeys": whole("journeys that stated a limit"),
        "served": whole("of these, those for which something of value was delivered"),
        "value_minor": whole("realised value"),
        "paid_minor": whole("paid, less what was given back"),
        "surplus_minor": whole("what buyers gained: value_minor less paid_minor"),
        "best_surplus_minor": whole("the most that they could have gained at quoted prices"),
        "surplus_share": real("surplus_minor of best_surplus_minor; null where that is 0"),
        "welfare_minor": whole("what all gained together: value_minor less sellers' costs"),
        "best_welfare_minor": whole("the most that could have been gained"),
        "welfare_share": real("welfare_minor of best_welfare_minor; null where that is 0"),
    },
)
def welfare(
    facts: Facts,
    *,
    costs: Mapping[str, int] | None = None,
    capacities: Mapping[str, int] | None = None,
) -> pl.DataFrame:
    """Return ``surplus`` summed over all journeys: how much of what could be gained was.

    ``costs`` and ``capacities`` are as there.
    """
    each = surplus(facts, costs=costs, capacities=capacities)
    return (
        each.group_by("currency")
        .agg(
            pl.len().alias("journeys"),
            (pl.col("value_minor") > 0).sum().alias("served"),
            pl.col(_SUMMED).sum(),
        )
        .with_columns(
            surplus_share=share_of(pl.col("surplus_minor"), pl.col("best_surplus_minor")),
            welfare_share=share_of(pl.col("welfare_minor"), pl.col("best_welfare_minor")),
        )
    )


def _offers(facts: Facts) -> pl.LazyFrame:
    """One row per journey and feasible service, all of a journey in one currency: its first.

    session_id, buyer_id, currency, service_id str; amount_minor (the price), limit_minor i64.
    """
    currencies = facts.services.select("service_id", service_currency="currency")
    return (
        facts.decisions.filter(pl.col("stage") == "evaluating")
        .sort("session_id", "offset")
        .unique("session_id", keep="last", maintain_order=True)
        .select("session_id", "buyer_id", "currency", "alternatives")
        .explode("alternatives", empty_as_null=False, keep_nulls=False)
        .with_columns(
            pl.col("alternatives").struct.field("service_id", "amount_minor", "limit_minor")
        )
        .drop("alternatives")
        .filter(pl.col("limit_minor").is_not_null(), pl.col("amount_minor").is_not_null())
        .join(currencies, "service_id", "left", maintain_order="left")
        .with_columns(pl.coalesce("service_currency", "currency").alias("currency"))
        .drop("service_currency")
        # A buyer may list a service twice; and what it weighed in another currency is no rival.
        .unique(["session_id", "service_id"], keep="first", maintain_order=True)
        .filter(pl.col("currency").eq_missing(pl.col("currency").first().over("session_id")))
    )


def _realised(facts: Facts, offers: pl.LazyFrame, costs: pl.LazyFrame) -> pl.LazyFrame:
    """One row per journey with an order.

    session_id, service_id str; value_minor, paid_minor, spent_minor (the seller's costs) i64.
    """
    spoilt = facts.stages.filter(
        pl.col("outcome") == "left", pl.col("reason").is_in(_LOST_VALUE)
    ).select("session_id", is_spoilt=pl.lit(True))
    limits = offers.select("session_id", "service_id", "limit_minor")
    most = offers.group_by("session_id").agg(most_minor=pl.col("limit_minor").max())
    worth = pl.coalesce("limit_minor", "most_minor")
    is_good = (pl.col("state") != "failed") & pl.col("is_spoilt").is_null()
    units, delivered = pl.col("units"), pl.col("units_delivered")
    return (
        facts.orders.sort("order_id")
        .join(most, "session_id")
        .join(limits, ["session_id", "service_id"], "left")
        .join(spoilt.unique("session_id"), "session_id", "left")
        .join(costs, "service_id", "left")
        .group_by("session_id", maintain_order=True)
        .agg(
            pl.col("service_id").last(),
            # The job is done once, however many orders it took.
            pl.when(is_good)
            .then(worth * delivered // units)
            .otherwise(0)
            .max()
            .alias("value_minor"),
            (pl.col("captured_minor") - pl.col("refunded_minor")).sum().alias("paid_minor"),
            (pl.col("cost_minor").fill_null(0) * delivered // units).sum().alias("spent_minor"),
        )
    )


def _best(offers: pl.DataFrame, weight: str, capacities: Mapping[str, int]) -> pl.DataFrame:
    """One row per journey that has a service in the best allocation.

    session_id, service_id str, and its weight i64.
    """
    worthwhile = offers.filter(pl.col(weight) > 0).select(
        "session_id", "service_id", "currency", weight
    )
    if not capacities:
        return (
            worthwhile.sort(weight, "service_id", descending=[True, False])
            .unique("session_id", keep="first", maintain_order=True)
            .drop("currency")
        )
    parts = []
    # Amounts of two currencies are never weighed against each other.
    for _, rows in worthwhile.group_by("currency", maintain_order=True):
        parts += _assigned(rows.drop("currency"), capacities)
    places = pl.DataFrame(parts, {"session_id": pl.String, "service_id": pl.String}, orient="row")
    return places.join(worthwhile.drop("currency"), ["session_id", "service_id"])


def _assigned(rows: pl.DataFrame, capacities: Mapping[str, int]) -> list[tuple[str, str]]:
    worth: dict[str, dict[str, int]] = {}
    for session_id, service_id, value in rows.sort("session_id", "service_id").iter_rows():
        worth.setdefault(session_id, {})[service_id] = value
    places = best_assignment(list(worth.values()), capacities)
    return [(one, place) for one, place in zip(worth, places, strict=True) if place is not None]


def _costs(costs: Mapping[str, int]) -> pl.LazyFrame:
    return pl.LazyFrame(
        {"service_id": list(costs), "cost_minor": list(costs.values())},
        schema={"service_id": pl.String(), "cost_minor": pl.Int64()},
    )
