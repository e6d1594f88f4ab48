"""Playing one story once, in a folder of its own, and playing anew one that was broken off."""

import shlex
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
from msgspec.structs import replace

from market.cli.failures import Failure
from market.cli.output import hint, logged_in
from market.cli.played import now
from market.cli.playing import stage_all
from market.cli.progress import Progress
from scenarios.engine import BadScenario, Story
from scenarios.engine.keeping import clear, new_folder, read_result
from scenarios.engine.play import run as play
from scenarios.engine.reading import digest_of
from scenarios.engine.result import RunResult
from scenarios.engine.sweepfiles import held, keep_single, read_single
from scenarios.engine.sweeping import Options, Single, changes
from scenarios.engine.worlds import run_in_world


def play_single(story: Story, options: Options, out: Path | None, *, is_quiet: bool) -> RunResult:
    """Play a story in a new folder under ``out``; without, nothing stays."""
    with ExitStack() as stack:
        if out is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="market-run-")))
        else:
            folder = new_folder(out, story.scenario.name)
        stack.enter_context(held(folder))
        if out is not None:
            stack.enter_context(_resumable(folder))
        single = Single(scenario=story.place, digest=story.digest, options=options)
        return _play(folder, story, single, is_quiet=is_quiet)


def resume_single(
    folder: Path, given: Path | None, options: Options, *, is_quiet: bool
) -> RunResult:
    """Play the run in a folder anew if it was broken off, and return what it came to.

    The story is read from where it was, or from the file that is ``given``. ``options`` are those
    that were given again.

    Raises:
        BadSweep: it is being played.
        Failure: the scenario or an option has changed since.
    """
    with held(folder), _resumable(folder):
        single = read_single(folder)
        assert single is not None, "the folder holds a run"
        path = given or Path(single.scenario)
        if found := changes(single, options, digest_of(path)):
            raise Failure(
                f"{folder} cannot be gone on with: {'; '.join(found)}",
                code="run_changed",
                hint="without --resume it is played anew",
            )
        if single.is_over and (result := read_result(folder)):
            return result
        [[story]] = stage_all((path,), single.options)
        clear(folder)
        return _play(folder, story, single, is_quiet=is_quiet)


def resuming(folder: Path | str) -> str:
    """Return the command that plays what was broken off in a folder."""
    return shlex.join(["market", "run", "--resume", str(folder)])


@contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    """Say how to play a run anew that is aborted within the block."""
    try:
        yield
    except KeyboardInterrupt:
        hint(resuming(folder))
        raise


def _play(folder: Path, story: Story, single: Single, *, is_quiet: bool) -> RunResult:
    """Play a story in a folder; a note says which, and, at the end, that it is over."""
    keep_single(folder, replace(single, is_over=False, played_at=now()))
    with logged_in(folder), Progress(story.scenario, is_quiet=is_quiet) as progress:
        result = run_in_world(
            story.scenario, _until_interrupted, story, single.options.seed, folder, progress
        )
    if not result.is_interrupted:
        keep_single(folder, replace(single, is_over=True, played_at=now()))
    return result


async def _until_interrupted(
    story: Story, seed: int | None, folder: Path, progress: Progress
) -> RunResult:
    """Play a story; the first interrupt ends it with what there is, the second aborts.

    A story that was played, and tested nothing, has a result that says so.

    Raises:
        BadScenario: it cannot be played.
        KeyboardInterrupt: it was aborted.
    """
    stop = anyio.Event()
    result: RunResult | None = None

    async def listen() -> None:
        # An interrupt is heard here alone: raised wherever the program is, a handler of the
        # market might take it for a mistake of its own.
        with anyio.open_signal_receiver(signal.SIGINT) as signals:
            async for _ in signals:
                if stop.is_set():
                    group.cancel_scope.cancel()
                stop.set()

    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        try:
            result = await play(story, seed=seed, folder=folder, tell=progress, stop=stop)
        except BadScenario:
            if (result := read_result(folder)) is None:
                raise
        group.cancel_scope.cancel()
    if result is None:
        raise KeyboardInterrupt
    return result
