"""The arithmetic of ``scoring`` over whole columns: the same operations, in the same order."""

from typing import Final

import polars as pl

from market.trust.scoring import (
    HALF_LIFE_DAYS,
    LN2,
    MICRO,
    SHORT_HALF_LIFE,
    VOICE,
    falling,
)

INT: Final = pl.Int64()


def rounded(values: pl.Series) -> pl.Series:
    """Return the nearest integers of numbers that are not negative, halves up."""
    return (values + 0.5).cast(INT, strict=False)


def parted(amounts: pl.Series, parts_micro: pl.Series) -> pl.Series:
    """Return so many millionths of amounts, rounded."""
    return (amounts * parts_micro + MICRO // 2) // MICRO


def halved(times: pl.Series) -> pl.Series:
    """Return one half to these powers, from 0 to 64."""
    powers: pl.Series = falling(times.clip(upper_bound=64.0) * (LN2 / 64))
    return powers


def voice_weight(totals: pl.Series) -> pl.Series:
    """Return what so much evidence of one voice weighs, each."""
    return VOICE * (1.0 - halved(totals / MICRO / (2 * LN2)))


def voices(good: pl.Series, bad: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the evidence that each voice gives for and against a seller."""
    totals = (good + bad).clip(lower_bound=1)
    scale = MICRO * voice_weight(totals) / totals
    return rounded(scale * good), rounded(scale * bad)


def aged(weights: pl.Series, days: pl.Series, today: int) -> pl.Series:
    """Return what is left of weights: half after every 30 days."""
    return rounded(weights * halved((today - days).clip(lower_bound=0) / HALF_LIFE_DAYS))


def recalled(amounts: pl.Series, behind: pl.Series) -> pl.Series:
    """Return what the short memory keeps of amounts, with orders of this weight behind them."""
    return rounded(amounts * halved(behind / MICRO / SHORT_HALF_LIFE))
