"""A report from facts: its head, and every block in order."""

from collections.abc import Callable
from typing import Any, Final

from market import analytics
from market.analytics import Facts, NoFacts
from market.report import conversions, journeys, moneys, people, running, selling
from market.report.forms import Block, Material, Proof, Report
from market.report.head import head_of
from market.report.replicas import replicas
from market.report.runs import market_of, run_in, sweep_in

Tell = Callable[[str], object]
"""Is told the title of every part of the work when it is done."""

BLOCKS: Final[tuple[Callable[[Material], Block], ...]] = (
    journeys.journey,
    journeys.dropoff,
    journeys.why,
    selling.sellers,
    selling.trust_over_time,
    selling.sales_over_time,
    conversions.price,
    conversions.trust,
    conversions.first,
    running.latency,
    moneys.earned,
    moneys.spent,
    moneys.gained,
    people.recommendations,
    people.rings,
    running.faults,
    replicas,
)
"""What each block is made by, in the order of a report."""


def nobody(part: str) -> None:
    """Tell nobody."""


def compose(
    facts: Facts, *, source: str, proof: Proof | None = None, tell: Tell = nobody
) -> Report:
    """Return the report of ``source``: the folder of a run or a sweep, a store, an export.

    ``facts`` are those of the market at ``market_of(source)``. A run's folder adds its name, its
    seed, its expectations and the proof at its end; of any other store the ``proof`` is given. The
    folder of a sweep adds what its runs came to.
    """
    place = market_of(source)
    run, sweep = run_in(place), sweep_in(source)
    head = head_of(facts, source=source, place=place, run=run, sweep=sweep, proof=proof)
    material = Material(facts, _truth_in(place), run, sweep)
    blocks: list[Block] = []
    # What compares all runs comes before what is about one of them.
    for make in sorted(BLOCKS, key=lambda make: sweep is None or make is not replicas):
        blocks.append(make(material))
        tell(blocks[-1].title)
    return Report(head=head, blocks=blocks)


def _truth_in(source: str) -> Any:
    """Return who was who, as the story of a run tells it; None where no story does."""
    try:
        return None if "://" in source else analytics.truth(source)
    except NoFacts:
        return None
