"""Rejected deliveries: what breaks the manifest's schema or the digest is refused, and remembered.

The refusal rolls its unit of work back; that it was refused is written behind it, in the same
commit (``delivery.rejected``). After ``MAX_REJECTED`` of them the market disputes the order itself
and resolves it at once: everything goes back, and trust is told, without any review.
"""

from typing import Any, Final

from sqlalchemy import bindparam, update

from market import sessions
from market.base.sql import Sql
from market.base.work import UnitOfWork
from market.orders.dispute_rows import Resolution, add, close, find
from market.orders.refunds import Grounds
from market.orders.rows import locked
from market.orders.settlement import fail_and_refund
from market.orders.states import MOVES
from market.orders.tables import orders
from market.protocol.events import MARKET
from market.protocol.text import one_line
from market.protocol.wire import DisputeReason
from market.sessions import NewEvent

MAX_REJECTED: Final = 3
"""Refused parts or completions of an order, after which it is not worth waiting for."""

MAX_DETAIL: Final = 200

_COUNT: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"))
    .values(rejected=orders.c.rejected + 1)
)


def reject(
    uow: UnitOfWork,
    *,
    order_id: str,
    reason: DisputeReason,
    index: int,
    detail: str,
) -> None:
    """Write that a part of a delivery, or its completion, was refused; give up on the third."""
    row = locked(uow, order_id=order_id)
    if row.state not in MOVES["fail"]:
        return  # It is delivered, or ended otherwise in this moment.
    uow.run(_COUNT, order_id=row.id)
    rejected = row.rejected + 1
    body = {
        "rejected": rejected,
        "reason": reason,
        "index": index,
        "detail": one_line(detail, MAX_DETAIL),
    }
    refused = NewEvent("delivery.rejected", MARKET, body, row.id)
    offset = sessions.append(uow, session_id=row.session_id, events=[refused]).first_offset
    if rejected >= MAX_REJECTED:
        _give_up(uow, row, reason, offset)


def _give_up(uow: UnitOfWork, row: Any, reason: DisputeReason, offset: int) -> None:
    """Open the market's own dispute, and resolve it: the log has decided."""
    dispute_id = uow.new_id("dsp")
    words = f"{MAX_REJECTED} parts of the delivery were refused ({reason})"
    _, head = sessions.head(uow, session_id=row.session_id)
    evidence = [{"offset": offset, "hash": head}]
    add(
        uow,
        row,
        dispute_id,
        opened_by=MARKET,
        reason=reason,
        detail=words,
        claim_minor=row.amount_minor,
        evidence=evidence,
        due_at=None,
    )
    body = {
        "dispute_id": dispute_id,
        "reason": reason,
        "detail": words,
        "claim_minor": row.amount_minor,
        "currency": row.currency,
        "evidence": evidence,
        "answer_by": None,
    }
    opened = NewEvent("dispute.opened", MARKET, body, row.id)
    sessions.append(uow, session_id=row.session_id, events=[opened])
    given = fail_and_refund(uow, row, Grounds("dispute", f"dispute: {words}", dispute_id))
    refunded_minor = row.amount_minor - row.captured_minor + given.refunded_minor
    resolution = Resolution("policy", words, refunded_minor, given.owed_minor)
    close(uow, row, find(uow, dispute_id=dispute_id), resolution)
