"""What plots share: their data, their axes, their colours."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from market.protocol.money import EXPONENTS
from market.report.theme import light
from market.report.words import name

MAX_BARS: Final = 20
"""Rows that a plot of sellers or buyers shows; the table shows more."""

_LABEL: Final = 28

TIMES: Final = (
    "datum.value >= 3600 ? format(datum.value / 3600, '~g') + ' h' :"
    " datum.value >= 120 ? format(datum.value / 60, '~g') + ' min' :"
    " datum.value >= 1 ? format(datum.value, '~g') + ' s' :"
    " format(datum.value * 1000, '~g') + ' ms'"
)
"""How an axis of seconds is labelled."""

Row = Mapping[str, Any]


def data(values: Sequence[Row]) -> alt.Chart:
    """Return a chart of rows; they are values, whatever they say, and never formulas."""
    return alt.Chart(alt.InlineData(values=[dict(value) for value in values]))


def label(text: str) -> str:
    """Return a name that fits beside a plot."""
    line = name(text)
    return line if len(line) <= _LABEL else line[: _LABEL - 1] + "…"


def labels(texts: Sequence[str]) -> list[str]:
    """Return a label for each text; of those that look alike, all but the first get a number."""
    seen: dict[str, int] = {}
    made = []
    for text in map(label, texts):
        seen[text] = seen.get(text, 0) + 1
        made.append(text if seen[text] == 1 else f"{text} #{seen[text]}")
    return made


def colours(names: Mapping[str, str], field: str = "outcome") -> alt.Color:
    """Return a colour for each value of a field, by the names of the theme, with a legend."""
    chosen = [light(colour) for colour in names.values()]
    scale = alt.Scale(domain=list(names), range=chosen)
    return alt.Color(f"{field}:N", scale=scale, sort=list(names))


def count_axis(most: int) -> alt.Axis:
    """Return an axis of counts: no fractions of a journey."""
    return alt.Axis(format=",d", tickMinStep=1, tickCount=min(max(most, 1), 6))


def share_axis() -> alt.Axis:
    """Return an axis of shares, in per cent."""
    return alt.Axis(format=".0%", tickCount=5)


def amount(minor: int | None, currency: str | None) -> float | None:
    """Return an amount in whole units, for a length on a plot and nothing else."""
    return None if minor is None else minor / 10 ** EXPONENTS.get(currency or "", 0)


def main_currency(rows: Sequence[Row]) -> str | None:
    """Return the currency that most rows are in: a plot of amounts shows one."""
    known = sorted(row["currency"] for row in rows if row["currency"])
    return max(known, key=known.count, default=None)
