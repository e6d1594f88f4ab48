"""What price would have kept a seller in a journey that it lost, and on what that rests. Pure."""

from collections.abc import Set
from typing import Literal

from market.analytics.journeys import Journey, Option
from market.analytics.rescoring import CannotRescore, Weighed, price_rule, winning_price
from market.protocol.events import Stage

Basis = Literal["limit", "rescored", "gap"]
"""The buyer said so; its recorded scores say so; the price of what it took is all that is known."""


def winning_of(
    journey: Journey, stage: Stage, mine: Set[str], rival_id: str | None
) -> tuple[int | None, Basis | None]:
    """Return the price that would have kept the seller in, and on what that rests."""
    decision = journey.decided(stage)
    own = decision.option(mine) if decision else None
    if decision is None or own is None or stage not in ("finding", "evaluating"):
        return None, None
    if own.reason == "price" and own.limit_minor is not None:
        return own.limit_minor, "limit"
    if own.reason not in (None, "price") or decision.outcome == "leave":
        return None, None
    ranked = [
        one
        for one in decision.alternatives
        if one.service_id not in mine and one.reason is None and one.amount_minor is not None
    ]
    chosen = [one for one in ranked if one.service_id == rival_id]
    try:
        found = _rescored(journey, stage, own, ranked, chosen)
    except CannotRescore:
        return _gap(own, chosen)
    # One that was ahead at its own price was passed over for something else than its price.
    is_price = found is not None and found != own.amount_minor
    return (found, "rescored") if is_price else (None, None)


def _rescored(
    journey: Journey, stage: Stage, own: Option, ranked: list[Option], chosen: list[Option]
) -> int | None:
    if own.reason is not None:
        raise CannotRescore("it was not ranked with the others")
    others = list(map(_weighed, ranked))
    rule = price_rule(_weighed(own), others)
    if stage == "evaluating":
        ahead = list(map(_weighed, chosen))
        return winning_price(_weighed(own), ahead, rule) if ahead else None
    looked_at = sum(journey.saw({one.service_id}, "evaluating.") is not None for one in ranked)
    return winning_price(_weighed(own), others, rule, places=max(looked_at, 1))


def _gap(own: Option, chosen: list[Option]) -> tuple[int | None, Basis | None]:
    """Without a rule, the price of the rival that was chosen is all that can be told."""
    for rival in chosen:
        if rival.amount_minor and own.amount_minor and rival.amount_minor < own.amount_minor:
            return rival.amount_minor, "gap"
    return None, None


def _weighed(option: Option) -> Weighed:
    parts = {part.part: part.value for part in option.parts}
    return Weighed(option.service_id, option.amount_minor or 0, option.score, parts)
