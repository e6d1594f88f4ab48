"""The disk: kept from filling up, so that there is always room to end and to cancel.

What adds to the market's file is refused while little room is left; what cancels, revokes, closes
or acknowledges is still written into the reserve. A disk that is full all the same (others write
on it, too) refuses every write as ``storage_full``; reading goes on, and so does writing as soon
as there is room. No money moves meanwhile: that would be a write, too.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from market.base.errors import StorageFull
from market.base.settings import Settings

LOOK_SECONDS: Final = 1.0
"""For how long a look at the disk is good: 3 µs are nothing, but not for every request."""


def room_of(home: Path) -> int:
    """Return how many bytes can still be written in a folder."""
    return shutil.disk_usage(home).free


class Disk:
    """Looks after the disk of a market on SQLite; a server looks after its own."""

    def __init__(
        self,
        settings: Settings,
        room: Callable[[Path], int] = room_of,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home = settings.home
        self._reserve = settings.disk_reserve_bytes if settings.dialect == "sqlite" else 0
        self._room = room
        self._now = now
        self._look_at = 0.0
        self._is_low = False

    def need_room(self) -> None:
        """Let pass what adds to the disk, while there is room beyond the reserve.

        Raises:
            StorageFull: there is none.
        """
        now = self._now()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._is_low = bool(self._reserve) and self._room(self._home) < self._reserve
        if self._is_low:
            raise StorageFull(
                "What is left is kept for cancelling, closing and acknowledging.",
                retry_after_seconds=10,
            )
