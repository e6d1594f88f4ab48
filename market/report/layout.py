"""Where the nodes of a graph are drawn: pulled together by edges, pushed apart by each other.

After Fruchterman and Reingold (1991), begun on a sunflower's spiral instead of by chance: the same
graph gives the same picture.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

STEPS: Final = 120
_GOLDEN: Final = math.pi * (3 - math.sqrt(5))
_LEAST: Final = 1e-4

Spot = tuple[float, float]


def spread(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> Mapping[str, Spot]:
    """Return a place within a unit square for each node; edges are pairs of them.

    It takes STEPS * nodes * nodes: a second for about a hundred.
    """
    count = len(nodes)
    numbers = {node: number for number, node in enumerate(nodes)}
    pairs = [(numbers[one], numbers[other]) for one, other in edges if one != other]
    places = [
        [math.sqrt((at + 0.5) / count) * trig(at * _GOLDEN) for trig in (math.cos, math.sin)]
        for at in range(count)
    ]
    length = math.sqrt(4 / max(count, 1)) * 0.8
    for step in range(STEPS):
        reach = 0.2 * (1 - step / STEPS) + 0.002
        moves = _pushes(places, length)
        for one, other in pairs:
            apart = [places[one][axis] - places[other][axis] for axis in (0, 1)]
            pull = math.hypot(*apart) / length
            for axis in (0, 1):
                moves[one][axis] -= apart[axis] * pull
                moves[other][axis] += apart[axis] * pull
        for place, move in zip(places, moves, strict=True):
            # A pull to the middle keeps parts that have no edge between them on the picture.
            move[0] -= 0.4 * place[0]
            move[1] -= 0.4 * place[1]
            size = math.hypot(*move) or _LEAST
            for axis in (0, 1):
                place[axis] += move[axis] / size * min(size, reach)
    return dict(zip(nodes, _in_unit(places), strict=True))


def _pushes(places: Sequence[Sequence[float]], length: float) -> list[list[float]]:
    moves = [[0.0, 0.0] for _ in places]
    for one, (x, y) in enumerate(places):
        for other in range(one):
            dx, dy = x - places[other][0], y - places[other][1]
            push = length * length / max(dx * dx + dy * dy, _LEAST)
            moves[one][0] += dx * push
            moves[one][1] += dy * push
            moves[other][0] -= dx * push
            moves[other][1] -= dy * push
    return moves


def _in_unit(places: Sequence[Sequence[float]]) -> list[Spot]:
    ends = [(min(values), max(values)) for values in zip(*places, strict=True)] or [(0, 1)] * 2
    (left, right), (low, high) = ends
    return [((x - left) / (right - left or 1), (y - low) / (high - low or 1)) for x, y in places]
