"""Clients that ask for the end again and again.

The protocol forbids waiting at the end of a closed stream, and a client that does not know of
closing asks at once anew (the first release of the client on PyPI does: 50 times a second). Such a
loop is answered with 429 for a while; one that reads the end now and then never notices.
"""

from typing import Final

from market.base.errors import Limited

TOLERATED: Final = 20
"""Answers at the end of one closed stream that one client gets within a second."""

MAX_KEPT: Final = 1_000


class TooManyEnds(Limited):
    code = "end_reached"
    title = "The stream is closed, and this client has been told so many times"


class Spinning:
    """Counts, for each client and stream, how often the end was told within one second."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], tuple[int, int]] = {}

    def note(self, client: str, stream_id: str, *, now: float) -> None:
        """Count one more answer at the end.

        Raises:
            TooManyEnds: there were too many in this second.
        """
        key, second = (client, stream_id), int(now)
        began, count = self._told.pop(key, (second, 0))
        count = count + 1 if began == second else 1
        self._told[key] = (second, count)
        while len(self._told) > MAX_KEPT:
            del self._told[next(iter(self._told))]
        if count > TOLERATED:
            raise TooManyEnds(
                "Stop reading at Stream-Closed: true: nothing will follow.", retry_after_seconds=1
            )
