"""Meters: how often an agent may ask for what costs the market more than a read."""

from collections import Counter
from datetime import datetime, timedelta
from math import ceil

from market.base.clock import EPOCH
from market.faces.http.problems import TooOften


class Meter:
    """Counts what each agent asks for, from one minute to the next."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._asked: Counter[str] = Counter()
        self._until = EPOCH

    def count(self, agent_id: str, *, now: datetime) -> None:
        """Count one more request.

        Raises:
            TooOften: the agent has asked as often as it may in this minute.
        """
        if now >= self._until:
            self._asked.clear()
            self._until = now + timedelta(minutes=1)
        if self._asked[agent_id] >= self.per_minute:
            raise TooOften(
                f"At most {self.per_minute} a minute are answered.",
                limit=self.per_minute,
                retry_after_seconds=ceil((self._until - now).total_seconds()),
            )
        self._asked[agent_id] += 1
