"""What commands about scenarios share: reading them, and saying what is wrong with one."""

from collections.abc import Iterable
from pathlib import Path

from market.cli.failures import USAGE, Explained, Report, explain
from scenarios.engine import BadScenario, Story, Trouble
from scenarios.engine.reading import load
from scenarios.engine.result import TroubleResult
from scenarios.engine.sweeping import Options, combinations


@explain.register
def _(error: BadScenario) -> Explained:
    return Explained(reports_of(error.troubles), USAGE)


def reports_of(troubles: Iterable[Trouble | TroubleResult]) -> list[Report]:
    """Return mistakes of a scenario as they are told."""
    return [
        Report("bad_scenario", "The scenario is wrong", one.detail, one.hint, one.where)
        for one in troubles
    ]


def stage_all(paths: tuple[Path, ...], options: Options) -> list[list[Story]]:
    """Read every scenario, once for each cell of its sweep, before the first is played.

    Raises:
        BadScenario: with the mistakes of all of them.
    """
    staged: list[list[Story]] = []
    troubles: dict[Trouble, None] = {}
    for path in paths:
        cells: list[Story] = []
        for overrides in combinations(options):
            try:
                cells.append(load(path, (*options.sets, *overrides), options.scale))
            except BadScenario as bad:
                troubles |= dict.fromkeys(bad.troubles)
        staged.append(cells)
    if troubles:
        raise BadScenario(*troubles)
    return staged
