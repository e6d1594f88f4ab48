"""Conversion: which prices and which trust, once shown, ended in a sale."""

from typing import Final, Literal

import polars as pl

from market.analytics.answers import CURRENCY, flag, gives, real, whole
from market.analytics.facts import Facts
from market.analytics.intervals import with_share

_OFFER: Final = ("session_id", "service_id")
_COUNTED: Final = {
    "shown": whole("services shown to a journey; one counts once in it, as it was shown last"),
    "bought": whole("of these, those that the journey ordered and paid for: a settled order"),
    "share": real("bought of shown"),
    "low": real("lower end of its 95 % Wilson interval"),
    "high": real("upper end of it"),
}


@gives(
    "One row per currency and price band",
    ("currency", "band"),
    {
        "currency": CURRENCY,
        "band": whole("number of the band, from 0 for the cheapest"),
        "from_minor": whole("lowest price shown in it"),
        "to_minor": whole("highest price shown in it"),
        **_COUNTED,
    },
)
def price_conversion(
    facts: Facts, *, bands: int = 5, at: Literal["quoted", "listed"] = "quoted"
) -> pl.DataFrame:
    """Return how often services were bought at which price.

    ``at`` says which price: ``quoted`` for the whole job (``evaluating.quoted``), or ``listed``
    in search results (of one call or unit). Each distinct price is a band of its own if there are
    at most ``bands`` of them; else bands hold about equally many offers, and no price is in two.
    An order that is still open counts as not bought.
    """
    kind = "evaluating.quoted" if at == "quoted" else "finding.listed"
    currencies = facts.services.select("service_id", "currency")
    shown = (
        _last_shown(facts, kind)
        .filter(pl.col("amount_minor").is_not_null())
        .join(currencies, "service_id", "left")
    )
    prices = (
        shown.group_by("currency", "amount_minor")
        .len("offers")
        .sort("currency", "amount_minor")
        .with_columns(
            below=pl.col("offers").cum_sum().over("currency") - pl.col("offers"),
            all=pl.col("offers").sum().over("currency"),
            prices=pl.len().over("currency"),
            rank=pl.int_range(pl.len()).over("currency"),
        )
        .with_columns(
            band=pl.when(pl.col("prices") <= bands)
            .then(pl.col("rank"))
            .otherwise(pl.col("below") * bands // pl.col("all"))
        )
        # A price that fills several bands leaves none of them empty.
        .with_columns(pl.col("band").rank("dense").over("currency") - 1)
        .select("currency", "amount_minor", "band")
    )
    return (
        shown.join(prices, ["currency", "amount_minor"], nulls_equal=True)
        .group_by("currency", "band")
        .agg(
            pl.col("amount_minor").min().alias("from_minor"),
            pl.col("amount_minor").max().alias("to_minor"),
            *_counts(),
        )
        .with_columns(with_share("bought", "shown"))
        .collect()
    )


@gives(
    "One row per honesty and trust band that was shown",
    ("is_honest", "band"),
    {
        "is_honest": flag("whether the sellers mean well; null without truth about them"),
        "band": whole("number of the band, from 0 for the least trusted"),
        "from_trust": real("lower end of the band, inclusive"),
        "to_trust": real("upper end of it, exclusive but for 1"),
        **_COUNTED,
    },
)
def trust_conversion(
    facts: Facts, *, bands: int = 5, truth: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return how often services were bought whose seller was reported at which trust.

    The bands are equally wide, from 0 to 1; the score is the one that ``trust.reported`` told the
    buyer. ``truth`` (``cast`` of a run, or any frame with agent_id and is_honest) splits them by
    honest and dishonest sellers. An order that is still open counts as not bought.
    """
    honest = pl.LazyFrame(schema={"agent_id": pl.String(), "is_honest": pl.Boolean()})
    if truth is not None:
        honest = truth.lazy().select("agent_id", "is_honest")
    band = (pl.col("trust") * bands).floor().clip(0, bands - 1)
    return (
        _last_shown(facts, "trust.reported")
        .filter(pl.col("trust").is_not_null())
        .join(honest, left_on="seller_id", right_on="agent_id", how="left")
        .group_by("is_honest", band.cast(pl.Int64).alias("band"))
        .agg(_counts())
        .with_columns(
            *with_share("bought", "shown"),
            from_trust=pl.col("band") / bands,
            to_trust=(pl.col("band") + 1) / bands,
        )
        .collect()
    )


def _last_shown(facts: Facts, kind: str) -> pl.LazyFrame:
    """One row per session and service, as it was shown last, with whether it was ``sold``."""
    sold = (
        facts.orders.filter(pl.col("state") == "settled")
        .select(*_OFFER, sold=pl.lit(True))
        .unique(_OFFER)
    )
    return (
        facts.sightings.filter(pl.col("kind") == kind)
        .sort("session_id", "offset", "place")
        .unique(_OFFER, keep="last", maintain_order=True)
        .join(sold, _OFFER, "left")
        .with_columns(pl.col("sold").fill_null(False))
    )


def _counts() -> list[pl.Expr]:
    return [pl.len().alias("shown"), pl.col("sold").sum().alias("bought")]
