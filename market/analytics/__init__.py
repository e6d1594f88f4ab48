"""Analytics: what happened in a market, as polars frames, and why agents did or did not buy.

``export`` writes a store's *facts* to Parquet, by *frame*, and later what is new; ``open`` gives
them as attributes of ``Facts`` (``help(Facts)`` tells grain, columns, types and units of each)::

    facts = analytics.open("runs/first_purchase-1")
    facts.orders.group_by("state").len().collect()

``funnel`` and ``reasons`` tell how far journeys came and why they ended; ``why`` tells a seller to
whom its sales were lost and what would have changed it, by re-scoring the decisions that buyers
recorded; ``losses`` has the rows behind it. Every other question is a function that returns one
frame (``ANSWERS`` declares their columns), and ``compare`` holds two sets of runs side by side. It
reads the tables of the rooms below and writes none.
"""

from market.analytics.answers import ANSWERS
from market.analytics.cohorts import funnel, reasons
from market.analytics.comparing import Replica, compare
from market.analytics.continuity import continuity
from market.analytics.conversions import price_conversion, trust_conversion
from market.analytics.explaining import Why, why
from market.analytics.exporting import AnyStore, export
from market.analytics.facts import Facts
from market.analytics.facts import open_facts as open  # noqa: A004 - read as analytics.open
from market.analytics.lost_sales import LOSSES, UnknownSeller, losses
from market.analytics.measuring import metrics_of
from market.analytics.moneys import budgets, money
from market.analytics.most_lost import most_lost
from market.analytics.over_time import sales_over_time, trust_over_time
from market.analytics.overview import overview
from market.analytics.parts import Exported, Part
from market.analytics.proposals import first_proposal
from market.analytics.recommending import recommendation_degrees, recommendation_graph
from market.analytics.ring_measures import ring_accuracy
from market.analytics.rings import rings
from market.analytics.schema import FRAMES, Column, Frame
from market.analytics.selling import sellers
from market.analytics.source import NoFacts
from market.analytics.timing import latency
from market.analytics.truths import truth
from market.analytics.welfare import surplus, welfare

__all__ = [
    "ANSWERS",
    "FRAMES",
    "LOSSES",
    "AnyStore",
    "Column",
    "Exported",
    "Facts",
    "Frame",
    "NoFacts",
    "Part",
    "Replica",
    "UnknownSeller",
    "Why",
    "budgets",
    "compare",
    "continuity",
    "export",
    "first_proposal",
    "funnel",
    "latency",
    "losses",
    "metrics_of",
    "money",
    "most_lost",
    "open",
    "overview",
    "price_conversion",
    "reasons",
    "recommendation_degrees",
    "recommendation_graph",
    "ring_accuracy",
    "rings",
    "sales_over_time",
    "sellers",
    "surplus",
    "trust_conversion",
    "trust_over_time",
    "truth",
    "welfare",
    "why",
]
