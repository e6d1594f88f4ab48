"""What became of a seller in a journey that saw it: won, open, or lost, where, and to whom. Pure.

A seller comes as far as the last stage in which the buyer looked at it: it was *listed* (finding),
*read* or *weighed* (evaluating), its *trust* was asked for (trust-checking), it was *chosen*
(transacting) or *ordered*. There it is lost when the journey went on without it, or ended.
"""

from collections.abc import Set
from typing import Any, Final, Literal, NamedTuple

import msgspec

from market.analytics.causes import UNSAID, cause_of
from market.analytics.journeys import Decided, Journey, Ordered
from market.analytics.refusals import gate_in
from market.analytics.winning import Basis, winning_of
from market.orders import ENDED
from market.protocol.events import STAGES, Stage

_ENDS: Final[dict[Stage, Stage]] = {
    "finding": "evaluating",
    # The first choice may yet fail the check of its trust, and the next one have its turn.
    "evaluating": "trust_checking",
    "trust_checking": "trust_checking",
    "transacting": "transacting",
}
"""The stage whose decision ends the hope of a seller that came to this one."""

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
    cause: str | None = None
    paid_minor: int = 0


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
    rival_id = rival.service_id if rival else None
    winning_minor, basis = winning_of(journey, stage, mine, rival_id)
    reason = _reason(decision, mine, rival)
    words = _words(decision, mine) if decision and reason else ""
    return Loss(
        session_id=journey.session_id,
        buyer_id=journey.buyer_id,
        stage=stage,
        reason=reason,
        amount_minor=own_minor,
        currency=currency,
        winning_minor=winning_minor,
        basis=basis,
        detail=words,
        cause=_gate(reason, words) or reason or cause_of(journey, stage, mine, rival_id),
        **_compared(journey, mine, rival),
    )


def _fate_of_order(journey: Journey, order: Ordered, mine: Set[str]) -> Fate:
    left = journey.left_stage if journey.left_stage in ("transacting", "using") else None
    if order.state == "settled" and left is None:
        return "won"
    if order.state not in ENDED:
        return "open"
    decision = journey.decided(left) if left else None
    reason = journey.left_reason if left else _REASONS[order.state]
    return Loss(
        session_id=journey.session_id,
        buyer_id=journey.buyer_id,
        stage=left or "using",
        reason=reason,
        amount_minor=order.amount_minor,
        currency=order.currency,
        winning_minor=None,
        basis=None,
        detail=decision.detail if decision else "",
        cause=reason or UNSAID,
        paid_minor=order.captured_minor - order.refunded_minor,
        **_compared(journey, mine, _rival(journey, "using", mine)),
    )


def _gate(reason: str | None, words: str) -> str | None:
    """Return the gate of the market that stood in the way, where the buyer's words tell of one."""
    return gate_in(words) if reason == "other" else None


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
