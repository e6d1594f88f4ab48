"""The best assignment: each item to at most one place, no place over its capacity. Pure.

Items are put in one after the other along the best path of moves through full places (successive
shortest paths), which is the optimum after every step. Between two places only the item that loses
least by the move counts, so there are places x places moves and not items x places: with heaps,
O(items * (places**2 + places * log items)).
"""

import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

_NOWHERE: Final = None


def best_assignment(
    worth: Sequence[Mapping[str, int]], capacities: Mapping[str, int]
) -> list[str | None]:
    """Return the place of each item, so that their worth together is the most there can be.

    ``worth`` has what an item is worth in each place that suits it; where that is not above zero,
    it rather stays without one (None). A place without a capacity takes any number.
    """
    free = _favourites(worth)
    counts = {place: free.count(place) for place in capacities}
    if all(counts[place] <= capacity for place, capacity in capacities.items()):
        return free
    return _Places(worth, capacities).assign()


def _favourites(worth: Sequence[Mapping[str, int]]) -> list[str | None]:
    favourites = []
    for row in worth:
        place, value = max(row.items(), key=lambda one: (one[1], one[0]), default=(_NOWHERE, 0))
        favourites.append(place if value > 0 else _NOWHERE)
    return favourites


class _Places:
    """Items in their places, and for each pair of places who would move best between them."""

    def __init__(self, worth: Sequence[Mapping[str, int]], capacities: Mapping[str, int]) -> None:
        self._worth = worth
        self._left = {
            place: capacities.get(place, len(worth)) for row in worth for place in sorted(row)
        }
        self._at: list[str | None] = [_NOWHERE] * len(worth)
        self._moves: dict[tuple[str, str | None], list[tuple[int, int]]] = {}

    def assign(self) -> list[str | None]:
        for item in range(len(self._worth)):
            self._put(item)
        return self._at

    def _put(self, item: int) -> None:
        """Find the best chain: the item takes a place, whose other guest moves on, and so on."""
        costs, before = self._chains(item)
        ends = []
        for place, cost in costs.items():
            if self._left[place] > 0:
                ends.append((cost, True, place))
            elif (leave := self._best_move(place, _NOWHERE)) is not None:
                ends.append((cost + leave[0], False, place))
        cost, is_free, place = min(ends, default=(0, False, ""))
        if cost >= 0:
            return
        if is_free:
            self._left[place] -= 1
        else:
            self._move(place, _NOWHERE)
        while (previous := before[place]) is not None:
            self._move(previous, place)
            place = previous
        self._settle(item, place)

    def _chains(self, item: int) -> tuple[dict[str, int], dict[str, str | None]]:
        """Return what the cheapest chain to each place costs, and the place before it in that.

        A negative cost is a gain. After Bellman and Ford: moves may gain, but no round of them
        does, as the items before were placed as well as can be. A place that is not full ends it.
        """
        costs = {place: -value for place, value in self._worth[item].items()}
        before: dict[str, str | None] = dict.fromkeys(costs, _NOWHERE)
        waiting = deque(sorted(costs))
        while waiting:
            place = waiting.popleft()
            if self._left[place] > 0:
                continue
            for other in self._left:
                move = self._best_move(place, other)
                if move is None:
                    continue
                cost = costs[place] + move[0]
                if other not in costs or cost < costs[other]:
                    costs[other], before[other] = cost, place
                    if other not in waiting:
                        waiting.append(other)
        return costs, before

    def _best_move(self, place: str, other: str | None) -> tuple[int, int] | None:
        """Return the least cost of moving a guest of one place to another, and the guest."""
        moves = self._moves.get((place, other), [])
        while moves and self._at[moves[0][1]] != place:
            heapq.heappop(moves)
        return moves[0] if moves else None

    def _move(self, place: str, other: str | None) -> None:
        move = self._best_move(place, other)
        assert move is not None, "the path was made of moves"
        self._settle(move[1], other)

    def _settle(self, item: int, place: str | None) -> None:
        self._at[item] = place
        if place is None:
            return
        value = self._worth[item][place]
        for other, worth in self._worth[item].items():
            if other != place:
                heapq.heappush(self._moves.setdefault((place, other), []), (value - worth, item))
        heapq.heappush(self._moves.setdefault((place, _NOWHERE), []), (value, item))
