"""Plots as pictures: Vega-Lite to SVG and PNG, on this machine alone, without a browser."""

from typing import Any, Final

import altair as alt
import vl_convert

from market.report.forms import Plot
from market.report.theme import config

_VERSION: Final = "v" + ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
"""Vega-Lite as altair writes it."""

SCALE: Final = 2.0
"""Pixels of a PNG for each pixel of a plot."""


def draw(name: str, label: str, chart: alt.TopLevelMixin) -> Plot:
    """Return a plot drawn. Nothing is loaded from any address."""
    tree: dict[str, Any] = chart.to_dict()
    svg = vl_convert.vegalite_to_svg(
        tree, vl_version=_VERSION, config=config(), allowed_base_urls=[]
    )
    return Plot(name, label, svg)


def png(plot: Plot) -> bytes:
    """Return a plot as a PNG, on light ground."""
    return vl_convert.svg_to_png(plot.svg, scale=SCALE)
