"""Disputes as they are opened: a buyer says that a delivery is wrong, while there is time.

Money of a delivered order stays in escrow until its dispute is resolved; what goes back then is a
void. A settled order is not touched by being disputed; what goes back of it is a refund. Whoever
decides (``deciding``, or the log at once), only the ledger's verbs move anything, and never more
than is left.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import bindparam, update

from market import catalog, inbox, trust
from market.base.caller import Caller
from market.base.clock import rfc3339, spoken
from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.orders.awarding import award, stake_of
from market.orders.dispute_rows import add, find, times_opened, view
from market.orders.disputing import rule
from market.orders.errors import (
    ClaimTooLarge,
    DisputeOpen,
    DisputeTooLate,
    NothingAtStake,
    RedoUnderWay,
    TooManyDisputes,
)
from market.orders.evidence import gather, known_of, refer
from market.orders.hanging import dispute_window
from market.orders.issuing import note
from market.orders.redoing import redos
from market.orders.rows import buyers
from market.orders.states import move as move_order
from market.orders.tables import orders
from market.protocol.money import Money
from market.protocol.wire import DisputeView, OpenDispute
from market.sessions import NewEvent

MAX_DISPUTES: Final = 3
"""Disputes that a buyer may open about one order."""

_BEGIN: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"))
    .values(dispute_id=bindparam("new_dispute_id"), due_at=bindparam("due", type_=UtcDateTime()))
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


def dispute_until(snapshot: Snapshot, row: Any) -> datetime:
    """Return until when a delivered or settled order may be disputed."""
    if row.ended_at is None:
        until: datetime = row.accept_by
        return until
    policies = catalog.manifest_of(snapshot, manifest_digest=row.manifest_digest).policies
    # What was delivered again may be inspected anew.
    ends = [one.ended_at for one in redos(snapshot, order_id=row.id) if one.ended_at is not None]
    latest: datetime = max([row.ended_at, *ends])
    return latest + dispute_window(policies, snapshot.settings)


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
