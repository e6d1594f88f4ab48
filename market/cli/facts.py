"""What ``market why`` and ``market export`` share: finding a run's facts."""

from pathlib import Path
from typing import Final

from adbc_driver_manager import ProgrammingError

from market.analytics import NoFacts, UnknownSeller
from market.cli.failures import USAGE, Explained, Failure, Report, explain

RUNS: Final = Path("runs")
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
    """Return the run, store or export that is asked about: without a name, the newest run.

    Raises:
        Failure: there is no run yet.
    """
    if run is not None:
        return run
    runs = [path for path in RUNS.glob("*") if path.is_dir()] if RUNS.is_dir() else []
    if not runs:
        raise Failure(
            "no run was named, and there is none in runs/",
            code="no_run",
            hint="--run DIR; make one with: market run SCENARIO",
        )
    return str(max(runs, key=lambda path: path.stat().st_mtime))
