"""Drawing, if the extra ``report`` is installed: without it a report has its tables as JSON."""

import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final, cast

from market.report.composing import Tell, nobody
from market.report.forms import Plot, Report

NEEDED: Final = ("altair", "vl_convert")
"""What the extra brings."""


class NotInstalled(ValueError):
    """The libraries that draw are not there; the message says how to install them."""


def plots_of(report: Report, tell: Tell = nobody) -> dict[str, Plot]:
    """Return the plots of a report, by the names of their blocks.

    Raises:
        NotInstalled: the extra ``report`` is not installed.
    """
    check()
    # These modules import altair, which takes half a second: only who draws waits for it.
    drawing = importlib.import_module("market.report.plots")
    plots = {}
    for block in report.blocks:
        if (plot := drawing.plot_of(block)) is not None:
            plots[block.name] = plot
        tell(f"{block.title}, drawn")
    return plots


def pictures_of(plots: Mapping[str, Plot]) -> dict[str, bytes]:
    """Return plots as PNG files, on light ground, by the names of their blocks.

    Raises:
        NotInstalled: the extra ``report`` is not installed.
    """
    check()
    rendering = importlib.import_module("market.report.rendering")
    return {name: cast(bytes, rendering.png(plot)) for name, plot in plots.items()}


def check() -> None:
    """See whether there is what it takes to draw.

    Raises:
        NotInstalled: the extra ``report`` is not installed.
    """
    if any(find_spec(name) is None for name in NEEDED):
        raise NotInstalled("Pages and pictures need the extra: pip install 'agent-market[report]'")
