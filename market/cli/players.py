"""Playing runs in processes of their own: each takes one run after the other, until none is left.

The processes are in a session of their own, so that an interrupt of the terminal reaches this one
alone. One that dies takes only its run with it.
"""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, Self

import anyio
import msgspec
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from scenarios.engine.deciding import installed_paths
from scenarios.engine.outcomes import Outcome
from scenarios.engine.overriding import Override

STOP: Final = b"stop\n"
"""What ends the run that a process plays, with what there is."""

_PROGRAM: Final = "market.cli.player"
_MAX_ANSWER: Final = 64 * 1024 * 1024
_GONE: Final = (
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
    anyio.IncompleteRead,
)


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be played, in the folder ``run`` of the sweep's ``folder``.

    The text of ``scenario``, a file, has the SHA-256 ``digest``.
    """

    scenario: str
    digest: str
    overrides: tuple[Override, ...]
    scale: str | None
    seed: int
    folder: str
    run: str

    @property
    def place(self) -> Path:
        """The folder of the run."""
        return Path(self.folder) / self.run


class Board(Protocol):
    """Hears what becomes of the runs."""

    def began(self, task: Task) -> None:
        """A process plays it."""

    def ended(self, task: Task, outcome: Outcome) -> None:
        """It is over, and has left its outcome."""

    def died(self, task: Task, how: str) -> None:
        """Its process is gone, and it is not over."""


class Player:
    """A process that plays one run at a time."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._told = process.stdin
        self._answers = BufferedByteReceiveStream(process.stdout)

    @classmethod
    async def start(cls) -> Self:
        """Start a process that imports from where this one does, but for the story's folder."""
        paths = os.pathsep.join(installed_paths())
        process = await anyio.open_process(
            [sys.executable, "-P", "-m", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,
        )
        return cls(process)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._process.aclose()

    async def play(self, task: Task) -> Outcome | None:
        """Have a run played and return its outcome; None if the process died over it."""
        try:
            await self._told.send(msgspec.json.encode(task) + b"\n")
            answer = await self._answers.receive_until(b"\n", _MAX_ANSWER)
        except _GONE:
            return None
        return msgspec.json.decode(answer, type=Outcome)

    async def stop(self) -> None:
        """End the run that is being played with what there is; it still has an outcome."""
        # If it has died meanwhile, whoever waits for its answer says so.
        with suppress(*_GONE):
            await self._told.send(STOP)

    async def end(self) -> str:
        """Wait until a process that died is gone; return how it ended."""
        code = await self._process.wait()
        if code >= 0:
            return f"its process ended with exit code {code}"
        return f"its process was killed by {signal.Signals(-code).name}"


class Players:
    """As many processes as may play at a time, and what is left for them."""

    def __init__(self, tasks: Sequence[Task], jobs: int, board: Board) -> None:
        self.is_stopped = False
        self.is_aborted = False
        self._waiting = deque(tasks)
        self._jobs = min(jobs, len(tasks))
        self._board = board
        self._playing: set[Player] = set()

    async def play(self) -> None:
        """Play everything. An interrupt stops it: what is being played ends with what there is.

        A second one aborts it: what is being played is lost.
        """
        async with anyio.create_task_group() as everything:

            async def listen() -> None:
                with anyio.open_signal_receiver(signal.SIGINT) as signals:
                    async for _ in signals:
                        if self.is_stopped:
                            self.is_aborted = True
                            everything.cancel_scope.cancel()
                            return
                        await self._stop()

            everything.start_soon(listen)
            async with anyio.create_task_group() as seats:
                for _ in range(self._jobs):
                    seats.start_soon(self._seat)
            everything.cancel_scope.cancel()

    async def _stop(self) -> None:
        self.is_stopped = True
        self._waiting.clear()
        for player in list(self._playing):
            await player.stop()

    async def _seat(self) -> None:
        """Play one run after the other; a process that dies has a successor."""
        while self._waiting:
            async with await Player.start() as player:
                self._playing.add(player)
                try:
                    while self._waiting and await self._has_played(player):
                        pass
                finally:
                    self._playing.discard(player)

    async def _has_played(self, player: Player) -> bool:
        task = self._waiting.popleft()
        self._board.began(task)
        outcome = await player.play(task)
        if outcome is None:
            self._board.died(task, await player.end())
            return False
        self._board.ended(task, outcome)
        return True
