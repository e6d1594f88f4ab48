"""What put others ahead of a service that a buyer had nothing against. Pure.

The cause is the part of the score by which it fell behind most: parts are weighed already, so that
they can be compared.
"""

from collections.abc import Sequence, Set
from typing import Final

from market.analytics.journeys import Journey, Option
from market.protocol.events import Stage

UNSAID: Final = "unsaid"
"""Nothing tells: the buyer went without a word, or its scores have no parts."""

_CAUSES: Final = {"trust": "reputation"}
"""Parts that mean the same as a reason of the closed list; others go by their own name."""


def cause_of(journey: Journey, stage: Stage, mine: Set[str], rival_id: str | None) -> str:
    """Return what put others ahead of a seller's services: a part of the score, or ``UNSAID``.

    While finding, those ahead are the ones that were looked at; later, the one that was taken. If
    the scores do not tell, it was the price if that of the one taken was lower.
    """
    decision = journey.decided(stage)
    own = decision.option(mine) if decision else None
    if decision is None or own is None:
        return UNSAID
    ranked = [
        one for one in decision.alternatives if one.service_id not in mine and one.reason is None
    ]
    if stage == "finding":
        ahead = [one for one in ranked if journey.saw({one.service_id}, "evaluating.")]
    else:
        ahead = [one for one in ranked if one.service_id == rival_id]
    if not ahead:
        return UNSAID
    # The last place that was worth something is the one to have beaten.
    rival = min(ahead, key=lambda one: one.score)
    behind = _behind(own, rival)
    if behind:
        return _CAUSES.get(behind, behind)
    return "price" if _is_cheaper(ahead, own) else UNSAID


def _behind(own: Option, rival: Option) -> str:
    """Return the part by which ``own`` fell behind most, "" if it did by none."""
    mine = {part.part: part.value for part in own.parts}
    theirs = {part.part: part.value for part in rival.parts}
    gaps = {name: theirs.get(name, 0.0) - mine.get(name, 0.0) for name in {*mine, *theirs}}
    part, gap = max(gaps.items(), key=lambda one: (one[1], one[0]), default=("", 0.0))
    return part if gap > 0 else ""


def _is_cheaper(ahead: Sequence[Option], own: Option) -> bool:
    return any(
        one.amount_minor is not None
        and own.amount_minor is not None
        and one.amount_minor < own.amount_minor
        for one in ahead
    )
