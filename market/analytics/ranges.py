"""Which ranges of a log's owners make the parts of an export, and what is new in each. Pure.

Owners are sessions, whose rows are events, and orders, whose rows are chunks. An owner counts its
rows itself, without gaps and in the order of their commits; so two counts of one owner tell what
came between them, however many workers write, and nothing that becomes visible late is missed.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import polars as pl

from market.analytics.parts import Part

OWNERS: Final = pl.Schema(
    {
        "owner": pl.String(),
        "start": pl.Int64(),
        "known": pl.Int64(),
        "stop": pl.Int64(),
        "is_changed": pl.Boolean(),
    }
)
"""One row per owner, in order. Its rows have the places from ``start`` up to ``stop``; those below
``known`` were exported before. ``is_changed``: something of it is new, be it no row.
"""

_OWNER_WEIGHS: Final = 5
"""Rows that an owner counts for beside its own, so that a part has not too many of them."""


class Range(NamedTuple):
    """Owners from ``first`` up to ``until``, if there is an end: one part of each of their frames.

    ``kept`` is the place among the parts before of one that holds just these, or None.
    """

    first: str
    until: str | None
    owners: pl.DataFrame
    kept: int | None

    @property
    def new_rows(self) -> int:
        """How many rows are to be read."""
        return int((self.owners["stop"] - self.owners["known"]).sum())

    @property
    def is_fresh(self) -> bool:
        """Whether no row of it was exported before."""
        return bool((self.owners["known"] == self.owners["start"]).all())

    @property
    def wanted(self) -> list[tuple[str, int]]:
        """The owners that have new rows, each with the first place of those; 0 where all are."""
        since = pl.when(pl.col("known") > pl.col("start")).then("known").otherwise(0)
        grown = self.owners.filter(pl.col("stop") > pl.col("known"))
        return grown.select("owner", since.alias("since")).rows()

    @property
    def changed(self) -> pl.Series:
        """The owners of which something is new."""
        return self.owners.filter("is_changed")["owner"]

    def has(self, column: str) -> pl.Expr:
        """Whether a column holds one of the owners of this range."""
        begins = pl.col(column) >= self.first
        return begins if self.until is None else begins & (pl.col(column) < self.until)

    def overlapping(self, parts: Sequence[Part]) -> list[Part]:
        """Return those parts that may hold rows of it."""
        return [
            part
            for part in parts
            if part.last >= self.first and (self.until is None or part.first < self.until)
        ]


def ranges(owners: pl.DataFrame, before: Sequence[Part], limit: int) -> list[Range]:
    """Return the ranges that take up all owners (``OWNERS``), in order; one at least.

    Those of the parts before stay, so that their files can; but the last of them, which is open,
    is cut where it has more than ``limit`` rows.
    """
    firsts = [part.first for part in before] or [""]
    weight = pl.col("stop") - pl.col("start") + _OWNER_WEIGHS
    in_last = owners.filter(pl.col("owner") >= firsts[-1])
    cuts = (
        in_last.group_by((weight.cum_sum() - weight) // limit)
        .agg(pl.col("owner").min())["owner"]
        .sort()[1:]
    )
    firsts += cuts.to_list()
    found = []
    for place, first in enumerate(firsts):
        until = firsts[place + 1] if place + 1 < len(firsts) else None
        is_here = pl.col("owner") >= first
        if until is not None:
            is_here &= pl.col("owner") < until
        some = Range(first, until, owners.filter(is_here), None)
        is_whole = place < len(before) and (until is None or before[place].last < until)
        found.append(some._replace(kept=place) if is_whole and not some.new_rows else some)
    return found
