"""The lab: how attacks fare against the market's trust rule, and against other rules.

A *cell* is one simulated market: one *attack*, one *algorithm*, one seed. Its *sellers* have a
true quality that nobody in it knows, its *buyers* see a ranking and choose by it, and every order
goes through the market's own rooms (quote, order, delivery, receipt, review, refund) in a store of
its own, under a clock that is moved by hand. The algorithm's scores decide tomorrow's ranking, so
each algorithm lives in the market that it makes. When the days are over the store is audited.

``play`` plays one cell, ``run`` many of them on several processors, ``report`` makes the table of
means over seeds. The same seed gives the same numbers, whatever the machine and the number of
processes.
"""

from market.lab.attacks import ATTACKS
from market.lab.frames import days_frame, ranks_frame
from market.lab.measures import MEASURES, Kind
from market.lab.plan import DAYS, Plan
from market.lab.play import Cell, Played, play
from market.lab.rankers import ALGORITHMS, COMPARED, OWN
from market.lab.report import Figure, Judged, Report, Row, judge, report
from market.lab.running import cells_of, expected_orders, processors, run

__all__ = [
    "ALGORITHMS",
    "ATTACKS",
    "COMPARED",
    "DAYS",
    "MEASURES",
    "OWN",
    "Cell",
    "Figure",
    "Judged",
    "Kind",
    "Plan",
    "Played",
    "Report",
    "Row",
    "cells_of",
    "days_frame",
    "expected_orders",
    "judge",
    "play",
    "processors",
    "ranks_frame",
    "report",
    "run",
]
