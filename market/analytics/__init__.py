"""Analytics: what happened in a market, as polars frames, and why agents did or did not buy.

``export`` writes a store's *facts* to Parquet, one file per *frame*; ``open`` gives them as the
attributes of ``Facts`` (``help(Facts)`` tells grain, columns, types and units of each)::

    facts = analytics.open("runs/first_purchase-1")
    facts.orders.group_by("state").len().collect()

``funnel`` and ``reasons`` tell how far journeys came and why they ended; ``why`` tells a seller to
whom its sales were lost and what would have changed it, by re-scoring the decisions that buyers
recorded; ``losses`` has the rows behind it. It reads the tables of the rooms below and writes none.
"""

from market.analytics.cohorts import funnel, reasons
from market.analytics.explaining import Why, why
from market.analytics.exporting import AnyStore, Exported, export
from market.analytics.facts import Facts
from market.analytics.facts import open_facts as open  # noqa: A004 - read as analytics.open
from market.analytics.lost_sales import LOSSES, UnknownSeller, losses
from market.analytics.schema import FRAMES, Column, Frame
from market.analytics.source import NoFacts

__all__ = [
    "FRAMES",
    "LOSSES",
    "AnyStore",
    "Column",
    "Exported",
    "Facts",
    "Frame",
    "NoFacts",
    "UnknownSeller",
    "Why",
    "export",
    "funnel",
    "losses",
    "open",
    "reasons",
    "why",
]
