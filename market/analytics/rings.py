"""Rings: closed groups of buyers and sellers who praise each other and nobody else.

A buyer is *closed* if it looked at one seller only, or at a few (``MOST_SELLERS``) of at least
twice as many that it was shown, and praised whom it bought from and never blamed. A seller *leans*
on its closed buyers if they gave at least ``LEAST_SHARE`` of its praise. Closed buyers lead to
sellers that they praised and to closed buyers that they recommended something to; sellers lead to
the closed buyers that they lean on. A ring is a strongly connected component of that graph with at
least ``LEAST_BUYERS`` buyers: everybody in it leads to everybody.

That is a reason to look and no proof. A seller that alone offers what its customers search for
looks the same; ``choice_share`` tells how many of them had a choice.
"""

from typing import Final

import polars as pl

from market.analytics.answers import gives, real, texts, whole
from market.analytics.components import strong_components
from market.analytics.facts import Facts
from market.analytics.ring_measures import told_of

LEAST_BUYERS: Final = 3
LEAST_SHARE: Final = 0.5
MOST_SELLERS: Final = 3

_LOOKING: Final = ("evaluating.read", "evaluating.quoted", "order.placed")


@gives(
    "One row per ring, those with most members first",
    ("ring",),
    {
        "ring": whole("number of the ring, from 1"),
        "sellers": texts("handles of its sellers"),
        "seller_ids": texts("their agent ids"),
        "buyer_ids": texts("agent ids of its buyers"),
        "members": whole("sellers and buyers"),
        "praise": whole("good reviews that its buyers gave its sellers"),
        "praise_share": real("praise of all good reviews of its sellers; null without sellers"),
        "praise_per_buyer": real("praise of each buyer, on average"),
        "choice_share": real("share of its buyers that were shown other sellers, too"),
        "burst_share": real("largest share of the praise within a tenth of the market's time"),
        "age_seconds": real("median age of its buyers when they first praised"),
        "true_members": whole("members that are in a ring by the truth; null without truth"),
        "precision": real("true_members of members; null without truth"),
    },
)
def rings(
    facts: Facts,
    *,
    truth: pl.DataFrame | None = None,
    least_buyers: int = LEAST_BUYERS,
    least_share: float = LEAST_SHARE,
) -> pl.DataFrame:
    """Return the closed groups of buyers and sellers, with what makes each look like one.

    ``truth`` (``truth`` of a run, or any frame with agent_id and ring, null for those in none) says
    who really is; ``ring_accuracy`` then sums up what was found and what was missed.
    """
    praise = _praise(facts)
    closed = _closed(facts).join(
        praise.group_by("buyer_id").agg(is_kind=(pl.col("bad") == 0).all()).filter("is_kind"),
        "buyer_id",
    )
    inside = praise.join(closed, "buyer_id", "semi").filter(pl.col("good") > 0)
    leaning = (
        praise.group_by("seller_id")
        .agg(all_good=pl.col("good").sum())
        .join(inside.group_by("seller_id").agg(own_good=pl.col("good").sum()), "seller_id")
        .filter(pl.col("own_good") >= least_share * pl.col("all_good"))
    )
    groups = [
        {"ring": number, "agent_id": members}
        for number, members in enumerate(_components(facts, inside, closed, leaning), 1)
    ]
    members = pl.DataFrame(
        groups, schema={"ring": pl.Int64, "agent_id": pl.List(pl.String)}
    ).explode("agent_id")
    sellers = set(facts.services.select("seller_id").unique().collect()["seller_id"])
    members = members.with_columns(is_seller=pl.col("agent_id").is_in(sorted(sellers)))
    buyers = members.group_by("ring").agg(buyers=(~pl.col("is_seller")).sum())
    members = members.join(buyers.filter(pl.col("buyers") >= least_buyers), "ring")
    # Those that are left are numbered anew.
    members = members.with_columns(ring=pl.col("ring").rank("dense").cast(pl.Int64))
    return told_of(facts, members, praise, closed, truth)


def _praise(facts: Facts) -> pl.DataFrame:
    """One row per buyer and seller with a review between them: good, bad i64; first_at, times."""
    is_good = pl.col("verdict") == "good"
    return (
        facts.reviews.group_by("buyer_id", "seller_id")
        .agg(
            good=is_good.sum().cast(pl.Int64),
            bad=(~is_good).sum().cast(pl.Int64),
            times=pl.col("posted_at").filter(is_good),
        )
        .sort("buyer_id", "seller_id")
        .collect(engine="streaming")
    )


def _closed(facts: Facts) -> pl.DataFrame:
    """One row per buyer that looked at few sellers: buyer_id, had_choice bool."""
    seen = facts.sightings.join(facts.sessions.select("session_id", "buyer_id"), "session_id")
    counts = seen.group_by("buyer_id").agg(
        looked=pl.col("seller_id").filter(pl.col("kind").is_in(_LOOKING)).n_unique(),
        shown=pl.col("seller_id").n_unique(),
    )
    is_narrow = (pl.col("looked") <= MOST_SELLERS) & (2 * pl.col("looked") <= pl.col("shown"))
    return (
        counts.filter((pl.col("looked") == 1) | is_narrow)
        .select("buyer_id", had_choice=pl.col("shown") > pl.col("looked"))
        .sort("buyer_id")
        .collect(engine="streaming")
    )


def _components(
    facts: Facts, inside: pl.DataFrame, closed: pl.DataFrame, leaning: pl.DataFrame
) -> list[list[str]]:
    """Return the components of at least two of who leads to whom."""
    leads: dict[str, list[str]] = {}
    for buyer_id, seller_id in inside.select("buyer_id", "seller_id").iter_rows():
        leads.setdefault(buyer_id, []).append(seller_id)
    back = inside.join(leaning, "seller_id", "semi").select("seller_id", "buyer_id")
    for seller_id, buyer_id in back.iter_rows():
        leads.setdefault(seller_id, []).append(buyer_id)
    told = (
        facts.recommendations.select("from_id", "recipient_id")
        .unique()
        .sort("from_id", "recipient_id")
        .collect()
    )
    for side in ("from_id", "recipient_id"):
        told = told.join(closed, left_on=side, right_on="buyer_id", how="semi")
    for from_id, recipient_id in told.iter_rows():
        leads.setdefault(from_id, []).append(recipient_id)
    return [members for members in strong_components(leads) if len(members) > 1]
