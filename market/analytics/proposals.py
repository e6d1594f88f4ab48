"""First-proposal bias: how often the offer that came first won, against the best one.

Magentic Marketplace (Bansal et al. 2025, arXiv 2510.25779) reports that language models buy from
whoever answers first far more often than quality or chance would have it. Here every buyer is
asked the same of its recorded journeys.
"""

from typing import Final

import polars as pl

from market.analytics.answers import gives, real, text, whole
from market.analytics.facts import Facts
from market.analytics.intervals import with_share

_KINDS: Final = {"finding.listed": "listed", "evaluating.quoted": "quoted"}


@gives(
    "One row per policy and kind of proposal",
    ("policy", "proposal"),
    {
        "policy": text("the label `policy` of the journeys; null for those without"),
        "proposal": text("listed: in the first search that found any; quoted: prices asked for"),
        "journeys": whole("those that ordered one of at least two services proposed to them"),
        "chance_share": real("how often the first would win by lot: the mean of 1 / proposals"),
        "first_won": whole("journeys that ordered the first"),
        "share": real("first_won of journeys"),
        "low": real("lower end of its 95 % Wilson interval"),
        "high": real("upper end of it"),
        "contested": whole("of the journeys, those in which the first was not the best"),
        "first_over_best": whole("of these, those that ordered the first"),
        "best_over_first": whole("and those that ordered the best"),
        "contested_share": real("first_over_best of contested"),
        "contested_low": real("lower end of its 95 % Wilson interval"),
        "contested_high": real("upper end of it"),
    },
)
def first_proposal(facts: Facts) -> pl.DataFrame:
    """Return how often the first proposal won, and how often against a better one.

    The best is the cheapest of those that fit: which the buyer's last decision on evaluating did
    not rule out; without such a decision, of all that were proposed. Among equals the earlier is
    the best. Listed prices are of one call or unit, quoted ones of the whole job. A journey that
    ordered twice counts with its first order.
    """
    policy = pl.col("labels").str.json_path_match("$.policy").alias("policy")
    journeys = facts.sessions.select("session_id", policy)
    ordered = (
        facts.orders.sort("order_id")
        .unique("session_id", keep="first", maintain_order=True)
        .select("session_id", won_id="service_id")
    )
    chosen = _proposed(facts).join(ordered, "session_id")
    by_offer = ["session_id", "proposal"]
    each = (
        chosen.join(_ruled_out(facts), ["session_id", "service_id"], "left")
        .with_columns(pl.col("is_out").fill_null(False))
        .sort("is_out", "amount_minor", "order", nulls_last=True)
        .group_by(by_offer, maintain_order=True)
        .agg(
            pl.len().alias("proposals"),
            pl.col("service_id").sort_by("order").first().alias("first_id"),
            pl.col("service_id").first().alias("best_id"),
            pl.col("won_id").first(),
            (pl.col("service_id") == pl.col("won_id")).any().alias("is_among"),
        )
        .filter(pl.col("proposals") > 1, pl.col("is_among"))
        .join(journeys, "session_id")
    )
    first = pl.col("won_id") == pl.col("first_id")
    best = pl.col("won_id") == pl.col("best_id")
    contested = pl.col("first_id") != pl.col("best_id")
    return (
        each.group_by("policy", "proposal")
        .agg(
            pl.len().alias("journeys"),
            (1 / pl.col("proposals")).mean().alias("chance_share"),
            first.sum().alias("first_won"),
            contested.sum().alias("contested"),
            (contested & first).sum().alias("first_over_best"),
            (contested & best).sum().alias("best_over_first"),
        )
        .with_columns(
            *with_share("first_won", "journeys"),
            *with_share("first_over_best", "contested", prefix="contested_"),
        )
        .collect()
    )


def _proposed(facts: Facts) -> pl.LazyFrame:
    """One row per session, kind of proposal and service: its price, and its place in ``order``.

    Of listings only the first that has services counts; a service quoted twice has its last price
    and its first place.
    """
    shown = facts.sightings.filter(pl.col("kind").is_in(list(_KINDS))).with_columns(
        proposal=pl.col("kind").replace_strict(_KINDS)
    )
    by_kind = ["session_id", "proposal"]
    is_first_list = pl.col("offset") == pl.col("offset").min().over(by_kind)
    return (
        shown.filter((pl.col("proposal") == "quoted") | is_first_list)
        .sort("session_id", "offset", "place")
        .with_columns(order=pl.int_range(pl.len()).over(by_kind))
        .group_by(*by_kind, "service_id", maintain_order=True)
        .agg(pl.col("amount_minor").last(), pl.col("order").first())
    )


def _ruled_out(facts: Facts) -> pl.LazyFrame:
    """One row per session and service that the last decision on evaluating found unfit."""
    return (
        facts.decisions.filter(pl.col("stage") == "evaluating")
        .sort("session_id", "offset")
        .unique("session_id", keep="last", maintain_order=True)
        .select("session_id", "alternatives")
        .explode("alternatives", empty_as_null=False, keep_nulls=False)
        .unnest("alternatives")
        .filter(pl.col("reason").is_not_null())
        .select("session_id", "service_id", is_out=pl.lit(True))
        .unique(["session_id", "service_id"])
    )
