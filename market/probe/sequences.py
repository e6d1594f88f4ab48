"""Holding what one reader saw against what another saw, event by event and moment by moment."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

from market.probe.recording import Recording

_CANDIDATES: Final = 200
_MEASURABLE_MS: Final = 200.0
_SAME_PACE: Final = 0.5
_PAUSE: Final = 0.3
_ON_ITS_WAY_MS: Final = 1_000.0


class Match(NamedTuple):
    """Where one sequence is in another: from ``start`` on, so many events agree."""

    start: int
    length: int


def match(reference: Sequence[bytes], other: Sequence[bytes], expected: int = 0) -> Match | None:
    """Return where ``other`` lies in ``reference``, the ``expected`` place before any other.

    None: it is not in there, or has nothing in it.
    """
    if not other:
        return None
    places = [place for place, key in enumerate(reference) if key == other[0]]
    places.sort(key=lambda place: abs(place - expected))
    found = [Match(place, _agreeing(reference, other, place)) for place in places[:_CANDIDATES]]
    return max(found, key=lambda one: one.length, default=None)


def _agreeing(reference: Sequence[bytes], other: Sequence[bytes], start: int) -> int:
    count = 0
    for mine, theirs in zip(reference[start:], other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def strays(reference: Recording, other: Recording, found: Match) -> int:
    """Return how many events of ``other`` come where the reference has others."""
    both = min(len(other.events), len(reference.events) - found.start)
    return both - found.length


def missed(reference: Recording, other: Recording, found: Match) -> int:
    """Return how many events behind its last one ``other`` should have had, but has not."""
    due_ms = other.ended_ms - (0.0 if other.is_over else _ON_ITS_WAY_MS)
    rest = reference.events[found.start + len(other.events) :]
    return sum(event.at_ms <= due_ms for event in rest)


def past_of(reference: Recording, other: Recording) -> int:
    """Return how many events the reference had when ``other`` opened."""
    return sum(event.at_ms <= other.opened_ms for event in reference.events)


def is_anew(reference: Recording, other: Recording) -> bool:
    """Return whether ``other`` got the past no faster than it had been made: made once more.

    What is made once more stays as late as it began, so who gets anything live soon is only slow.
    False where the past is too short to tell.
    """
    found = match(reference.keys, other.keys)
    if found is None or found.start != 0:
        return False
    count = min(past_of(reference, other), found.length)
    made, again = _gaps(reference, count), _gaps(other, count)
    if sum(made) < _MEASURABLE_MS or sum(again) < _SAME_PACE * sum(made):
        return False
    live = _lags(reference, other, found)
    if live and median(live) < _SAME_PACE * sum(made):
        return False
    # A past that is stalled on its way comes late, too, but in few pieces.
    pause_ms = _PAUSE * sum(made) / len(made)
    pauses, pauses_again = (sum(gap > pause_ms for gap in gaps) for gaps in (made, again))
    return pauses_again >= _SAME_PACE * pauses


def _gaps(recording: Recording, count: int) -> list[float]:
    """Return the times between the first ``count`` events."""
    moments = [event.at_ms for event in recording.events[:count]]
    return [later - sooner for sooner, later in pairwise(moments)]


def lag_ms(reference: Recording, other: Recording, found: Match) -> float:
    """Return how far apart the two got what came while both read (the median)."""
    lags = _lags(reference, other, found)
    return median(lags) if lags else 0.0


def _lags(reference: Recording, other: Recording, found: Match) -> list[float]:
    return [
        abs(other.events[place].at_ms - reference.events[found.start + place].at_ms)
        for place in range(found.length)
        if reference.events[found.start + place].at_ms > other.opened_ms
    ]


def longest_silence_ms(recording: Recording) -> float:
    """Return the longest time between two events."""
    moments = [event.at_ms for event in recording.events]
    return max((later - sooner for sooner, later in pairwise(moments)), default=0.0)


class Worker(NamedTuple):
    """How the events of one author came: ``spread`` is the part of its time that they fill."""

    author: str
    events: int
    spread: float


def workers_of(recording: Recording, *, from_ms: float) -> list[Worker]:
    """Return the authors of a recording's live events, in the order of their first."""
    moments: dict[str, list[float]] = {}
    for event in recording.events:
        if event.author and event.at_ms >= from_ms:
            moments.setdefault(event.author, []).append(event.at_ms)
    return [
        Worker(author, len(times), (times[-1] - times[0]) / max(times[-1] - from_ms, 1.0))
        for author, times in moments.items()
    ]


def turns(recording: Recording, *, from_ms: float) -> int:
    """Return how often the author changes from one live event to the next."""
    authors = [one.author for one in recording.events if one.author and one.at_ms >= from_ms]
    return sum(one != other for one, other in pairwise(authors))
