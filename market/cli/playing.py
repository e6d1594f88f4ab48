"""What commands about scenarios share: reading them, and saying what is wrong with one."""

from pathlib import Path

from market.cli.failures import USAGE, Explained, Report, explain
from scenarios.engine import BadScenario, Story, Trouble
from scenarios.engine.reading import load


@explain.register
def _(error: BadScenario) -> Explained:
    reports = [
        Report("bad_scenario", "The scenario is wrong", one.detail, one.hint, one.where)
        for one in error.troubles
    ]
    return Explained(reports, USAGE)


def load_all(paths: tuple[Path, ...]) -> list[Story]:
    """Read every scenario, before the first is played.

    Raises:
        BadScenario: with the mistakes of all of them.
    """
    stories: list[Story] = []
    troubles: list[Trouble] = []
    for path in paths:
        try:
            stories.append(load(path))
        except BadScenario as bad:
            troubles += bad.troubles
    if troubles:
        raise BadScenario(*troubles)
    return stories
