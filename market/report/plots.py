"""Which plot belongs to which block."""

from collections.abc import Callable, Mapping
from typing import Final

import altair as alt

from market.report import (
    plots_conversions,
    plots_journeys,
    plots_moneys,
    plots_people,
    plots_running,
    plots_selling,
)
from market.report.forms import Block, Plot
from market.report.rendering import draw

PLOTS: Final[Mapping[str, Callable[[Block], alt.TopLevelMixin | None]]] = {
    "journey": plots_journeys.funnel,
    "dropoff": plots_journeys.reasons,
    "why": plots_journeys.causes,
    "trust-over-time": plots_selling.trust,
    "sales-over-time": plots_selling.sales,
    "price": plots_conversions.price,
    "trust": plots_conversions.trust,
    "first": plots_conversions.first,
    "latency": plots_running.latency,
    "money": plots_moneys.earned,
    "budget": plots_moneys.spent,
    "surplus": plots_moneys.gained,
    "recommendations": plots_people.recommendations,
    "rings": plots_people.rings,
    "replicas": plots_running.replicas,
}
"""By the name of the block."""


def plot_of(block: Block) -> Plot | None:
    """Return the plot of a block; None for one that has none, or nothing to show."""
    make = PLOTS.get(block.name)
    chart = None if make is None or block.missing else make(block)
    if chart is None:
        return None
    label = f"{block.title}, as a plot. {' '.join(block.says)} The table has its values."
    return draw(block.name, label, chart)
