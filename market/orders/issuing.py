"""What is said of an order behind its back: receipts, messages, notes in a log that is open."""

from typing import Any, Final

from market import inbox, sessions
from market.base.clock import seconds_of
from market.base.sql import Sql, insert
from market.base.work import UnitOfWork
from market.orders.tables import receipts
from market.protocol.commitments import RECEIPT, ReceiptClaims, ReceiptOutcome
from market.protocol.text import one_line
from market.sessions import NewEvent

MAX_REASON: Final = 200
"""Characters of a reason that a receipt repeats: one line, as its form has it."""

_ADD_RECEIPT: Final = Sql(insert(receipts))


def issue(
    uow: UnitOfWork,
    row: Any,
    receipt_id: str,
    *,
    outcome: ReceiptOutcome,
    reason: str | None,
    captured_minor: int,
    fee_minor: int,
    returned_minor: int,
    refunded_minor: int = 0,
    fee_returned_minor: int = 0,
) -> None:
    """Sign and keep a receipt over the log as it stands before the event that names it."""
    next_offset, log_hash = sessions.head(uow, session_id=row.session_id)
    claims = ReceiptClaims(
        iss=uow.settings.issuer,
        aud=uow.settings.issuer,
        iat=seconds_of(uow.now),
        receipt_id=receipt_id,
        order_id=row.id,
        session_id=row.session_id,
        outcome=outcome,
        # The whole of it, which may be a paragraph, is in the log.
        reason=one_line(reason or "", MAX_REASON) or None,
        buyer_id=row.buyer_id,
        seller_id=row.seller_id,
        service_id=row.service_id,
        quote_digest=row.quote_digest,
        input_digest=row.input_digest,
        delivery_digest=row.delivery_digest or None,
        units=row.units_delivered,
        currency=row.currency,
        held_minor=row.amount_minor,
        captured_minor=captured_minor,
        fee_minor=fee_minor,
        referrer_id=row.referrer_id if row.referral_minor else None,
        referral_minor=row.referral_minor,
        returned_minor=returned_minor,
        refunded_minor=refunded_minor,
        fee_returned_minor=fee_returned_minor,
        first_offset=row.first_offset,
        last_offset=next_offset - 1,
        log_hash=log_hash,
    )
    uow.run(
        _ADD_RECEIPT,
        id=receipt_id,
        order_id=row.id,
        outcome=outcome,
        issued_at=uow.now,
        receipt=uow.signer.sign(claims, typ=RECEIPT),
    )


def tell_both(uow: UnitOfWork, row: Any, kind: str, body: dict[str, Any]) -> None:
    """Send both parties of an order the same message, with its order and its session."""
    message = {"order_id": row.id, "session_id": row.session_id, **body}
    for agent_id in (row.buyer_id, row.seller_id):
        inbox.deliver(uow, agent_id=agent_id, kind=kind, body=message)


def note(uow: UnitOfWork, row: Any, *events: NewEvent) -> None:
    """Append to the journey's log while it is open; what follows an order outlives it."""
    if sessions.is_open(uow, session_id=row.session_id):
        sessions.append(uow, session_id=row.session_id, events=events)
