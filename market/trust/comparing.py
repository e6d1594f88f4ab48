"""Comparing: what is kept against what the facts say, wherever both come from."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl

from market.trust.recount import Recount, Reference, recount
from market.trust.scoring import Score, Standing, memory_of, score_of


class Gathered(NamedTuple):
    """Facts, what they were weighed under, and the standings that are kept.

    ``standings``: seller_id and the fields of ``Standing``. ``buyers`` are given where the facts
    hide who bought (``recount``).
    """

    facts: pl.DataFrame
    reference: Reference
    standings: pl.DataFrame
    buyers: pl.DataFrame | None = None


class Effect(NamedTuple):
    """A seller's score as it is, and as it would be."""

    seller_id: str
    now: Score
    then: Score


def counted(gathered: Gathered) -> Recount:
    """Return what the gathered facts amount to."""
    return recount(gathered.facts, gathered.reference, buyers=gathered.buyers)


def differing(kept: pl.DataFrame, found: pl.DataFrame, keys: Sequence[str]) -> list[str]:
    """Return a sentence for every row that two frames of the same columns do not have alike."""
    both = kept.join(found, on=keys, how="full", suffix="_found", coalesce=True)
    sentences = []
    for row in both.sort(keys).iter_rows(named=True):
        whom = " and ".join(str(row[key]) for key in keys)
        parts = [
            f"{name} is {row[name]}, the facts say {row[f'{name}_found']}"
            for name in kept.columns
            if name not in keys and row[name] != row[f"{name}_found"]
        ]
        if parts:
            sentences.append(f"{whom}: {'; '.join(parts)}")
    return sentences


def without_anchor(gathered: Gathered, agent_id: str) -> list[Effect]:
    """Return every seller's score as it is, and without one anchor's word, the most changed first.

    The agent stays a buyer: its word weighs what its money makes of it.
    """
    others = gathered.reference._replace(anchors=gathered.reference.anchors - {agent_id})
    now, then = counted(gathered), recount(gathered.facts, others)
    effects = [
        Effect(row[0], _score(row), _score(other))
        for row, other in zip(now.standings.iter_rows(), then.standings.iter_rows(), strict=True)
    ]
    return sorted(effects, key=lambda one: (-abs(one.then.score - one.now.score), one.seller_id))


def _score(row: tuple[Any, ...]) -> Score:
    return score_of(memory_of(Standing(*row[1:])))
