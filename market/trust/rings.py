"""Rings: groups of sellers that are praised by buyers who praise hardly anybody else.

A *closed* buyer has no vouched money behind its word, and buys from one to ``MAX_SELLERS`` sellers.
Two sellers are *tied* if they share far more closed buyers than chance would have it. Sellers that
are tied together, and every other seller alone, are a group; it is a ring if at least
``MIN_BUYERS`` closed buyers bought nowhere else, if most of its praise comes from them, again and
again, and if no anchor vouches for any of its sellers. That is a reason to look, not a proof: a
seller whose few customers are new and faithful looks the same.
"""

from collections import defaultdict
from typing import Any, Final

import polars as pl

from market.trust.recount import Recount
from market.trust.scoring import MICRO

MIN_BUYERS: Final = 5
MIN_REVIEWS: Final = 3.0
"""Reviews by each of the closed buyers, on average."""

MOST_PRAISE: Final = 0.8
"""Part of a group's praise that comes from its closed buyers."""

MAX_SELLERS: Final = 12
MIN_SHARED: Final = 3
FAR: Final = 5.0
"""How many standard deviations above chance the number of shared buyers lies."""

MAX_RINGS: Final = 100


def find_rings(counted: Recount) -> list[dict[str, Any]]:
    """Return the rings among these orders, those with most praise of their own first.

    Each has sellers and buyers, sorted; ties: pairs of sellers with the buyers they share and how
    many millionths of a buyer chance would have; reviews by the closed buyers; inside_micro of the
    praise and money_micro of the turnover that comes from them, in millionths.
    """
    pairs = counted.orders.group_by("seller_id", "buyer_id").agg(
        (pl.col("verdict") == "good").sum().alias("praises"),
        pl.col("verdict").is_not_null().sum().alias("reviews"),
        pl.col("spend_micro").sum(),
    )
    backed = counted.buyers.filter(pl.col("vouched_micro") > 0)["buyer_id"].to_list()
    width = pl.len().over("buyer_id")
    unbacked = pairs.filter(~pl.col("buyer_id").is_in(backed))
    closed = unbacked.filter(width <= MAX_SELLERS, (pl.col("reviews").sum().over("buyer_id") > 0))
    ties = _ties(closed, pairs)
    vouched = set(counted.sellers.filter(pl.col("vouched_micro") > 0)["seller_id"])
    groups = _groups(sorted(closed["seller_id"].unique()), ties)
    rings = [
        ring
        for group in groups
        if not vouched & group and (ring := _ring(group, pairs, closed, ties)) is not None
    ]
    return sorted(rings, key=lambda ring: (-ring["reviews"], ring["sellers"]))[:MAX_RINGS]


def _ties(closed: pl.DataFrame, pairs: pl.DataFrame) -> list[tuple[str, str, int, float]]:
    """Pairs of sellers with the closed buyers they share, far above chance."""
    buyers = pairs["buyer_id"].n_unique()
    sizes = closed.group_by("seller_id").agg(pl.len().alias("size"))
    rows = closed.select("seller_id", "buyer_id").join(sizes, on="seller_id")
    both = rows.join(rows, on="buyer_id", suffix="_other").filter(
        pl.col("seller_id") < pl.col("seller_id_other")
    )
    shared = both.group_by("seller_id", "seller_id_other", "size", "size_other").agg(
        pl.len().alias("shared")
    )
    chance = pl.col("size") * pl.col("size_other") / max(buyers, 1)
    far = shared.with_columns(chance.alias("chance")).filter(
        pl.col("shared") >= MIN_SHARED,
        pl.col("shared") - pl.col("chance") >= FAR * (pl.col("chance") + 0.1).sqrt(),
    )
    wanted = far.sort("seller_id", "seller_id_other").select(
        "seller_id", "seller_id_other", "shared", "chance"
    )
    return list(wanted.iter_rows())


def _groups(sellers: list[str], ties: list[tuple[str, str, int, float]]) -> list[set[str]]:
    """Sellers that are tied, directly or through others; every other seller alone."""
    others = defaultdict(set)
    for one, other, _, _ in ties:
        others[one].add(other)
        others[other].add(one)
    groups, seen = [], set()
    for seller in sellers:
        if seller in seen:
            continue
        group, waiting = {seller}, [seller]
        while waiting:
            found = others[waiting.pop()] - group
            group |= found
            waiting += found
        seen |= group
        groups.append(group)
    return groups


def _ring(
    group: set[str],
    pairs: pl.DataFrame,
    closed: pl.DataFrame,
    ties: list[tuple[str, str, int, float]],
) -> dict[str, Any] | None:
    members = sorted(group)
    is_inside = pl.col("seller_id").is_in(members)
    elsewhere = closed.filter(~is_inside)["buyer_id"].unique()
    inside = closed.filter(is_inside, ~pl.col("buyer_id").is_in(elsewhere.to_list()))
    buyers = sorted(inside["buyer_id"].unique())
    whole = pairs.filter(is_inside)
    reviews, praise = int(inside["reviews"].sum()), int(inside["praises"].sum())
    all_praise, spend = int(whole["praises"].sum()), int(whole["spend_micro"].sum())
    if len(buyers) < MIN_BUYERS or reviews < MIN_REVIEWS * len(buyers):
        return None
    if not all_praise or praise < MOST_PRAISE * all_praise:
        return None
    return {
        "sellers": members,
        "buyers": buyers,
        "ties": [
            {"sellers": [one, other], "shared": shared, "chance_micro": int(chance * MICRO)}
            for one, other, shared, chance in ties
            if one in group
        ],
        "reviews": reviews,
        "inside_micro": praise * MICRO // all_praise,
        "money_micro": int(inside["spend_micro"].sum()) * MICRO // max(spend, 1),
    }
