"""Playing a sweep: its folder, its runs in processes, and going on with one that was broken off."""

from collections.abc import Sequence
from pathlib import Path

import anyio
from msgspec.structs import replace

from market.cli.failures import USAGE, Explained, Failure, Report, explain
from market.cli.played import now
from market.cli.players import Players, Task
from market.cli.playing import stage_all
from market.cli.sweepprogress import SweepProgress
from scenarios.engine import Story
from scenarios.engine.keeping import new_folder
from scenarios.engine.outcomes import Outcome, SweepResult, result_of
from scenarios.engine.reading import digest_of
from scenarios.engine.sweepfiles import BadSweep, held, keep_sweep, read_outcome, read_sweep
from scenarios.engine.sweeping import Options, State, Sweep, changes, combinations, plan


@explain.register
def _(error: BadSweep) -> Explained:
    hint = "--resume takes the folder of a run or a sweep, such as runs/NAME-1"
    report = Report("bad_sweep", "It cannot be gone on with", str(error), hint, "")
    return Explained([report], USAGE)


def begin(parent: Path, stories: Sequence[Story], options: Options) -> Path:
    """Make the folder of a new sweep, whose cells are ``stories``, and return it."""
    sweep = _plan(stories, options)
    folder = new_folder(parent, sweep.name)
    keep_sweep(folder, sweep)
    return folder


def story_of(folder: Path, given: Path | None, options: Options) -> Story:
    """Return the story of a sweep that is to be gone on with: that of its first cell.

    It is read from where it was, or from the file that is ``given``. ``options`` are those that
    were given again.

    Raises:
        BadSweep: there is none in the folder.
        Failure: the scenario or an option has changed since, or this program plans otherwise.
    """
    sweep = read_sweep(folder)
    path = given or Path(sweep.scenario)
    found = changes(sweep, options, digest_of(path))
    if not found:
        [stories] = stage_all((path,), sweep.options)
        planned = replace(_plan(stories, sweep.options), scenario=sweep.scenario)
        if planned == sweep.anew():
            return stories[0]
        found = ["this version of the program plans it otherwise"]
    raise Failure(
        f"{folder} cannot be gone on with: {'; '.join(found)}",
        code="sweep_changed",
        hint="without --resume it is played anew",
    )


def _plan(stories: Sequence[Story], options: Options) -> Sweep:
    first = stories[0]
    scenarios = [story.scenario for story in stories]
    return plan(scenarios, options, scenario=first.place, digest=first.digest)


def play_sweep(folder: Path, *, scenario: str, jobs: int, is_quiet: bool) -> SweepResult:
    """Play what is left of the sweep in a folder, and return what all of it came to.

    Raises:
        BadSweep: it is being played already.
        KeyboardInterrupt: it was interrupted twice; what was over is kept.
    """
    with held(folder):
        stage = Stage(folder, scenario=scenario, is_quiet=is_quiet)
        players = Players(stage.tasks(), jobs, stage)
        with stage.progress:
            try:
                anyio.run(players.play)
            finally:
                stage.close()
        if players.is_aborted:
            raise KeyboardInterrupt
        return result_of(stage.sweep, stage.outcomes, folder, is_interrupted=players.is_stopped)


class Stage:
    """A sweep while it is played: every change of a run's state is on disk before the next."""

    def __init__(self, folder: Path, *, scenario: str, is_quiet: bool) -> None:
        sweep = replace(read_sweep(folder), scenario=scenario)
        kept = {
            one.folder: outcome
            for _, one in sweep.runs()
            if (outcome := read_outcome(folder / one.folder, one.seed))
        }
        self.folder = folder
        self.outcomes: dict[str, Outcome] = kept
        self.sweep = sweep.found({run: (one.state, one.detail) for run, one in kept.items()})
        self.progress = SweepProgress(self.sweep, is_quiet=is_quiet)
        keep_sweep(folder, self.sweep)

    def tasks(self) -> list[Task]:
        """Return what is left to be played."""
        cells = combinations(self.sweep.options)
        return [
            Task(
                scenario=self.sweep.scenario,
                digest=self.sweep.digest,
                overrides=(*self.sweep.options.sets, *cells[cell.number - 1]),
                scale=self.sweep.options.scale,
                seed=replica.seed,
                folder=str(self.folder),
                run=replica.folder,
            )
            for cell, replica in self.sweep.left()
        ]

    def began(self, task: Task) -> None:
        """Note that a run is being played; what it left before is no longer true."""
        self.outcomes.pop(task.run, None)
        self._move(task.run, "playing")
        self.progress.began()

    def ended(self, task: Task, outcome: Outcome) -> None:
        """Note the outcome of a run."""
        self.outcomes[task.run] = outcome
        self._move(task.run, outcome.state, outcome.detail)
        self.progress.ended(task.run, outcome)

    def died(self, task: Task, how: str) -> None:
        """Note that the process of a run is gone."""
        self._move(task.run, "died", how)
        self.progress.died(task.run, how)

    def close(self) -> None:
        """Note of what is still being played that it was broken off."""
        for _, replica in self.sweep.runs():
            if replica.state == "playing":
                self._move(replica.folder, "interrupted")

    def _move(self, run: str, state: State, detail: str = "") -> None:
        self.sweep = replace(self.sweep.moved(run, state, detail), played_at=now())
        keep_sweep(self.folder, self.sweep)
