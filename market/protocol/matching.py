"""Whether pieces of several kinds all find a place: a maximum flow (Edmonds and Karp). Pure."""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple


class Place(NamedTuple):
    """Takes up to ``room`` pieces, of these kinds."""

    kinds: frozenset[str]
    room: int


def all_fit(pieces: Mapping[str, int], places: Sequence[Place]) -> bool:
    """Whether each of ``pieces`` (how many of which kind) can lie in a place that takes it.

    Ways are tried the shortest first, so that time depends on how many kinds and places there
    are, and not on how many pieces.
    """
    taking = {
        kind: [at for at, place in enumerate(places) if kind in place.kinds] for kind in pieces
    }
    room = [place.room for place in places]
    lying = {(kind, at): 0 for kind, ats in taking.items() for at in ats}
    for kind, count in pieces.items():
        left = count
        while left:
            way = _way(kind, taking, room, lying)
            if way is None:
                return False
            left -= _push(way, left, room, lying)
    return True


def _way(
    start: str,
    taking: Mapping[str, list[int]],
    room: Sequence[int],
    lying: Mapping[tuple[str, int], int],
) -> list[tuple[str, int]] | None:
    """Return how a piece of one kind finds room: who goes where, each making place for the last."""
    came: dict[int, tuple[str, int | None]] = {}
    queue: deque[tuple[str, int | None]] = deque([(start, None)])
    seen = {start}
    while queue:
        kind, leaving = queue.popleft()
        for at in taking[kind]:
            if at in came:
                continue
            came[at] = (kind, leaving)
            if room[at]:
                return _trace(came, at)
            for other in taking:
                if other not in seen and lying.get((other, at)):
                    seen.add(other)
                    queue.append((other, at))
    return None


def _trace(came: Mapping[int, tuple[str, int | None]], end: int) -> list[tuple[str, int]]:
    way: list[tuple[str, int]] = []
    at: int | None = end
    while at is not None:
        kind, leaving = came[at]
        way.append((kind, at))
        at = leaving
    return way[::-1]


def _push(
    way: Sequence[tuple[str, int]], left: int, room: list[int], lying: dict[tuple[str, int], int]
) -> int:
    """Move as many pieces along a way as it lets through; return how many."""
    leaving = [(kind, at) for (_, at), (kind, _) in pairwise(way)]
    count = min(left, room[way[-1][1]], *(lying[pair] for pair in leaving))
    for pair in way:
        lying[pair] += count
    for pair in leaving:
        lying[pair] -= count
    room[way[-1][1]] -= count
    return count
