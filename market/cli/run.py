"""``market run``: play scenarios and judge them."""

import shlex
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import anyio
import rich_click as click
import structlog

from market.cli.failures import reported
from market.cli.options import json_option
from market.cli.output import emit, hint, log_to, say
from market.cli.playing import load_all
from market.cli.progress import Progress
from market.cli.report import print_report
from scenarios.engine import Story
from scenarios.engine.keeping import new_folder
from scenarios.engine.play import run as play
from scenarios.engine.result import RunResult
from scenarios.engine.worlds import run_in_world

_LOG_FILE: Final = "log.jsonl"


@click.command()
@click.argument("scenarios", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="In place of the scenario's own.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where the run's folder goes.",
)
@click.option("--keep/--no-keep", default=True, help="Whether anything stays of the run.")
@click.option("--quiet", "-q", is_flag=True, help="No timeline.")
@sweep_options
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    help="Runs that are played at a time. [default: one for each processor in virtual time, else 1]",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Play what is left of the sweep in this folder.",
)
@json_option
@reported
def run(
    scenarios: tuple[Path, ...],
    seed: int | None,
    out: Path,
    keep: bool,
    quiet: bool,
    replicas: int | None,
    sets: tuple[str, ...],
    matrix: tuple[str, ...],
    scale: str | None,
    jobs: int | None,
    resume: Path | None,
    as_json: bool,
) -> None:
    """Play SCENARIOS on a real market, and hold their expectations against what happened.

    Every run ends with an audit of its ledger, logs and receipts. Exit code 1: an expectation
    failed; 5: the market broke one of its laws. With replicas or a matrix it is a sweep: one
    folder, in it one for each run, and a table at the end.
    """
    options = read_options(seed=seed, replicas=replicas, sets=sets, matrix=matrix, scale=scale)
    told: list[RunResult | SweepResult] = []
    if resume is not None:
        _refuse_with_resume(scenarios)
        folder, stories = go_on(resume, scenarios[0] if scenarios else None, options)
        told.append(_sweep(folder, stories, jobs, is_quiet=quiet, is_kept=True))
        if not as_json:
            print_sweep(told[0])
        return
    if not scenarios:
        raise click.UsageError("Missing argument 'SCENARIOS...'.")
    for stories in stage_all(scenarios, options):
        pass


def _play(story: Story, seed: int | None, out: Path | None, *, is_quiet: bool) -> RunResult:
    with ExitStack() as stack:
        if out is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="market-run-")))
        else:
            folder = new_folder(out, story.scenario.name)
        log = stack.enter_context((folder / _LOG_FILE).open("w", encoding="utf-8"))
        log_to(log)
        stack.callback(structlog.reset_defaults)
        progress = stack.enter_context(Progress(story.scenario, is_quiet=is_quiet))
        return run_in_world(story.scenario, _until_interrupted, story, seed, folder, progress)


async def _until_interrupted(
    story: Story, seed: int | None, folder: Path, progress: Progress
) -> RunResult:
    """Play a story; the first interrupt ends it with what there is, the second aborts."""
    stop = anyio.Event()

    async def listen() -> None:
        with anyio.open_signal_receiver(signal.SIGINT) as signals:
            async for _ in signals:
                stop.set()
                return

    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        result = await play(story, seed=seed, folder=folder, tell=progress, stop=stop)
        group.cancel_scope.cancel()
    return result


def _next(result: RunResult, scenarios: tuple[Path, ...], *, is_kept: bool) -> None:
    say()
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
    played = shlex.join(map(str, scenarios))
    hint(f"market run {played} --seed {result.seed}", carry=["--out"])
