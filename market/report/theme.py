"""Colours of a report, on light and on dark ground, and how its plots look.

A plot is drawn once, in the light colours; in a page each of them stands for a variable of the
style sheet (``var(--passed)``), which the reader's preference sets. The pairs were chosen by the
Okabe-Ito palette, which people with any colour vision can tell apart; every colour that carries
meaning is at least 3:1 against its ground, text at least 4.5:1 (WCAG 2.2, 1.4.3 and 1.4.11).
"""

from typing import Any, Final, NamedTuple


class Colour(NamedTuple):
    """One colour, on light and on dark ground."""

    light: str
    dark: str


COLOURS: Final = {
    "ground": Colour("#fdfdfc", "#16191d"),
    "panel": Colour("#f3f4f2", "#20252b"),
    "ink": Colour("#1b1f23", "#e7eaee"),
    "soft": Colour("#57606a", "#a7b0ba"),
    "line": Colour("#d5d8d4", "#3a424b"),
    "passed": Colour("#0072b2", "#56b4e9"),
    "left": Colour("#c2500a", "#f08a4b"),
    "open": Colour("#7d858c", "#8e979f"),
    "second": Colour("#00835f", "#2fc79b"),
    "third": Colour("#a8568a", "#d995bf"),
    "fourth": Colour("#8a6d00", "#d8b73a"),
    "faint": Colour("#c5dcea", "#27465a"),
    "link": Colour("#0b5fa5", "#7cc0f2"),
}
"""By the name of their variable. The light ones differ from each other: that tells them apart."""

FONT: Final = "Helvetica, Arial, Liberation Sans, sans-serif"
WIDTH: Final = 560
ROW: Final = 26
"""Height of a row of bars, pixels."""


def light(name: str) -> str:
    """Return the light colour of a name: what plots are drawn in."""
    return COLOURS[name].light


def config() -> dict[str, Any]:
    """Return the Vega-Lite configuration of every plot."""
    text = {"font": FONT, "fontSize": 12, "fill": light("ink")}
    labels = {
        "labelFont": FONT,
        "titleFont": FONT,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "labelColor": light("ink"),
        "titleColor": light("soft"),
        "titleFontWeight": "normal",
        "labelLimit": 190,
    }
    axis = {"domainColor": light("line"), "tickColor": light("line"), "gridColor": light("line")}
    return {
        "background": light("ground"),
        "aria": False,
        "font": FONT,
        "view": {"stroke": None},
        "axis": {**labels, **axis, "titlePadding": 8},
        "axisY": {"grid": False, "ticks": False, "domain": False, "labelPadding": 8},
        "legend": {**labels, "orient": "top", "title": None, "symbolType": "square", "offset": 8},
        "header": labels,
        "title": {"font": FONT, "color": light("ink"), "fontSize": 12, "anchor": "start"},
        "text": text,
        "bar": {"fill": light("passed")},
        "rule": {"stroke": light("soft")},
    }


def variables(ground: str) -> str:
    """Return the style sheet's variables for ``light`` or ``dark`` ground."""
    return "".join(f"--{name}:{getattr(pair, ground)};" for name, pair in COLOURS.items())
