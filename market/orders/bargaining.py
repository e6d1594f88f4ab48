"""Bargaining: the catalog's counter-offers, told to the other side's inbox and to the session."""

from typing import Any, Final

from market import catalog, inbox, sessions
from market.base.caller import Caller, Signed
from market.base.errors import Conflict
from market.base.work import UnitOfWork
from market.orders.issuing import note
from market.protocol.commitments import OfferClaims
from market.protocol.events import MARKET
from market.protocol.wire import CounterState, CounterView, DeclineCounter, MakeCounter
from market.sessions import NewEvent


class BaitAndSwitch(Conflict):
    code = "bait_and_switch"
    title = "The seller asks for more than its signed price"


def counter_quote(
    uow: UnitOfWork, *, caller: Caller, quote_id: str, request: MakeCounter
) -> CounterView:
    """Name a lower price for a quote's work; the seller is told.

    Raises:
        SessionNotFound, SessionClosed: the session that it names is not the caller's open one.
        catalog's refusals: the quote is none to bargain over, or it was bargained over enough.
    """
    if request.session_id is not None:
        sessions.buyers_open_session(uow, buyer_id=caller.agent_id, session_id=request.session_id)
    made = catalog.make_counter(uow, caller=caller, quote_id=quote_id, request=request)
    body = _body(made) | {"note": made.note, "expires_at": made.expires_at}
    _note(uow, made, "quote.countered", made.buyer_id, body)
    message = body | {"units": made.units, "buyer_id": made.buyer_id}
    inbox.deliver(uow, agent_id=made.seller_id, kind="quote.countered", body=message)
    return made


def answer_counter(
    uow: UnitOfWork, *, caller: Caller, counter_id: str, signed: Signed[OfferClaims]
) -> CounterView:
    """Answer a counter-offer with a signed amount; the buyer is told, and has a quote for it.

    Raises:
        catalog's refusals: it is none of the caller's, has ended, or the offer does not fit it.
    """
    ended, is_repeat = catalog.answer_counter(
        uow, caller=caller, counter_id=counter_id, signed=signed
    )
    if not is_repeat:
        body = {"answered_minor": signed.claims.amount_minor, "quote_id": ended.answer_quote_id}
        _tell(uow, ended, caller.agent_id, body)
    return catalog.shown_to(ended, caller)


def decline_counter(
    uow: UnitOfWork, *, caller: Caller, counter_id: str, request: DeclineCounter
) -> CounterView:
    """Say no to a counter-offer; the buyer is told, and the quote stands. May be repeated.

    Raises:
        catalog's refusals: it is none of the caller's, or has another end.
    """
    ended, is_repeat = catalog.decline_counter(
        uow, caller=caller, counter_id=counter_id, reason=request.reason
    )
    if not is_repeat:
        _tell(uow, ended, caller.agent_id, {})
    return catalog.shown_to(ended, caller)


def expire_counter(uow: UnitOfWork, *, counter_id: str) -> bool:
    """End a counter-offer that nobody answered in time; say whether this did it."""
    ended = catalog.expire_counter(uow, counter_id=counter_id)
    if ended is not None:
        _tell(uow, ended, MARKET, {})
    return ended is not None


def unless_refused(answered: CounterView) -> CounterView:
    """Return an answer that stands.

    It is asked once the answer is on disk: what a seller tried stays recorded.

    Raises:
        BaitAndSwitch: it was above the seller's own price, and has ended the bargaining.
    """
    if answered.state == "refused":
        raise BaitAndSwitch(answered.detail, quoted_minor=answered.quoted_minor)
    return answered


_KINDS: Final[dict[CounterState, str]] = {
    "answered": "quote.answered",
    "refused": "quote.declined",
    "declined": "quote.declined",
    "expired": "quote.expired",
}


def _tell(uow: UnitOfWork, ended: CounterView, actor_id: str, more: dict[str, Any]) -> None:
    kind = _KINDS[ended.state]
    body = _body(ended) | more | {"detail": ended.detail, "state": ended.state}
    _note(uow, ended, kind, actor_id, body)
    inbox.deliver(uow, agent_id=ended.buyer_id, kind=kind, body=body)


def _body(one: CounterView) -> dict[str, Any]:
    return {
        "counter_id": one.id,
        "origin_quote_id": one.quote_id,
        "service_id": one.service_id,
        "slug": one.slug,
        "seller_id": one.seller_id,
        "round": one.round,
        "quoted_minor": one.quoted_minor,
        "amount_minor": one.amount_minor,
        "currency": one.currency,
    }


def _note(
    uow: UnitOfWork, one: CounterView, kind: str, actor_id: str, body: dict[str, Any]
) -> None:
    if one.session_id is not None:
        note(uow, one, NewEvent(kind, actor_id, body))
