"""The breaker before an endpoint: one that keeps failing is left alone for a while.

After ``FAILURES`` in a row it rests for ``REST_SECONDS``; orders that come meanwhile fail at once,
so that their buyers have their money back and the endpoint no storm of retries. Then one order is
let through to see: if that goes well, all are.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from seller_services.handling import CannotDeliver

FAILURES: Final = 5
REST_SECONDS: Final = 30.0


class EndpointFailed(CannotDeliver):
    """An endpoint could not be reached, or did not answer as it should."""


class Resting(CannotDeliver):
    """An endpoint has failed too often, and is not called now."""


class Breaker:
    """Counts one endpoint's failures. ``clock`` tells seconds, from wherever it likes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._rests_until = 0.0
        self._is_trying = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Enter an attempt: ``EndpointFailed`` within it counts, giving up otherwise does not.

        An attempt that is broken off by its own side says nothing of the endpoint.

        Raises:
            Resting: the endpoint is left alone at the moment.
        """
        is_trial = self._failures >= FAILURES
        if is_trial and (self._is_trying or self._clock() < self._rests_until):
            raise Resting(
                f"the service's endpoint failed {self._failures} times in a row; ask again later"
            )
        self._is_trying = self._is_trying or is_trial
        try:
            yield
        except EndpointFailed:
            self._failures += 1
            self._rests_until = self._clock() + REST_SECONDS
            raise
        except CannotDeliver:
            self._failures = 0
            raise
        else:
            self._failures = 0
        finally:
            if is_trial:
                self._is_trying = False
