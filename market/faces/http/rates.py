"""Rates: how often somebody may ask, counted in memory, before anything else is done.

Each agent, and each address of those nobody knows, has a bucket of tokens that fills steadily
(GCRA: one number says all of a bucket, the moment at which it will be full). A bucket that is
full says nothing, so it need not be kept; no more than ``limits.BUCKETS`` are. One process counts
for itself, for which reason answers do not say what is left (``RateLimit`` headers could not be
right). It is less than a library brings, and costs a fifth of a microsecond.
"""

import time
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network
from math import ceil
from typing import Final

from market.base.caller import Caller
from market.base.settings import Settings
from market.faces.http import limits
from market.faces.http.problems import TooManyRequests

OWN_DEPTH: Final = float(limits.BURST_SECONDS)
DELEGATES_DEPTH: Final = limits.BURST_SECONDS / 2
"""Of how many seconds an agent's bucket is for itself, and for its sub-agents: they leave it half,
so that none of them can keep it from taking its delegation back."""
_ROUNDING: Final = 1e-9


class Buckets:
    """One bucket for each name: so many a second for ever, ``limits.BURST_SECONDS`` of it at once.

    One event loop uses it.
    """

    def __init__(self, per_second: int) -> None:
        self.per_second = per_second
        self._step = 1 / per_second
        self._full_at: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, name: str, now: float, depth: float = OWN_DEPTH) -> float:
        """Take one token and return 0; or take none, and return for how many seconds to wait.

        ``depth`` says of how many seconds the bucket is for this one.
        """
        full_at = self._full_at.get(name, 0.0)
        if full_at <= now:
            if not full_at and len(self._full_at) >= limits.BUCKETS:
                self._tidy(now)
            full_at = now
        full_at += self._step
        wait = full_at - now - depth
        if wait > _ROUNDING:
            return wait
        self._full_at[name] = full_at
        return 0.0

    def spare(self) -> float:
        """Return the depth of a bucket for what ends or cancels something."""
        return limits.BURST_SECONDS + limits.SPARE * self._step

    def _tidy(self, now: float) -> None:
        """Forget what is full, or, if everybody is busy, a tenth: they begin with a full bucket."""
        busy = {name: full_at for name, full_at in self._full_at.items() if full_at > now}
        if len(busy) >= limits.BUCKETS:
            for name in list(busy)[: limits.BUCKETS // 10 + 1]:
                del busy[name]
        self._full_at = busy


class Rates:
    """Counts the requests of agents, what they write, and the visits of everybody else."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self._requests = Buckets(settings.requests_per_second)
        self._writes = Buckets(settings.writes_per_second)
        self._visits = Buckets(settings.visits_per_second)

    def count(self, agent_id: str, now: float, is_write: bool, depth: float = OWN_DEPTH) -> None:
        """Count one more request of an agent; of a sub-agent's, with ``DELEGATES_DEPTH``.

        Raises:
            TooManyRequests: it has asked, or written, as often as it may.
        """
        if wait := self._requests.take(agent_id, now, depth):
            raise _too_many("an agent's requests", self._requests, wait)
        if is_write and (wait := self._writes.take(agent_id, now, depth)):
            raise _too_many("an agent's writes", self._writes, wait)

    def count_ending(self, agent_id: str, now: float) -> None:
        """Count one more write of an agent that ends or cancels something: beyond the rate, too.

        Raises:
            TooManyRequests: even those were too many.
        """
        if wait := self._writes.take(agent_id, now, self._writes.spare()):
            raise _too_many("an agent's writes", self._writes, wait)

    def count_frame(self, caller: Caller) -> None:
        """Count one more frame up a socket: it controls something, as a rule.

        Raises:
            TooManyRequests: the agent has asked or written as often as it may.
        """
        delegation, now = caller.delegation, self.now()
        if delegation is None:
            self.count_ending(caller.agent_id, now)
        else:
            self.count(delegation.delegator_id, now, True, DELEGATES_DEPTH)

    def count_visit(self, address: str, now: float, *, gets_token: bool = False) -> None:
        """Count one more request from an address without a token that is known.

        Raises:
            TooManyRequests: as many came from there as may.
        """
        depth = self._visits.spare() if gets_token else OWN_DEPTH
        if wait := self._visits.take(address, now, depth):
            raise _too_many("requests without a known token from one address", self._visits, wait)


def _too_many(what: str, buckets: Buckets, wait: float) -> TooManyRequests:
    return TooManyRequests(
        f"At most {buckets.per_second} of {what} a second are answered.",
        limit=buckets.per_second,
        retry_after_seconds=max(1, ceil(wait)),
    )


@lru_cache(maxsize=4_096)
def neighbourhood(address: str) -> str:
    """Return what one customer of a provider holds: an IPv4 address, or a ``/64`` of IPv6."""
    if ":" not in address:
        return address
    plain = address.partition("%")[0]
    try:
        # A socket that is open to both families writes IPv4 so; all of it is one /64.
        if (mapped := IPv6Address(plain).ipv4_mapped) is not None:
            return str(mapped)
        return str(IPv6Network((plain, 64), strict=False))
    except ValueError:
        return address
