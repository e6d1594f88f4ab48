"""Disputes as they are decided: by the seller's word, an overseer's, the buyer's, or a deadline."""

from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import bindparam, update

from market import identity, inbox
from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.sql import Sql
from market.base.tables import JsonText, UtcDateTime
from market.base.work import UnitOfWork
from market.orders.awarding import award, put_off, stake_of
from market.orders.dispute_rows import find, not_found, view
from market.orders.disputing import at_deadline, move
from market.orders.errors import ClaimTooLarge, OrderNotFound, WrongDisputeState
from market.orders.evidence import gather, refer
from market.orders.issuing import note
from market.orders.refunds import exceeded
from market.orders.rows import buyers, locked, sellers
from market.orders.tables import disputes
from market.protocol.money import Money
from market.protocol.wire import AnswerDispute, DisputeView, ResolveDispute
from market.sessions import NewEvent

_ANSWER: Final = Sql(
    update(disputes)
    .where(disputes.c.id == bindparam("dispute_id"), disputes.c.state == "open")
    .values(
        state=bindparam("new_state"),
        answer=bindparam("said"),
        answer_detail=bindparam("words"),
        answer_evidence=bindparam("pointed_to", type_=JsonText()),
        conceded_minor=bindparam("conceded"),
        answered_at=bindparam("now", type_=UtcDateTime()),
        due_at=bindparam("due", type_=UtcDateTime()),
    )
)


def answer_dispute(
    uow: UnitOfWork, *, caller: Caller, dispute_id: str, request: AnswerDispute
) -> DisputeView:
    """Concede what a buyer claims, or a part of it, or contest it, as the order's seller.

    All conceded, it is resolved; else what is not conceded waits for an overseer.

    Raises:
        DisputeNotFound: the caller delivered no such order.
        WrongDisputeState: it was answered, or resolved, or the time to answer is over.
        ClaimTooLarge: more is conceded than was claimed.
        BadEvidence: the log has no such offset.
    """
    caller.need("order")
    row, found = _own(uow, caller, dispute_id, is_seller=True)
    move(found.state, request.answer)
    if found.due_at <= uow.now:
        raise WrongDisputeState("The time to answer is over.", state=found.state)
    conceded = (request.concede_minor or found.claim_minor) if request.answer == "concede" else 0
    if conceded > found.claim_minor:
        raise ClaimTooLarge(
            f"{Money(found.claim_minor, row.currency)} is claimed.", claim_minor=found.claim_minor
        )
    events = gather(uow, session_id=row.session_id, offsets=request.evidence)
    due = uow.now + timedelta(seconds=uow.settings.dispute_decide_seconds)
    _keep_answer(uow, found, request, conceded, refer(events), due)
    body = {
        "dispute_id": found.id,
        "answer": request.answer,
        "detail": request.detail,
        "conceded_minor": conceded,
        "currency": row.currency,
        "evidence": refer(events),
        "decide_by": rfc3339(due) if conceded < found.claim_minor else None,
    }
    note(uow, row, NewEvent("dispute.answered", caller.agent_id, body, row.id))
    message = {"order_id": row.id, "session_id": row.session_id, **body}
    inbox.deliver(uow, agent_id=row.buyer_id, kind="dispute.answered", body=message)
    if conceded == found.claim_minor:
        found = find(uow, dispute_id=dispute_id)
        award(uow, row, found, "seller", "the seller concedes the claim", conceded)
    elif row.state == "delivered":
        put_off(uow, order_id=row.id, until=due)
    return view(find(uow, dispute_id=dispute_id))


def resolve_dispute(
    uow: UnitOfWork, *, caller: Caller, dispute_id: str, request: ResolveDispute
) -> DisputeView:
    """Decide a dispute as an overseer: so much goes back, for this reason.

    Raises:
        OverseersOnly: the caller is none; a principal decides nothing for its own buyer.
        DisputeNotFound: there is no such dispute.
        WrongDisputeState: it is resolved.
        RefundExceeded: less than that is at stake.
    """
    caller.need("oversee")
    if not caller.is_overseer:
        raise identity.OverseersOnly("Ask an overseer of the market.")
    row = _order_of(uow, dispute_id)
    found = find(uow, dispute_id=dispute_id)
    move(found.state, "decide")
    if request.refund_minor > (stake_minor := stake_of(row)):
        raise exceeded(row, request.refund_minor, stake_minor)
    award(uow, row, found, "overseer", request.reason, request.refund_minor)
    return view(find(uow, dispute_id=dispute_id))


def withdraw_dispute(uow: UnitOfWork, *, caller: Caller, dispute_id: str) -> DisputeView:
    """Take a dispute back as the buyer who opened it: nothing goes back.

    Raises:
        DisputeNotFound: the caller opened no such dispute.
        WrongDisputeState: it is resolved.
    """
    caller.need("order")
    row, found = _own(uow, caller, dispute_id, is_seller=False)
    move(found.state, "withdraw")
    award(uow, row, found, "buyer", "the buyer took it back", 0)
    return view(find(uow, dispute_id=dispute_id))


def expire_dispute(uow: UnitOfWork, *, dispute_id: str) -> Literal["nothing", "dispute_ended"]:
    """Do what a dispute's passed deadline means; nothing if someone was faster."""
    row = _order_of(uow, dispute_id)
    found = find(uow, dispute_id=dispute_id)
    if found.due_at is None or found.due_at > uow.now:
        return "nothing"
    ruling = at_deadline(found.state, found.claim_minor, found.conceded_minor)
    award(uow, row, found, "deadline", ruling.words, ruling.refund_minor)
    return "dispute_ended"


def _own(uow: UnitOfWork, caller: Caller, dispute_id: str, *, is_seller: bool) -> tuple[Any, Any]:
    """Return, locked, the order of a dispute in which the caller has this part, and the dispute."""
    order_id = find(uow, dispute_id=dispute_id).order_id
    try:
        row = (sellers if is_seller else buyers)(uow, caller=caller, order_id=order_id)
    except OrderNotFound:
        raise not_found() from None
    # Read behind the lock: another worker may have resolved it meanwhile.
    return row, find(uow, dispute_id=dispute_id)


def _order_of(uow: UnitOfWork, dispute_id: str) -> Any:
    return locked(uow, order_id=find(uow, dispute_id=dispute_id).order_id)


def _keep_answer(
    uow: UnitOfWork,
    found: Any,
    request: AnswerDispute,
    conceded_minor: int,
    evidence: list[dict[str, Any]],
    due: datetime,
) -> None:
    is_over = conceded_minor == found.claim_minor
    uow.run(
        _ANSWER,
        dispute_id=found.id,
        new_state="open" if is_over else "answered",
        said=request.answer,
        words=request.detail,
        pointed_to=evidence,
        conceded=conceded_minor,
        now=uow.now,
        due=due,
    )
