"""The folders that runs leave behind: finding those of one setting, and what became of each."""

import shlex
from pathlib import Path

import msgspec

from market.analytics.exporting import store_in
from market.analytics.parts import NOTE
from market.cli.facts import RUNS
from market.cli.failures import Failure
from market.cli.played import played_at
from market.report.runs import DONE, RUN_FILE, Run, Sweep, run_in, sweep_in


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One run or sweep as ``market runs list`` tells it.

    ``runs`` were planned, ``done`` played to their end, ``bad`` of them tested nothing and are in
    no other figure; ``passed`` of ``expectations`` were met, in all runs. ``settings`` are the
    combinations of values that were played. ``state`` is passed, failed, bad (no run tested
    anything), broken (a law of the market), interrupted or unknown.
    """

    folder: str
    name: str
    seed: int | None
    runs: int
    done: int
    bad: int
    settings: int
    journeys: int
    passed: int
    expectations: int
    state: str
    played_at: str


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is compared with nothing, as it tested nothing; ``detail`` says what."""

    folder: str
    detail: str


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """One run that can be compared: where its facts are, and its seed, if it says so."""

    folder: str
    seed: int | None


def kept_in(parent: Path) -> list[Kept]:
    """Return the runs and sweeps in a folder, newest first; what is neither is left out."""
    folders = [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    folders.sort(key=lambda path: (played_at(path), path.name), reverse=True)
    return [kept for path in folders if (kept := _kept(path)) is not None]


def replicas_at(place: str) -> list[Played]:
    """Return the runs of one setting: of a run itself, of a cell of a sweep, or of a whole sweep.

    ``place`` is a folder, or the name of one in ``runs/``. Runs of a sweep that tested nothing are
    left out (``left_out_at``).

    Raises:
        Failure: there is none, or it is a sweep of several settings.
    """
    folder = _folder_at(place)
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
    bad = {one.folder: one.detail for one in left_out_at(place)}
    kept = [path for path in found if str(path) not in bad]
    if not kept:
        raise _nothing_tested(place, list(bad.values()))
    return [_played(path) for path in kept]


def left_out_at(place: str) -> list[LeftOut]:
    """Return those runs at a place that tested nothing, as their sweep or they themselves say."""
    folder = _folder_at(place)
    # A sweep, one of its cells, or one of the runs in that.
    for home in (folder, folder.parent, folder.parent.parent):
        sweep = _sweep_at(home)
        if sweep is not None:
            bad = sweep.bad(sweep.runs).items()
            every = [LeftOut(folder=str(home / run), detail=detail) for run, detail in bad]
            return [one for one in every if Path(one.folder).is_relative_to(folder)]
    why = run.untested() if (run := _run_at(folder)) else ""
    return [LeftOut(folder=str(folder), detail=why)] if why else []


def _folder_at(place: str) -> Path:
    return Path(place) if Path(place).exists() else RUNS / place


def _nothing_tested(place: object, details: list[str]) -> Failure:
    why = next((f": {detail}" for detail in details if detail), "")
    what = "it tested nothing" if len(details) == 1 else f"its {len(details)} runs tested nothing"
    return Failure(f"nothing of {place} can be compared: {what}{why}", code="no_run")


def _of_sweep(folder: Path, sweep: Sweep) -> list[Played]:
    if len(sweep.cells) > 1:
        cells = sorted({str(folder / one.folder.partition("/")[0]) for one in sweep.runs})
        raise Failure(
            f"{folder} is a sweep of {len(cells)} settings; name one of its cells",
            code="many_settings",
            hint=shlex.join(["market", "runs", "diff", *cells[:2]]),
        )
    done = [one for one in sweep.runs if sweep.is_done(one)]
    if not done and (bad := sweep.bad(sweep.runs)) and not sweep.left:
        raise _nothing_tested(folder, list(bad.values()))
    if not done:
        raise Failure(f"no run of {folder} is over", code="no_run")
    return [Played(folder=str(folder / one.folder), seed=one.seed) for one in done]


def _played(folder: Path) -> Played:
    run = _run_at(folder)
    return Played(folder=str(folder), seed=run.seed if run else None)


def _kept(folder: Path) -> Kept | None:
    moment = played_at(folder)
    sweep = _sweep_at(folder)
    if sweep is not None:
        outcomes = sweep.outcomes.values()
        done = [one for one in outcomes if one.state == DONE]
        bad = sweep.bad(sweep.runs)
        checks = [check.status for one in done for check in one.expectations]
        state = "bad" if bad and not done else _state(checks)
        return Kept(
            folder=str(folder),
            name=sweep.name,
            seed=sweep.runs[0].seed if sweep.runs else None,
            runs=len(sweep.runs),
            done=len(done),
            bad=len(bad),
            settings=len(sweep.cells),
            journeys=sum(sum(one.journeys.values()) for one in done),
            passed=checks.count("passed"),
            expectations=len(checks),
            state="interrupted" if sweep.left else state,
            played_at=moment,
        )
    run = _run_at(folder)
    if run is None:
        return None
    checks = [check.status for check in run.expectations]
    is_bad = _is_bad(folder) and not (run.findings or run.is_interrupted)
    state = "bad" if is_bad else _state(checks, is_interrupted=run.is_interrupted)
    return Kept(
        folder=str(folder),
        name=run.name,
        seed=run.seed,
        runs=1,
        done=int(not (run.is_interrupted or is_bad)),
        bad=int(is_bad),
        settings=1,
        journeys=len(run.journeys),
        passed=checks.count("passed"),
        expectations=len(checks),
        state="broken" if run.findings else state,
        played_at=moment,
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


class _Troubled(msgspec.Struct, frozen=True):
    """What a run's result tells of its story."""

    troubles: list[msgspec.Raw] = []


def _is_bad(folder: Path) -> bool:
    """Whether a run that was played tested nothing, or code of its story's own broke."""
    written = (folder / RUN_FILE).read_bytes()
    return bool(msgspec.json.decode(written, type=_Troubled).troubles)


def _sweep_at(folder: Path) -> Sweep | None:
    try:
        return sweep_in(str(folder))
    except msgspec.DecodeError:
        return None
