"""Double submits: an agent's client that sends a request twice, as a hasty retry would."""

from collections import deque
from collections.abc import Callable
from typing import Final

import httpx

_KEY: Final = "Idempotency-Key"

Doubled = Callable[[int], None]
"""Is told the status with which the first of two was answered."""


class Doubler:
    """Stands between one agent and the network; what it is to send twice it sends twice."""

    def __init__(self) -> None:
        self._due: deque[Doubled] = deque()

    def double_next(self, doubled: Doubled) -> None:
        """Send the next request that has an idempotency key twice."""
        self._due.append(doubled)

    def wrap(self, transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        """Return a transport that does as this one, and doubles what is due."""
        return _Doubling(transport, self._due)


class _Doubling(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, due: deque[Doubled]) -> None:
        self._inner = inner
        self._due = due

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._due and _KEY in request.headers:
            doubled = self._due.popleft()
            await request.aread()
            first = await self._inner.handle_async_request(request)
            await first.aread()
            await first.aclose()
            doubled(first.status_code)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()
