"""What one reader saw, without what it read: keys, ids and moments stay, contents do not."""

from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

LIVE_MS: Final = 300.0
"""What comes so long after a reader opened is live: the past has been sent by then."""

SLOW_SECONDS: Final = 1.0
"""How long the slow reader takes nothing."""

Ending = Literal["said", "closed", "cut", "waiting", "refused", "absent", "broken", "full"]
"""How a reading ended.

The stream *said* that it is over; the server *closed* the connection without a word; we *cut* it;
it was still *waiting* when we stopped; the server *refused*, or was *absent*; what came was
*broken*; the reader had its bound's *full* measure.
"""


class Seen(NamedTuple):
    """One event as it came: ``key`` is equal for equal events, of whatever reader."""

    key: bytes
    at_ms: float
    id: str = ""
    author: str = ""
    says_stop: bool = False


class Place(NamedTuple):
    """Where a reader is: the position to resume from, behind so many events."""

    position: str
    events: int


@dataclass(slots=True)
class Recording:
    """What one reader saw, in the audit's own time (milliseconds since it began)."""

    name: str
    opened_ms: float = 0.0
    ended_ms: float = 0.0
    status: int = 0
    events: list[Seen] = field(default_factory=list)
    place: Place | None = None
    ending: Ending | None = None
    end_label: str = ""
    says_stop: bool = False
    signs_of_life: int = 0
    bytes_read: int = 0

    @property
    def keys(self) -> list[bytes]:
        """The events, to be compared with another reader's."""
        return [event.key for event in self.events]

    @property
    def is_turned_away(self) -> bool:
        """Whether the reader was not let in, or could not be served."""
        return self.ending in ("refused", "absent", "broken")

    @property
    def is_over(self) -> bool:
        """Whether the reader learnt, by word or by a closed connection, that no more comes."""
        return self.ending in ("said", "closed")

    @property
    def past_events(self) -> int:
        """How many events came at once, as only those of the past do."""
        return sum(event.at_ms < self.opened_ms + LIVE_MS for event in self.events)

    @property
    def is_of_the_past(self) -> bool:
        """Whether nothing came live: all events came at once, and silence after them."""
        return self.past_events == len(self.events)
