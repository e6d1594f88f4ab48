"""What became of a seller in a journey that saw it: won, open, or lost, where, and to whom. Pure.

A seller comes as far as the last stage in which the buyer looked at it: it was *listed* (finding),
*read* or *weighed* (evaluating), its *trust* was asked for (trust-checking), it was *chosen*
(transacting) or *ordered*. There it is lost when the journey went on without it, or ended.
"""

from collections.abc import Set
from typing import Any, Final, Literal, NamedTuple

import msgspec

from market.analytics.journeys import Decided, Journey, Option, Ordered
from market.analytics.rescoring import CannotRescore, Weighed, price_rule, winning_price
from market.protocol.events import STAGES, Stage

Basis = Literal["limit", "rescored", "gap"]

_ENDS: Final[dict[Stage, Stage]] = {
    "finding": "evaluating",
    # The first choice may yet fail the check of its trust, and the next one have its turn.
    "evaluating": "trust_checking",
    "trust_checking": "trust_checking",
    "transacting": "transacting",
}
"""The stage whose decision ends the hope of a seller that came to this one."""

_RUNNING: Final = frozenset({"awaiting_approval", "placed", "started", "delivered"})
_REASONS: Final = {"failed": "delivery_failed", "cancelled": "other"}


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """A sale that a seller lost: a row of ``losses``, whose docstring tells the fields."""

    session_id: str
    buyer_id: str
    stage: Stage
    reason: str | None
    to_service_id: str | None
    to_slug: str | None
    amount_minor: int | None
    currency: str | None
    winning_minor: int | None
    basis: Basis | None
    trust: float | None
    to_trust: float | None
    detail: str


class _Rival(NamedTuple):
    service_id: str
    slug: str


Fate = Loss | Literal["won", "open"]


def fate_of(journey: Journey, mine: Set[str]) -> Fate:
    """Return what became of a seller's services in a journey that saw them."""
    own = [order for order in journey.orders if order.service_id in mine]
    if own:
        return _fate_of_order(journey, own[-1], mine)
    stage = _furthest(journey, mine)
    if not _is_over(journey, stage):
        return "open"
    decision = journey.decided(stage)
    rival = _rival(journey, stage, mine)
    own_minor, currency = _price(journey, decision, mine)
    winning_minor, basis = _winning(journey, stage, mine, rival)
    reason = _reason(decision, mine, rival)
    return Loss(
        session_id=journey.session_id,
        buyer_id=journey.buyer_id,
        stage=stage,
        reason=reason,
        amount_minor=own_minor,
        currency=currency,
        winning_minor=winning_minor,
        basis=basis,
        detail=_words(decision, mine) if decision and reason else "",
        **_compared(journey, mine, rival),
    )


def _fate_of_order(journey: Journey, order: Ordered, mine: Set[str]) -> Fate:
    left = journey.left_stage if journey.left_stage in ("transacting", "using") else None
    if order.state == "settled" and left is None:
        return "won"
    if order.state in _RUNNING:
        return "open"
    decision = journey.decided(left) if left else None
    return Loss(
        session_id=journey.session_id,
        buyer_id=journey.buyer_id,
        stage=left or "using",
        reason=journey.left_reason if left else _REASONS[order.state],
        amount_minor=order.amount_minor,
        currency=order.currency,
        winning_minor=None,
        basis=None,
        detail=decision.detail if decision else "",
        **_compared(journey, mine, _rival(journey, "using", mine)),
    )


def _words(decision: Decided, mine: Set[str]) -> str:
    """Return what a buyer said, or only what it said of these services where it names them."""
    option = decision.option(mine)
    if option is None or f"{option.slug}: " not in decision.detail:
        return decision.detail
    words = decision.detail.partition(f"{option.slug}: ")[2].partition(". ")[0]
    return words.removeprefix(f"{option.reason}: ").rstrip(".")


def _furthest(journey: Journey, mine: Set[str]) -> Stage:
    """Return the last stage in which the buyer looked at these services."""
    evaluated = journey.decided("evaluating")
    checked = journey.decided("trust_checking")
    paid = journey.decided("transacting")
    if (paid and paid.service_id in mine) or (checked and checked.chose(mine)):
        return "transacting"
    if journey.saw(mine, "trust.") or (evaluated and evaluated.chose(mine)):
        return "trust_checking"
    if journey.saw(mine, "evaluating.") or (evaluated and evaluated.option(mine)):
        return "evaluating"
    return "finding"


def _is_over(journey: Journey, stage: Stage) -> bool:
    """Whether a seller that came to this stage can no longer be chosen."""
    decision = journey.decided(stage)
    has_left = decision is not None and decision.outcome == "leave"
    later = STAGES[STAGES.index(_ENDS[stage]) :]
    return has_left or any(map(journey.decided, later)) or bool(journey.orders) or journey.is_closed


def _reason(decision: Decided | None, mine: Set[str], rival: _Rival | None) -> str | None:
    """Return why it was out of the question, or else why the buyer left there."""
    if decision is None:
        return None
    option = decision.option(mine)
    chosen = decision.option({rival.service_id}) if rival else None
    if option is not None and option.reason is not None:
        return option.reason
    if option is not None and chosen is not None and option.score > chosen.score:
        # It ranked above the one that was chosen, so something spoke against it.
        return "other"
    return decision.reason


def _rival(journey: Journey, stage: Stage, mine: Set[str]) -> _Rival | None:
    """Return the service that the buyer went on with instead, if it went on with one."""
    ordered = [order for order in journey.orders if order.service_id not in mine]
    if ordered:
        return _Rival(ordered[-1].service_id, ordered[-1].slug)
    for later in reversed(STAGES[STAGES.index(stage) :]):
        decision = journey.decided(later)
        chosen = decision.service_id if decision and decision.outcome == "advance" else None
        if decision and chosen and chosen not in mine:
            option = decision.option({chosen})
            return _Rival(chosen, option.slug if option else chosen)
    return None


def _price(
    journey: Journey, decision: Decided | None, mine: Set[str]
) -> tuple[int | None, str | None]:
    """Return what the buyer would have paid, and the currency."""
    option = decision.option(mine) if decision else None
    if decision and option:
        return option.amount_minor, decision.currency
    seen = journey.saw(mine, "evaluating.quoted") or journey.saw(mine, "finding.")
    return (seen.amount_minor if seen else None), (decision.currency if decision else None)


def _compared(journey: Journey, mine: Set[str], rival: _Rival | None) -> dict[str, Any]:
    """Return the rival, and the trust that was reported of both."""
    own = journey.saw(mine, "trust.")
    other = journey.saw({rival.service_id}, "trust.") if rival else None
    return {
        "to_service_id": rival.service_id if rival else None,
        "to_slug": rival.slug if rival else None,
        "trust": own.trust if own else None,
        "to_trust": other.trust if other else None,
    }


def _winning(
    journey: Journey, stage: Stage, mine: Set[str], rival: _Rival | None
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
    chosen = [one for one in ranked if rival and one.service_id == rival.service_id]
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
