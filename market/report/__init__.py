"""Reports: what happened in a market, on one page for people, and as JSON for programs.

``compose`` answers one question after the other with the functions of ``market.analytics``: a
*block* has sentences, tables and a definition, or says what is missing. ``plots_of`` draws them,
``page`` writes one HTML file that runs no script and loads nothing. A report decides nothing and
writes no table. Drawing needs the extra ``report`` (altair and vl-convert), and is loaded when it
is asked for, so that JSON needs neither.
"""

from market.report.composing import BLOCKS, compose
from market.report.extra import NotInstalled, check, pictures_of, plots_of
from market.report.forms import Block, Column, Head, Plot, Proof, Report, Table
from market.report.page import page
from market.report.runs import Check, market_of, run_in

__all__ = [
    "BLOCKS",
    "Block",
    "Check",
    "Column",
    "Head",
    "NotInstalled",
    "Plot",
    "Proof",
    "Report",
    "Table",
    "check",
    "compose",
    "market_of",
    "page",
    "pictures_of",
    "plots_of",
    "run_in",
]
