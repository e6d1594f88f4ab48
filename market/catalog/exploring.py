"""Pages of a search: ties shuffled, and a few places kept for newcomers. Pure.

The best-ranked sellers get the orders, and whoever gets orders is ranked: a newcomer would never
be tried. So of a page that cannot show everything, ``SHARE`` percent of the places go to newcomers
from further down, drawn by lot; a service that is shown for that has ``explored: 1`` among its
parts. A seller has one lot however much it lists: a hundred services are no hundred chances.
Services of the same score stand in an order drawn by lot too, since neither an old id nor a quick
reply is a merit.

All lots come from a *seed*: the words and filters, who asks (or its session), and the day. So
pages do not jump while somebody turns them. A *place* in the list is the last service shown by
rank, and the last lot drawn: a newcomer further down whose lot is not above it has been shown.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from market.catalog.ranking import Ranked

SHARE: Final = 8
"""Places for newcomers, in percent of a page that cannot show everything."""

LEAST: Final = 5
"""The shortest page that keeps a place for newcomers."""

EXPLORED: Final = "explored"
"""The part that marks a service which is shown for being new."""

_BYTES: Final = 6


class Place(NamedTuple):
    """Where a list goes on: its day, the last service by rank, and the last lot drawn."""

    day: str
    score: float
    lot: int
    service_id: str
    drawn: int


class Shown(NamedTuple):
    """One page: what is on it, and where the next begins, if there is one."""

    items: list[Ranked]
    next: Place | None


def page_of_ranked(
    ranked: Sequence[Ranked],
    *,
    newcomers: frozenset[str],
    seed: Sequence[str],
    day: str,
    place: Place | None,
    limit: int,
) -> Shown:
    """Return the page behind ``place`` of what was ranked; ``newcomers`` are sellers.

    While the scores stand, all pages together show every service once.
    """
    lots = _lots([*seed, day])
    after = place or Place(day, float("inf"), 0, "", 0)
    draws = _draws(ranked, newcomers, lots)
    rest = _rest(ranked, draws, lots, after)
    if len(rest) <= limit:
        return Shown(rest, None)
    by_rank = limit - _slots(limit, lots("slots"))
    chosen = sorted(
        (found for found in rest[by_rank:] if found.row.id in draws),
        key=lambda found: draws[found.row.id],
    )[: limit - by_rank]
    taken = {found.row.id for found in chosen}
    ordinary = [found for found in rest if found.row.id not in taken][: limit - len(chosen)]
    last = ordinary[-1]
    after = Place(
        day=day,
        score=last.score,
        lot=_tie(last, lots),
        service_id=last.row.id,
        drawn=max([after.drawn, *(draws[found.row.id] for found in chosen)]),
    )
    return Shown(_woven(ordinary, chosen, lots), after)


def _rest(
    ranked: Sequence[Ranked], draws: Mapping[str, int], lots: Callable[[str], int], after: Place
) -> list[Ranked]:
    """What was not shown before, best first."""
    start = (-after.score, after.lot, after.service_id)
    placed = sorted(((-found.score, _tie(found, lots), found.row.id), found) for found in ranked)
    return [
        found
        for key, found in placed
        if key > start and (found.row.id not in draws or draws[found.row.id] > after.drawn)
    ]


def _woven(
    ordinary: Sequence[Ranked], chosen: Sequence[Ranked], lots: Callable[[str], int]
) -> list[Ranked]:
    """The page with the newcomers at places drawn by lot, never at the head of it."""
    page = list(ordinary)
    for found in chosen:
        explored = found._replace(parts={**found.parts, EXPLORED: 1.0})
        page.insert(1 + lots(f"place {found.row.id}") % len(page), explored)
    return page


def _slots(limit: int, lot: int) -> int:
    """How many places of a page newcomers get: on average ``SHARE`` percent of them."""
    if limit < LEAST:
        return 0
    whole, rest = divmod(limit * SHARE, 100)
    return whole + (lot % 100 < rest)


def _tie(found: Ranked, lots: Callable[[str], int]) -> int:
    return lots(f"tie {found.row.id}")


def _draws(
    ranked: Sequence[Ranked], newcomers: frozenset[str], lots: Callable[[str], int]
) -> dict[str, int]:
    """The lots of newcomers, above 0, each by the one of its services whose turn it is."""
    chosen: dict[str, tuple[int, str]] = {}
    for found in ranked:
        if found.row.seller_id in newcomers:
            turn = lots(f"turn {found.row.id}"), found.row.id
            chosen[found.row.seller_id] = min(turn, chosen.get(found.row.seller_id, turn))
    # The lot is the seller's: the lowest of many would be a low one.
    return {
        service_id: 1 + lots(f"draw {seller_id}") for seller_id, (_, service_id) in chosen.items()
    }


def _lots(seed: Sequence[Any]) -> Callable[[str], int]:
    """Return what draws the lot of a name: the same one for the same seed."""
    key = blake2b("\n".join(seed).encode(), digest_size=32).digest()

    def lot(name: str) -> int:
        digest = blake2b(name.encode(), key=key, digest_size=_BYTES).digest()
        return int.from_bytes(digest, "big")

    return lot
