"""Held: the bytes of bodies that are being received, worked on, or wait to be written.

All of them together are bounded, and so is one sender's share: nobody who sends slowly, or much,
keeps the others from being heard. What is held is given back when its request has been answered.
"""

from collections import Counter

from market.base.errors import Overloaded
from market.faces.http import limits
from market.faces.http.problems import TooManyRequests


class Held:
    """Counts what is held, of each sender and in all. One event loop uses it."""

    def __init__(self) -> None:
        self.total = 0
        self._of: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._of)

    def lease(self, sender: str) -> "Lease":
        """Return the account of one more request of ``sender``; nothing is held yet."""
        return Lease(self, sender)

    def take(self, sender: str, size: int, *, spared: int = 0) -> None:
        """Hold more, and leave ``spared`` bytes to others.

        Raises:
            Overloaded: the market holds as much as it may.
            TooManyRequests: the sender does.
        """
        if not size:
            return  # A name that holds nothing is not kept.
        if self.total + size > limits.HELD - spared:
            raise Overloaded("Too much waits to be written.", retry_after_seconds=1)
        if self._of[sender] + size > limits.HELD_PER_SENDER - spared:
            raise TooManyRequests(
                "Wait for the answers to what is under way before sending more.",
                limit_bytes=limits.HELD_PER_SENDER,
                retry_after_seconds=1,
            )
        self.total += size
        self._of[sender] += size

    def give(self, sender: str, size: int) -> None:
        """Hold less."""
        self.total -= size
        self._of[sender] -= size
        if not self._of[sender]:
            del self._of[sender]


class Lease:
    """What one request holds."""

    __slots__ = ("_held", "sender", "size")

    def __init__(self, held: Held, sender: str) -> None:
        self._held = held
        self.sender = sender
        self.size = 0

    def take(self, size: int) -> None:
        """Hold more.

        Raises:
            Overloaded, TooManyRequests: as ``Held.take``.
        """
        is_small = self.size + size <= limits.BODY
        self._held.take(self.sender, size, spared=0 if is_small else limits.HELD_FOR_SMALL)
        self.size += size

    def end(self) -> None:
        """Give all of it back. May be repeated."""
        if self.size:
            self._held.give(self.sender, self.size)
            self.size = 0

    def hand_over(self) -> "Lease":
        """Return a lease of what is held, which whoever takes it over has to end."""
        other = Lease(self._held, self.sender)
        other.size, self.size = self.size, 0
        return other
