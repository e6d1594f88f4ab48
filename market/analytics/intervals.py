"""Intervals: how sure a share or a difference of means is, at 95 %. Pure; nothing but arithmetic.

Shares have Wilson's score interval (Wilson 1927; Brown, Cai and DasGupta 2001), which stays within
0 and 1 and is honest for small counts. Means of a few runs have Student's t, paired or Welch's.
"""

import math
from collections.abc import Callable, Sequence
from statistics import fmean, variance
from typing import Final, NamedTuple

import polars as pl

LEVEL: Final = 0.95
Z: Final = 1.959963984540054
"""The normal quantile that leaves 2.5 % above it."""

_STEPS: Final = 300
_PRECISE: Final = 1e-14
_TINY: Final = 1e-300


def share_of(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """Return a part of a whole; null where there is nothing to divide by."""
    return pl.when(whole > 0).then(part / whole)


def with_share(part: str, of: str, *, prefix: str = "") -> list[pl.Expr]:
    """Return ``share``, ``low`` and ``high``: ``part`` of ``of``, with its Wilson interval.

    All three are null where there is nothing to divide by.
    """
    count, total = pl.col(part).cast(pl.Float64), pl.col(of).cast(pl.Float64)
    share = count / total
    width = 1 + Z**2 / total
    middle = (share + Z**2 / (2 * total)) / width
    half = (share * (1 - share) / total + Z**2 / (4 * total**2)).sqrt() * Z / width
    # None or all of them leave rounding errors where the interval ends at 0 or 1 exactly.
    low = pl.when(count == 0).then(0.0).otherwise(middle - half)
    high = pl.when(count == total).then(1.0).otherwise(middle + half)
    named = {"share": share, "low": low, "high": high}
    return [
        pl.when(total > 0).then(value).alias(f"{prefix}{name}") for name, value in named.items()
    ]


class Difference(NamedTuple):
    """A difference of two means, and where it lies at 95 %; None where one run tells nothing."""

    difference: float
    low: float | None
    high: float | None


def paired(before: Sequence[float], after: Sequence[float]) -> Difference:
    """Return the mean difference of pairs, with Student's t over their differences."""
    differences = [later - earlier for earlier, later in zip(before, after, strict=True)]
    mean = fmean(differences)
    count = len(differences)
    if count < 2:
        return Difference(mean, None, None)
    half = student_t(count - 1) * math.sqrt(variance(differences) / count)
    return Difference(mean, mean - half, mean + half)


def welch(before: Sequence[float], after: Sequence[float]) -> Difference:
    """Return the difference of two means of runs that are no pairs, with Welch's t.

    Degrees of freedom after Welch and Satterthwaite.
    """
    difference = fmean(after) - fmean(before)
    if min(len(before), len(after)) < 2:
        return Difference(difference, None, None)
    parts = [variance(runs) / len(runs) for runs in (before, after)]
    spread = sum(parts)
    if spread == 0:
        return Difference(difference, difference, difference)
    below = sum(
        part**2 / (len(runs) - 1) for part, runs in zip(parts, (before, after), strict=True)
    )
    half = student_t(spread**2 / below) * math.sqrt(spread)
    return Difference(difference, difference - half, difference + half)


def student_t(freedom: float) -> float:
    """Return the quantile of Student's t that leaves 2.5 % above it."""

    def above(value: float) -> float:
        # P(T > t) = I_x(v/2, 1/2) / 2 with x = v / (v + t^2) (Abramowitz and Stegun 26.7.1).
        return _beta_share(freedom / (freedom + value**2), freedom / 2, 0.5) / 2

    return _falling(above, (1 - LEVEL) / 2)


def _falling(function: Callable[[float], float], goal: float) -> float:
    """Return where a falling function reaches ``goal``, by halving."""
    low, high = 0.0, 1.0
    while function(high) > goal:
        low, high = high, high * 2
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > goal else (low, middle)
    return high


def _beta_share(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b).

    By its continued fraction (DLMF 8.17.22), evaluated after Lentz.
    """
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_share(1 - x, b, a)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(logarithm + a * math.log(x) + b * math.log1p(-x)) / a
    value, c, d = 1.0, 1.0, 0.0
    for step in range(_STEPS):
        half = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        else:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        d = 1 / _off_zero(1 + term * d)
        c = _off_zero(1 + term / c)
        value *= c * d
        if abs(c * d - 1) < _PRECISE:
            break
    return front * (value - 1)


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
