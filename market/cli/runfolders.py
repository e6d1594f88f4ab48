"""The folders that runs leave behind: finding those of one setting, and what became of each."""

import shlex
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from market.analytics.exporting import store_in
from market.analytics.parts import NOTE
from market.base.clock import rfc3339
from market.cli.facts import RUNS
from market.cli.failures import Failure
from market.report.runs import DONE, RUN_FILE, Run, Sweep, run_in, sweep_in


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One run or sweep as ``market runs list`` tells it.

    ``runs`` were planned, ``done`` played to their end; ``passed`` of ``expectations`` were met, in
    all runs. ``state`` is passed, failed, broken (a law of the market), interrupted or unknown.
    """

    folder: str
    name: str
    seed: int | None
    runs: int
    done: int
    journeys: int
    passed: int
    expectations: int
    state: str
    changed_at: str


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """One run that can be compared: where its facts are, and its seed, if it says so."""

    folder: str
    seed: int | None


def kept_in(parent: Path) -> list[Kept]:
    """Return the runs and sweeps in a folder, newest first; what is neither is left out."""
    folders = [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    folders.sort(key=lambda path: (path.stat().st_mtime, path.name), reverse=True)
    return [kept for path in folders if (kept := _kept(path)) is not None]


def replicas_at(place: str) -> list[Played]:
    """Return the runs of one setting: of a run itself, of a cell of a sweep, or of a whole sweep.

    ``place`` is a folder, or the name of one in ``runs/``.

    Raises:
        Failure: there is none, or it is a sweep of several settings.
    """
    folder = Path(place) if Path(place).exists() else RUNS / place
    sweep = _sweep_at(folder)
    if sweep is not None:
        return _of_sweep(folder, sweep)
    if not folder.is_dir():
        found = [folder] if folder.is_file() else []
    elif any((folder / name).exists() for name in (RUN_FILE, NOTE, store_in(folder).name)):
        found = [folder]
    else:
        # Of a cell that is not over, those that are.
        found = sorted(
            (path for path in folder.iterdir() if (path / RUN_FILE).is_file()),
            key=lambda path: (len(path.name), path.name),
        )
    if not found:
        raise Failure(f"there is no run in {place}", code="no_run", hint="market runs list")
    return [_played(path) for path in found]


def _of_sweep(folder: Path, sweep: Sweep) -> list[Played]:
    if len(sweep.cells) > 1:
        cells = sorted({str(folder / one.folder.partition("/")[0]) for one in sweep.runs})
        raise Failure(
            f"{folder} is a sweep of {len(cells)} settings; name one of its cells",
            code="many_settings",
            hint=shlex.join(["market", "runs", "diff", *cells[:2]]),
        )
    done = [one for one in sweep.runs if sweep.is_done(one)]
    if not done:
        raise Failure(f"no run of {folder} is over", code="no_run")
    return [Played(folder=str(folder / one.folder), seed=one.seed) for one in done]


def _played(folder: Path) -> Played:
    run = _run_at(folder)
    return Played(folder=str(folder), seed=run.seed if run else None)


def _kept(folder: Path) -> Kept | None:
    changed_at = rfc3339(datetime.fromtimestamp(folder.stat().st_mtime, UTC))
    sweep = _sweep_at(folder)
    if sweep is not None:
        outcomes = sweep.outcomes.values()
        done = [one for one in outcomes if one.state == DONE]
        checks = [check.status for one in done for check in one.expectations]
        return Kept(
            folder=str(folder),
            name=sweep.name,
            seed=sweep.runs[0].seed if sweep.runs else None,
            runs=len(sweep.runs),
            done=len(done),
            journeys=sum(sum(one.journeys.values()) for one in done),
            passed=checks.count("passed"),
            expectations=len(checks),
            state="interrupted" if sweep.left else _state(checks),
            changed_at=changed_at,
        )
    run = _run_at(folder)
    if run is None:
        return None
    checks = [check.status for check in run.expectations]
    return Kept(
        folder=str(folder),
        name=run.name,
        seed=run.seed,
        runs=1,
        done=int(not run.is_interrupted),
        journeys=len(run.journeys),
        passed=checks.count("passed"),
        expectations=len(checks),
        state="broken" if run.findings else _state(checks, is_interrupted=run.is_interrupted),
        changed_at=changed_at,
    )


def _state(checks: list[str], *, is_interrupted: bool = False) -> str:
    if is_interrupted:
        return "interrupted"
    return "failed" if "failed" in checks else "passed"


def _run_at(folder: Path) -> Run | None:
    """Return what a run says of itself; None if it says nothing that can be read."""
    try:
        return run_in(str(folder))
    except msgspec.DecodeError:
        return None


def _sweep_at(folder: Path) -> Sweep | None:
    try:
        return sweep_in(str(folder))
    except msgspec.DecodeError:
        return None
