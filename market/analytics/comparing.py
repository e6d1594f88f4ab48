"""Two runs compared, or two sets of them: metric by metric, with intervals over replicas.

Replicas under the same seeds are pairs: what the seed decides is alike in both, and so the
differences of the pairs tell more than the runs by themselves (Student's t over them). Without
that the means are compared after Welch, who lets both sides vary as they do. Both take replicas as
drawn from one distribution; with three or four of them the intervals are wide, and that is right.
The bootstrap is not used: it is too sure of itself with so few.
"""

from collections.abc import Sequence
from functools import cached_property
from statistics import fmean
from typing import Any, Final

import polars as pl

from market.analytics.answers import flag, gives, real, text, whole
from market.analytics.facts import Facts
from market.analytics.intervals import paired, welch
from market.analytics.measuring import ADDED, METRIC_COLUMNS, metrics_of

_ABOUT: Final = ("metric", "subject", "currency", "unit")
_Key = tuple[Any, ...]


class Replica:
    """The facts of one run, and the seed that it was played under, if that is known."""

    def __init__(self, facts: Facts, seed: int | None = None) -> None:
        self.facts = facts
        self.seed = seed

    @cached_property
    def values(self) -> dict[_Key, float | None]:
        """Its metrics: measured once, however many others it is compared with."""
        return {tuple(row[:-1]): row[-1] for row in metrics_of(self.facts).iter_rows()}


@gives(
    "One row per metric, subject and currency that one of the runs has",
    ("metric", "subject", "currency"),
    {
        **METRIC_COLUMNS,
        "before": real("mean over the runs before; null if none of them has it"),
        "after": real("mean over the runs after"),
        "difference": real("after less before; of pairs, the mean of their differences"),
        "low": real("lower end of its 95 % interval; null where one run tells nothing of chance"),
        "high": real("upper end of it"),
        "is_clear": flag("whether the interval is on one side of 0; null without an interval"),
        "method": text("paired t, or Welch t"),
        "runs_before": whole("runs before that have it"),
        "runs_after": whole("runs after that have it"),
    },
)
def compare(before: Sequence[Replica], after: Sequence[Replica]) -> pl.DataFrame:
    """Return how two sets of runs differ: those of one setting, and those of another.

    They are pairs if each seed of one side is on the other, too, once. Counts and what is
    paid are 0 in a run that has none of it; shares, means and times are then left out, with their
    pair.
    """
    earlier, later = ([one.values for one in side] for side in (before, after))
    is_paired = _are_pairs(before, after)
    if is_paired:
        order = {one.seed: number for number, one in enumerate(before)}
        places = sorted(range(len(after)), key=lambda number: order[after[number].seed])
        later = [later[place] for place in places]
    about = list(dict.fromkeys(key for run in (*earlier, *later) for key in run))
    rows = [_row(key, earlier, later, is_paired=is_paired) for key in about]
    names = (*_ABOUT, "before", "after", "difference", "low", "high", "method")
    counts = ("runs_before", "runs_after")
    schema = {
        **dict.fromkeys(_ABOUT, pl.String),
        **dict.fromkeys(names[4:9], pl.Float64),
        "method": pl.String,
        **dict.fromkeys(counts, pl.Int64),
    }
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        is_clear=(pl.col("low") > 0) | (pl.col("high") < 0)
    )


def _are_pairs(before: Sequence[Replica], after: Sequence[Replica]) -> bool:
    seeds = [[one.seed for one in side] for side in (before, after)]
    are_known = all(seed is not None for side in seeds for seed in side)
    are_once = all(len(set(side)) == len(side) for side in seeds)
    return are_known and are_once and set(seeds[0]) == set(seeds[1])


def _row(
    key: _Key,
    earlier: Sequence[dict[_Key, float | None]],
    later: Sequence[dict[_Key, float | None]],
    *,
    is_paired: bool,
) -> tuple[Any, ...]:
    absent = 0.0 if key[0] in ADDED else None
    sides = [[run.get(key, absent) for run in runs] for runs in (earlier, later)]
    if is_paired:
        pairs = [pair for pair in zip(*sides, strict=True) if None not in pair]
        known = [[pair[side] for pair in pairs] for side in (0, 1)]
    else:
        known = [[value for value in side if value is not None] for side in sides]
    numbers = [[value for value in side if value is not None] for side in known]
    means = [fmean(side) if side else None for side in numbers]
    counts = (len(numbers[0]), len(numbers[1]))
    method = "paired t" if is_paired else "Welch t"
    if not all(numbers):
        return (*key, *means, None, None, None, method, *counts)
    found = (paired if is_paired else welch)(*numbers)
    return (*key, *means, *found, method, *counts)
