"""What ``market why`` and ``market export`` share: finding a run's facts."""

import shlex
from pathlib import Path
from typing import Final

import click
from adbc_driver_manager import ProgrammingError

from market.analytics import NoFacts, UnknownSeller
from market.analytics.parts import NOTE
from market.cli.failures import USAGE, Explained, Failure, Report, explain
from market.cli.output import second
from market.cli.played import played_at
from market.report.runs import RUN_FILE, SINGLE_FILE, SWEEP_FILE, market_of

RUNS: Final = Path("runs")
_PLAYED: Final = (RUN_FILE, SINGLE_FILE, SWEEP_FILE, "market.db", NOTE)
_LACKING: Final = ("no such column", "no such table", "does not exist")
"""What databases say of a statement that asks for more than they have."""


@explain.register
def _(error: NoFacts) -> Explained:
    title = "There is nothing to analyse"
    return Explained([Report("no_facts", title, str(error), "", "")], USAGE)


@explain.register
def _(error: UnknownSeller) -> Explained:
    title = "No seller goes by that name"
    return Explained([Report("unknown_seller", title, str(error), "", "")], USAGE)


@explain.register
def _(error: ProgrammingError) -> Explained | None:
    if not any(words in str(error) for words in _LACKING):
        return None
    detail = "the store was made by another version of this program, and lacks a table or a column"
    title, hint = "The store is of another version", "market migrate --home FOLDER"
    return Explained([Report("old_store", title, detail, hint, "")], USAGE)


def place_of(run: str | None) -> str:
    """Return the run, store or export that is asked about: else what was played last, and say so.

    Raises:
        Failure: there is no run yet, or none in that folder.
    """
    if run is not None:
        if "://" not in run and not Path(run).exists():
            raise Failure(f"{run} does not exist", code="no_run", hint="market runs list")
        return run
    runs = [path for path in RUNS.glob("*") if _is_played(path)]
    if not runs:
        raise Failure(
            "no run was named, and there is none in runs/",
            code="no_run",
            hint="--run DIR; make one with: market run SCENARIO",
        )
    newest = max(runs, key=played_at)
    click.echo(f"About {newest}, played last ({second(played_at(newest))} UTC)", err=True)
    return str(newest)


def run_at(run: str | None) -> str:
    """Return the one run, store or export that is asked about, as ``place_of`` does.

    Raises:
        Failure: there is none, or it is a sweep.
    """
    place = place_of(run)
    if "://" not in place and (Path(place) / SWEEP_FILE).is_file():
        first = shlex.quote(market_of(place))
        raise Failure(f"{place} is a sweep: name one of its runs", code="many_runs", hint=first)
    return place


def _is_played(folder: Path) -> bool:
    """Whether a folder holds a run, a sweep, a store or an export."""
    return any((folder / name).is_file() for name in _PLAYED)
