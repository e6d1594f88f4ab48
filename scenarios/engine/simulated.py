"""Simulated time: an event loop whose clock moves only when there is nothing else to do.

A story on the simulated clock runs in one thread, with real sockets. Whenever everybody waits,
the clock jumps to the next moment that somebody waits for: a day passes in as long as its work
takes. Nothing races: what is written to a local socket can be read at once, what would compute in
a thread is called, and the market's store commits in the loop's own thread. So the same story
goes the same way every time.
"""

import asyncio
import selectors
import time
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

BEGIN: Final = datetime(2030, 1, 1, tzinfo=UTC)
"""The moment at which every simulated market opens."""

_LISTEN_SECONDS: Final = 0.05


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, which begins at 0, and without threads.

    With a ``speed`` so many simulated seconds take a real one; without, none takes any.
    """

    def __init__(self, speed: float | None = None) -> None:
        self._now = 0.0
        self._speed = speed
        super().__init__(_Selector(self._skip))

    def time(self) -> float:
        """Return the simulated seconds that have passed."""
        return self._now

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Call at once what would compute in a thread."""
        answer = self.create_future()
        try:
            answer.set_result(func(*args))
        except Exception as error:
            answer.set_exception(error)
        return answer

    def _skip(self, seconds: float) -> None:
        if self._speed is not None:
            time.sleep(seconds / self._speed)
        self._now += seconds


class SimulatedClock:
    """The market's clock in simulated time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        """Return the present moment, from ``BEGIN`` on."""
        return BEGIN + timedelta(seconds=self._loop.time())


class _Selector(selectors.DefaultSelector):
    """Finds what can be read or written; instead of waiting for it, lets time pass.

    Of several it names first what was registered first: the kernel's order depends on who wrote
    first, and among those that are told of one thing together nothing says who that is.
    """

    def __init__(self, skip: Callable[[float], None]) -> None:
        super().__init__()
        self._skip = skip
        self._ranks: dict[int, int] = {}
        self._registered = count()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Watch a file, behind all that are watched already."""
        key = super().register(fileobj, events, data)
        self._ranks[key.fd] = next(self._registered)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready. If nothing is, and somebody waits for a moment, it is come."""
        found = super().select(0)
        if found or timeout == 0:
            return sorted(found, key=lambda one: self._ranks[one[0].fd])
        if timeout is None:
            # Nobody waits for a moment: nothing but a signal can happen.
            return super().select(_LISTEN_SECONDS)
        self._skip(timeout)
        return found
