"""Continuity: whether anything was lost on the way, or is there twice, whatever went wrong."""

from typing import Final

import polars as pl

from market.analytics.answers import gives, whole
from market.analytics.facts import Facts
from market.analytics.schema import Column

KINDS: Final = ("entries", "chunks", "holds")
KIND: Final = pl.Enum(KINDS)
"""What is counted: entries of logs, delivered parts, and prices put into escrow."""


@gives(
    "One row per kind of thing of which there is any",
    ("kind",),
    {
        "kind": Column(
            KIND,
            "entries of journeys' logs; chunks: delivered parts of orders; holds: prices put into"
            " escrow, one for each order",
        ),
        "expected": whole("how many there should be: by the highest number in each, or the orders"),
        "missing": whole("of these, those that are not there"),
        "twice": whole("those that are there once more than they should be"),
    },
)
def continuity(facts: Facts) -> pl.DataFrame:
    """Return what is missing and what is there twice: nothing, or something is broken.

    Of a fork only what stands behind the entries that it shares with its source.
    """
    entries = facts.events.join(
        facts.sessions.select("session_id", "source_offset"), "session_id", "left"
    ).with_columns(at=pl.col("offset") - pl.col("source_offset").fill_null(-1) - 1)
    chunks = facts.chunks.with_columns(at=pl.col("index"))
    counted = [_numbered(entries, "session_id", "entries"), _numbered(chunks, "order_id", "chunks")]
    return (
        pl.concat([*counted, _holds(facts)])
        .with_columns(pl.col("kind").cast(KIND))
        .filter(pl.col("expected") > 0)
        .collect()
    )


def _numbered(rows: pl.LazyFrame, of: str, kind: str) -> pl.LazyFrame:
    """Count what is numbered from 0 within each ``of``, by the column ``at``."""
    expected, there = pl.col("at").max() + 1, pl.col("at").n_unique()
    each = rows.group_by(of).agg(
        expected=expected, missing=expected - there, twice=pl.len() - there
    )
    return _summed(each, kind)


def _holds(facts: Facts) -> pl.LazyFrame:
    is_hold = (pl.col("reason") == "escrow.hold") & (pl.col("account_kind") == "escrow")
    made = facts.postings.filter(is_hold).group_by("order_id").agg(holds=pl.len())
    each = (
        facts.orders.select("order_id")
        .join(made, "order_id", "left")
        .select(
            expected=pl.lit(1, pl.Int64),
            missing=pl.col("holds").is_null(),
            twice=pl.col("holds").fill_null(1) - 1,
        )
    )
    return _summed(each, "holds")


def _summed(each: pl.LazyFrame, kind: str) -> pl.LazyFrame:
    sums = [pl.col(name).cast(pl.Int64).sum() for name in ("expected", "missing", "twice")]
    return each.select(pl.lit(kind).alias("kind"), *sums)
