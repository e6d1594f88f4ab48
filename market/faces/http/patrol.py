"""The patrol: cuts live streams whose reader takes nothing, without a timer for each frame.

What is being sent is noted, with the moment at which it began; once a second the oldest notes are
looked at. A frame then costs two entries in a map, where a timeout of its own costs as much as
sending it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from market.faces.http import limits

TURN_SECONDS: Final = 1.0

Sent = TypeVar("Sent")


class Patrol:
    """Watches what one event loop sends."""

    def __init__(self) -> None:
        self._sending: dict[asyncio.Task[Any], float] = {}
        self._cut: set[asyncio.Task[Any]] = set()
        self._turn: asyncio.TimerHandle | None = None

    def watch(self, send: Callable[[Sent], Awaitable[None]]) -> Callable[[Sent], Awaitable[None]]:
        """Return ``send`` with an end to waiting for a reader that takes nothing.

        It raises TimeoutError after ``limits.STALL_SECONDS`` to a second more; the reader
        resumes, when it will, behind the last frame it took.
        """

        async def send_soon(message: Sent) -> None:
            task = self._begin()
            try:
                await send(message)
            except asyncio.CancelledError:
                if self._was_cut(task):
                    raise TimeoutError("the reader takes nothing") from None
                raise
            finally:
                self._sending.pop(task, None)

        return send_soon

    def _begin(self) -> "asyncio.Task[Any]":
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None, "frames are sent by tasks"
        self._sending[task] = loop.time()
        if self._turn is None:
            self._turn = loop.call_later(TURN_SECONDS, self._walk, loop)
        return task

    def _walk(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turn = loop.call_later(TURN_SECONDS, self._walk, loop) if self._sending else None
        oldest = loop.time() - limits.STALL_SECONDS
        for task, since in list(self._sending.items()):
            # Notes stand in the order in which they were made.
            if since > oldest:
                break
            del self._sending[task]
            self._cut.add(task)
            task.cancel()

    def _was_cut(self, task: "asyncio.Task[Any]") -> bool:
        if task not in self._cut:
            return False
        self._cut.discard(task)
        task.uncancel()
        return True
