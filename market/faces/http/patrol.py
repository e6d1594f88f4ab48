"""The patrol: ends what takes too long, without a timer for each request or frame.

What begins is noted, with the moment; once a second the oldest notes are looked at. A frame or a
request then costs two entries in a map, where a timeout of its own costs as much as sending it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

TURN_SECONDS: Final = 1.0

Sent = TypeVar("Sent")
Done = TypeVar("Done")


class Patrol:
    """Watches over what one event loop does; nothing takes ``seconds()`` and a second more."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._under_way: dict[asyncio.Task[Any], float] = {}
        self._cut: set[asyncio.Task[Any]] = set()
        self._turn: asyncio.TimerHandle | None = None

    def watch(self, send: Callable[[Sent], Awaitable[None]]) -> Callable[[Sent], Awaitable[None]]:
        """Return ``send`` with an end to waiting for a reader that takes nothing.

        It raises TimeoutError; the reader resumes, when it will, behind the last frame it took.
        """

        async def send_soon(message: Sent) -> None:
            await self.within(send(message))

        return send_soon

    async def within(self, work: Awaitable[Done]) -> Done:
        """Do what does not take too long.

        Raises:
            TimeoutError: it did, and was ended.
        """
        task = self._begin()
        try:
            return await work
        except asyncio.CancelledError:
            if self._was_cut(task):
                raise TimeoutError("it takes too long") from None
            raise
        finally:
            # One that was cut, and ended all the same, was not.
            if self._under_way.pop(task, None) is None:
                self._was_cut(task)

    def _begin(self) -> "asyncio.Task[Any]":
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None, "requests are answered, and frames sent, by tasks"
        self._under_way[task] = time.monotonic()
        if self._turn is None:
            self._turn = loop.call_later(TURN_SECONDS, self._walk, loop)
        return task

    def _walk(self, loop: asyncio.AbstractEventLoop) -> None:
        self._turn = loop.call_later(TURN_SECONDS, self._walk, loop) if self._under_way else None
        oldest = time.monotonic() - self._seconds()
        for task, since in list(self._under_way.items()):
            # Notes stand in the order in which they were made.
            if since > oldest:
                break
            del self._under_way[task]
            self._cut.add(task)
            task.cancel()

    def _was_cut(self, task: "asyncio.Task[Any]") -> bool:
        if task not in self._cut:
            return False
        self._cut.discard(task)
        task.uncancel()
        return True
