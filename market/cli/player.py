"""A process that plays the runs of a sweep that it is told to: ``python -m market.cli.player``.

It reads tasks from its standard input, a JSON object a line, and answers each with its outcome.
It ends when nobody is at the other end any more, also in the middle of a run.
"""

import asyncio
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio
import msgspec
import structlog

from market.cli.output import LOG_FILE, logged_in
from market.cli.players import STOP, Task
from scenarios.engine import BadScenario, Story, Trouble
from scenarios.engine.breaks import told
from scenarios.engine.keeping import clear, read_result
from scenarios.engine.outcomes import Outcome, bad_outcome, broken_outcome, outcome_of
from scenarios.engine.play import run
from scenarios.engine.reading import load
from scenarios.engine.result import RunResult
from scenarios.engine.sweepfiles import forget_outcome, keep_outcome
from scenarios.engine.worlds import run_in_world

BUG: Final = "a bug of this program"

log: Final = structlog.get_logger(__name__)


class Desk:
    """Hears, in a thread of its own, what is to be played, and that the run is to be ended."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._is_stopped = False
        self._stop: Callable[[], object] | None = None
        threading.Thread(target=self._listen, daemon=True).start()

    def task(self) -> Task:
        """Return the next run, once there is one."""
        return self._tasks.get()

    @contextmanager
    def telling(self, stop: Callable[[], object]) -> Iterator[None]:
        """Call ``stop`` from the thread if the run is to be ended within the block, or was."""
        with self._lock:
            self._stop = stop
            if self._is_stopped:
                stop()
        try:
            yield
        finally:
            with self._lock:
                self._stop = None

    def _listen(self) -> None:
        # Unbuffered: a process that ends waits for nobody who holds the lock of a buffer.
        with os.fdopen(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as lines:
            for line in lines:
                if line == STOP:
                    self._end()
                else:
                    self._tasks.put(msgspec.json.decode(line, type=Task))
        os._exit(0)

    def _end(self) -> None:
        with self._lock:
            self._is_stopped = True
            if self._stop is not None:
                self._stop()


def main() -> None:
    """Play what the other end asks for, until it is gone."""
    # What a story's own programs print must not stand among the answers.
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    desk = Desk()
    with os.fdopen(answers, "wb", buffering=0) as channel:
        while True:
            task = desk.task()
            channel.write(msgspec.json.encode(_play(task, desk)) + b"\n")


def _play(task: Task, desk: Desk) -> Outcome:
    """Play a run from its beginning, keep what it leaves and its outcome, and return that."""
    folder = task.place
    forget_outcome(folder)
    folder.mkdir(parents=True, exist_ok=True)
    clear(folder)
    try:
        story = load(Path(task.scenario), task.overrides, task.scale)
        if story.digest != task.digest:
            raise BadScenario(Trouble(task.scenario, "it was changed while it was being played"))
        outcome = outcome_of(_run(story, task, desk))
    except BadScenario as error:
        outcome = bad_outcome(error, task.seed, read_result(folder))
    except Exception as error:
        # The edge of the process: the others go on, and none of them has to play this run again.
        outcome = broken_outcome(f"{BUG}: {told(error)} ({LOG_FILE} has all of it)", task.seed)
    keep_outcome(folder, outcome)
    return outcome


def _run(story: Story, task: Task, desk: Desk) -> RunResult:
    with logged_in(task.place):
        try:
            return run_in_world(story.scenario, _until_stopped, story, task, desk)
        except BadScenario:
            raise
        except Exception as error:
            log.error("run.broke", exc_info=error)
            raise


async def _until_stopped(story: Story, task: Task, desk: Desk) -> RunResult:
    stop, loop = anyio.Event(), asyncio.get_running_loop()
    with desk.telling(lambda: loop.call_soon_threadsafe(stop.set)):
        return await run(story, seed=task.seed, folder=task.place, stop=stop)


if __name__ == "__main__":
    main()
