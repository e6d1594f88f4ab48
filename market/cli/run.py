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

_LOG_FILE: Final = "log.jsonl"


@click.command()
@click.argument(
    "scenarios", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False)
)
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
@json_option
@reported
def run(
    scenarios: tuple[Path, ...],
    seed: int | None,
    out: Path,
    keep: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Play SCENARIOS on a real market, and hold their expectations against what happened.

    Every run ends with an audit of its ledger, logs and receipts. Exit code 1: an expectation
    failed; 5: the market broke one of its laws.
    """
    results = []
    for story in load_all(scenarios):
        result = _play(story, seed, out if keep else None, is_quiet=quiet)
        results.append(result)
        if not as_json:
            print_report(result)
            _next(result, scenarios, is_kept=keep)
        if result.is_interrupted:
            break
    if as_json:
        emit(results[0] if len(results) == 1 else results)
    sys.exit(max(result.exit_code for result in results))


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
        return anyio.run(_until_interrupted, story, seed, folder, progress)


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
