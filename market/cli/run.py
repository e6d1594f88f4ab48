"""``market run``: play scenarios and judge them."""

import os
import shlex
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import rich_click as click
from click import get_current_context
from click.core import ParameterSource
from msgspec.structs import replace

from market.cli.failures import reported, say_reports
from market.cli.options import json_option
from market.cli.output import emit, hint, say
from market.cli.playing import reports_of, stage_all
from market.cli.report import print_report
from market.cli.single import play_single, resume_single, resuming
from market.cli.sweep import begin, play_sweep, story_of
from market.cli.sweepoptions import sweep_options
from market.cli.sweepreport import print_sweep
from scenarios.engine import Story
from scenarios.engine.outcomes import SweepResult, worst
from scenarios.engine.result import RunResult
from scenarios.engine.sweepfiles import read_single
from scenarios.engine.sweeping import Options, is_single, read_options, typed
from scenarios.engine.worlds import is_simulated


@click.command()
@click.argument("scenarios", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="In place of the scenario's own.")
@sweep_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where the run's folder goes.",
)
@click.option("--keep/--no-keep", default=True, help="Whether anything stays of the run.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    help="Runs of a sweep at a time.  [default: one for each processor in virtual time, else 1]",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Play what was broken off of the sweep or the run in this folder.",
)
@click.option("--quiet", "-q", is_flag=True, help="No timeline.")
@click.option("--journeys", "every_journey", is_flag=True, help="Tell every one of many journeys.")
@json_option
@reported
def run(
    scenarios: tuple[Path, ...],
    seed: int | None,
    replicas: int | None,
    sets: tuple[str, ...],
    matrix: tuple[str, ...],
    scale: str | None,
    out: Path,
    keep: bool,
    jobs: int | None,
    resume: Path | None,
    quiet: bool,
    every_journey: bool,
    as_json: bool,
) -> None:
    """Play SCENARIOS on a real market, and hold their expectations against what happened.

    Every run ends with an audit of its ledger, logs and receipts. Exit code 1: an expectation
    failed; 2: the story is wrong, or tested nothing; 5: the market broke one of its laws. With
    replicas or a matrix it is a sweep: one folder with one for each run in it, and a table at the
    end.
    """
    options = read_options(seed=seed, replicas=replicas, sets=sets, matrix=matrix, scale=scale)
    results: list[RunResult | SweepResult] = []
    if resume is not None:
        results.append(_go_on(resume, scenarios, options, jobs, is_quiet=quiet, as_json=as_json))
    elif not scenarios:
        raise click.UsageError("Missing argument 'SCENARIOS...'.")
    for stories in stage_all(scenarios, options) if resume is None else ():
        if is_single(options, stories[0].scenario):
            single = play_single(stories[0], options, out if keep else None, is_quiet=quiet)
            results.append(single)
            _tell(single, stories[0].place, options, is_kept=keep, as_json=as_json)
        else:
            place = out if keep else None
            results.append(_sweep(place, stories, options, jobs, is_quiet=quiet, as_json=as_json))
        if results[-1].is_interrupted:
            break
    if as_json:
        emit(results[0] if len(results) == 1 else results)
    sys.exit(worst([result.exit_code for result in results]))


def _tell(
    result: RunResult, scenario: str, options: Options, *, is_kept: bool, as_json: bool
) -> None:
    """Say what a run came to, what was wrong with its story, and what can be done next."""
    if not as_json:
        print_report(result, every_journey=get_current_context().params["every_journey"])
        say()
    if result.troubles:
        say_reports(reports_of(result.troubles), as_json=as_json)
    if not as_json:
        _hint(result, scenario, options, is_kept=is_kept)


def _hint(result: RunResult, scenario: str, options: Options, *, is_kept: bool) -> None:
    if result.is_interrupted and is_kept:
        hint(resuming(result.folder))
    sellers = sorted({order.seller for one in result.journeys for order in one.orders})
    if is_kept:
        receipts = [
            receipt
            for journey in result.journeys
            for order in journey.orders
            for receipt in order.receipt_ids
        ]
        if sellers:
            hint(f"market why --seller {sellers[0]} --run {shlex.quote(result.folder)}")
        if receipts:
            hint(shlex.join(["market", "verify", f"{result.folder}/receipts/{receipts[0]}.jws"]))
    played = shlex.join([scenario, *typed(replace(options, seed=result.seed))])
    hint(f"market run {played}", carry=["--out"])


def _sweep(
    out: Path | None,
    stories: list[Story],
    options: Options,
    jobs: int | None,
    *,
    is_quiet: bool,
    as_json: bool,
) -> SweepResult:
    """Play a new sweep, in a folder under ``out``; without, nothing stays."""
    with ExitStack() as stack:
        is_kept = out is not None
        if out is None:
            out = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="market-run-")))
        folder = begin(out, stories, options)
        return _told(folder, stories[0], jobs, is_kept=is_kept, is_quiet=is_quiet, as_json=as_json)


def _go_on(
    folder: Path,
    scenarios: tuple[Path, ...],
    options: Options,
    jobs: int | None,
    *,
    is_quiet: bool,
    as_json: bool,
) -> RunResult | SweepResult:
    """Play what is left of a sweep that was broken off, or a run that was, anew."""
    context = get_current_context()
    if len(scenarios) > 1:
        raise click.UsageError("--resume goes on with one scenario.")
    for name in ("out", "keep"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} does not go with --resume.")
    given = scenarios[0] if scenarios else None
    if (single := read_single(folder)) is not None:
        result = resume_single(folder, given, options, is_quiet=is_quiet)
        scenario = str(given or single.scenario)
        _tell(result, scenario, single.options, is_kept=True, as_json=as_json)
        return result
    story = story_of(folder, given, options)
    return _told(folder, story, jobs, is_kept=True, is_quiet=is_quiet, as_json=as_json)


def _told(
    folder: Path, story: Story, jobs: int | None, *, is_kept: bool, is_quiet: bool, as_json: bool
) -> SweepResult:
    """Play what is left of a sweep, and say what came of it."""
    if jobs is None:
        jobs = len(os.sched_getaffinity(0)) if is_simulated(story.scenario) else 1
    try:
        result = play_sweep(folder, scenario=story.place, jobs=jobs, is_quiet=is_quiet)
    except KeyboardInterrupt:
        if is_kept:
            hint(resuming(folder), carry=["--jobs"])
        raise
    if not as_json:
        print_sweep(result)
    if result.is_partial and is_kept:
        hint(resuming(folder), carry=["--jobs"])
    elif not as_json:
        hint(_one_of(result, story))
    return result


def _one_of(result: SweepResult, story: Story) -> str:
    """Return the command that plays one run of a sweep alone: one that went wrong, if any did."""
    runs = [(cell, one) for cell in result.cells for one in cell.replicas]
    wrong = (pair for pair in runs if pair[1].outcome and pair[1].outcome.exit_code)
    cell, run = next(wrong, runs[0])
    sets = [f"{path}={value}" for path, value in cell.overrides.items()]
    values = [*result.options.sets, *read_options(sets=sets).sets]
    options = Options(seed=run.seed, sets=tuple(values), scale=result.options.scale, replicas=1)
    return shlex.join(["market", "run", story.place, *typed(options)])
