"""Time: the only place that asks what time it is.

A market has one clock. In production it is the system's; in a simulation it is moved by hand, so
that a day replays in seconds and two runs agree.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Clock(Protocol):
    """Something that tells the time, in UTC."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock, kept from going backwards within this process.

    It does not begin before ``not_before``, such as what an earlier process has recorded.
    """

    def __init__(self, not_before: datetime | None = None) -> None:
        self._last = not_before or EPOCH

    def now(self) -> datetime:
        """Return the present moment; never earlier than the last one returned."""
        self._last = max(self._last, datetime.now(UTC))
        return self._last


class ManualClock:
    """A clock that stands until it is moved."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """Return the moment the clock was last set to."""
        return self._now

    def advance(self, step: timedelta) -> None:
        """Move forward by ``step``; a clock never goes back."""
        if step < timedelta(0):
            raise ValueError("a clock never goes back")
        self._now += step


def milliseconds() -> int:
    """Return the system's time as milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def to_micros(moment: datetime) -> int:
    """Return an aware moment as microseconds since 1970: how the database keeps it."""
    return (moment - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the moment that the database keeps as ``micros``."""
    return EPOCH + timedelta(microseconds=micros)


def seconds_of(moment: datetime) -> int:
    """Return whole seconds since 1970, as JWT claims have them (RFC 7519 NumericDate)."""
    return to_micros(moment) // 1_000_000


def rfc3339(moment: datetime) -> str:
    """Return the wire form: ``2026-11-22T12:00:00.000000Z``."""
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


def spoken(moment: datetime) -> str:
    """Return a moment as people read it, to the second: ``2026-11-22 12:00:00 UTC``."""
    return moment.isoformat(sep=" ", timespec="seconds")[:19] + " UTC"


def parse_rfc3339(text: str) -> datetime:
    """Return the moment that a wire text names.

    Raises:
        ValueError: it is no RFC 3339 moment with a zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)
