"""Disputes: a buyer says that a delivery is wrong, and money follows what is decided.

Money of a delivered order stays in escrow until its dispute is resolved; what goes back then is a
void. A settled order is not touched by being disputed; what goes back of it is a refund. Whoever
decides, only the ledger's verbs move anything, and never more than is left.
"""

from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import bindparam, update

from market import catalog, identity, inbox, trust
from market.base.caller import Caller
from market.base.clock import rfc3339, spoken
from market.base.sql import Sql
from market.base.tables import JsonText, UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.orders.awarding import award, stake_of
from market.orders.dispute_rows import add, find, not_found, times_opened, view
from market.orders.disputing import at_deadline, move, rule
from market.orders.errors import (
    ClaimTooLarge,
    DisputeOpen,
    DisputeTooLate,
    NothingAtStake,
    OrderNotFound,
    RedoUnderWay,
    TooManyDisputes,
    WrongDisputeState,
)
from market.orders.evidence import gather, known_of, refer
from market.orders.issuing import note
from market.orders.redoing import redos
from market.orders.refunds import exceeded
from market.orders.rows import buyers, locked, sellers
from market.orders.states import move as move_order
from market.orders.tables import disputes, orders
from market.protocol.money import Money
from market.protocol.wire import AnswerDispute, DisputeView, OpenDispute, ResolveDispute
from market.sessions import NewEvent

MAX_DISPUTES: Final = 3
"""Disputes that a buyer may open about one order."""

_BEGIN: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"))
    .values(dispute_id=bindparam("new_dispute_id"), due_at=bindparam("due", type_=UtcDateTime()))
)
_WAIT: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"))
    .values(due_at=bindparam("due", type_=UtcDateTime()))
)
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


def open_dispute(
    uow: UnitOfWork, *, caller: Caller, order_id: str, request: OpenDispute
) -> DisputeView:
    """Dispute a delivery as its buyer. Where the log decides, it is resolved at once.

    Raises:
        OrderNotFound: the caller has placed no such order.
        WrongState: nothing was delivered, or it ended otherwise.
        DisputeOpen, RedoUnderWay: one thing at a time.
        DisputeTooLate, TooManyDisputes, NothingAtStake, ClaimTooLarge, BadEvidence: as they say.
    """
    caller.need("order")
    row = buyers(uow, caller=caller, order_id=order_id)
    _check(uow, row)
    stake_minor = stake_of(row)
    if not stake_minor:
        raise NothingAtStake("Nothing of its payment is left that could go back.")
    claim_minor = request.claim_minor or stake_minor
    if claim_minor > stake_minor:
        raise ClaimTooLarge(
            f"{Money(stake_minor, row.currency)} is at stake.",
            claim_minor=claim_minor,
            stake_minor=stake_minor,
        )
    events = gather(uow, session_id=row.session_id, offsets=request.evidence)
    ruling = rule(
        request.reason, claim_minor, known_of(uow, row, request.reason, stake_minor, events)
    )
    dispute_id = _add(uow, row, caller, request, claim_minor, refer(events))
    if ruling is not None:
        found = find(uow, dispute_id=dispute_id)
        award(uow, row, found, "policy", ruling.words, ruling.refund_minor)
    return view(find(uow, dispute_id=dispute_id))


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
        uow.run(_WAIT, order_id=row.id, due=due)
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


def dispute_until(snapshot: Snapshot, row: Any) -> datetime:
    """Return until when a delivered or settled order may be disputed."""
    if row.ended_at is None:
        until: datetime = row.accept_by
        return until
    policies = catalog.manifest_of(snapshot, manifest_digest=row.manifest_digest).policies
    seconds = policies.dispute_window_seconds
    if seconds is None:
        seconds = snapshot.settings.dispute_window_seconds
    # What was delivered again may be inspected anew.
    ends = [one.ended_at for one in redos(snapshot, order_id=row.id) if one.ended_at is not None]
    latest: datetime = max([row.ended_at, *ends])
    return latest + timedelta(seconds=seconds)


def _check(uow: UnitOfWork, row: Any) -> None:
    """Let pass an order that its buyer may dispute now."""
    move_order(row.state, "dispute")
    if row.dispute_id is not None:
        raise DisputeOpen("Wait for it to be resolved.", dispute_id=row.dispute_id)
    if row.redo_id is not None:
        raise RedoUnderWay("Wait for it, then dispute.", order_id=row.redo_id)
    until = dispute_until(uow, row)
    if uow.now > until:
        raise DisputeTooLate(f"It could be disputed until {spoken(until)}.", until=rfc3339(until))
    if times_opened(uow, order_id=row.id, agent_id=row.buyer_id) >= MAX_DISPUTES:
        raise TooManyDisputes(
            f"An order is disputed at most {MAX_DISPUTES} times.", max_disputes=MAX_DISPUTES
        )


def _add(
    uow: UnitOfWork,
    row: Any,
    caller: Caller,
    request: OpenDispute,
    claim_minor: int,
    evidence: list[dict[str, Any]],
) -> str:
    """Write a new dispute, hold the order's deadlines, and tell the seller; return its id."""
    dispute_id = uow.new_id("dsp")
    answer_by = uow.now + timedelta(seconds=uow.settings.dispute_answer_seconds)
    add(
        uow,
        row,
        dispute_id,
        opened_by=caller.agent_id,
        reason=request.reason,
        detail=request.detail,
        claim_minor=claim_minor,
        evidence=evidence,
        due_at=answer_by,
    )
    due = answer_by if row.state == "delivered" else None
    uow.run(_BEGIN, order_id=row.id, new_dispute_id=dispute_id, due=due)
    body = {
        "dispute_id": dispute_id,
        "reason": request.reason,
        "detail": request.detail,
        "claim_minor": claim_minor,
        "currency": row.currency,
        "evidence": evidence,
        "answer_by": rfc3339(answer_by),
    }
    note(uow, row, NewEvent("dispute.opened", caller.agent_id, body, row.id))
    trust.record(
        uow,
        kind="order.disputed",
        order_id=row.id,
        service_id=row.service_id,
        seller_id=row.seller_id,
        buyer_id=row.buyer_id,
        currency=row.currency,
    )
    message = {"order_id": row.id, "session_id": row.session_id, **body}
    inbox.deliver(uow, agent_id=row.seller_id, kind="dispute.opened", body=message)
    return dispute_id


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
