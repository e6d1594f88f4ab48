"""The appender: what arrives for one stream while its last write is under way goes into one.

A busy stream then costs its rows' reading and moving once for many requests, and nobody waits
longer than for the write before. What is held in memory meanwhile is bounded.
"""

import asyncio
from typing import Final

from market import rawstreams
from market.base.store import Store
from market.faces.http.held import Lease
from market.rawstreams import Append, Appended

MAX_BATCH: Final = 200
"""Requests in one unit of work, at most."""

MAX_BATCH_BYTES: Final = 4 * 1024 * 1024
"""Bytes in one unit of work, or a single request with more."""

_Waiting = tuple[Append, "asyncio.Future[Appended]", Lease]


class Appender:
    """Writes to raw streams. One event loop uses it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lines: dict[str, list[_Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def append(self, path: str, request: Append, lease: Lease) -> Appended:
        """Append to a stream; when this returns, the content is on disk.

        ``lease`` holds the content; it ends here, also for a request whose client has left.

        Raises:
            MarketError: it is refused, and changes nothing.
        """
        future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        waiting = (request, future, lease)
        line = self._lines.get(path)
        if line is not None:
            line.append(waiting)
        else:
            self._lines[path] = []
            self._start(path, [waiting])
        return await future

    def _start(self, path: str, batch: list[_Waiting]) -> None:
        task = asyncio.create_task(self._write(path, batch))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, path: str, batch: list[_Waiting]) -> None:
        try:
            requests = [request for request, _, _ in batch]
            outcomes = await self._store.write(rawstreams.append, path=path, requests=requests)
            for (_, future, _), outcome in zip(batch, outcomes, strict=True):
                _tell(future, outcome)
        except Exception as error:
            # The edge of a task: whoever waits must hear of it.
            for _, future, _ in batch:
                _tell(future, error)
        finally:
            for _, _, lease in batch:
                lease.end()
            self._go_on(path)

    def _go_on(self, path: str) -> None:
        line = self._lines[path]
        if not line:
            del self._lines[path]
            return
        count, size = 0, 0
        for _, _, lease in line[:MAX_BATCH]:
            if count and size + lease.size > MAX_BATCH_BYTES:
                break
            count, size = count + 1, size + lease.size
        self._lines[path] = line[count:]
        self._start(path, line[:count])


def _tell(future: "asyncio.Future[Appended]", outcome: Appended | Exception) -> None:
    if future.done():
        return  # the client has left; what it sent is on disk all the same
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
