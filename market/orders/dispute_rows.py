"""Disputes as rows: found, shown, listed, and closed with what became of them."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, func, or_, select, update

from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.paging import before_of, page_of
from market.base.sql import Sql, insert
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.orders.disputing import Decider, move
from market.orders.errors import DisputeNotFound, OrderNotFound
from market.orders.issuing import note, tell_both
from market.orders.rows import seen
from market.orders.tables import disputes, orders
from market.protocol.events import MARKET
from market.protocol.wire import DisputeReason, DisputeView, EvidenceView, Page
from market.sessions import NewEvent

MAX_DUE: Final = 100
"""Disputes with a passed deadline that are listed at once."""

_ADD: Final = Sql(insert(disputes))
_FIND: Final = Sql(select(disputes).where(disputes.c.id == bindparam("dispute_id")))
_OF_ORDER: Final = Sql(
    select(disputes)
    .where(disputes.c.order_id == bindparam("order_id"))
    .order_by(disputes.c.id)
    .limit(10)
)
_OPENED: Final = Sql(
    select(func.count().label("opened")).where(
        disputes.c.order_id == bindparam("order_id"),
        disputes.c.opened_by == bindparam("agent_id"),
    )
)
_DUE: Final = Sql(
    select(disputes.c.id)
    .where(disputes.c.due_at <= bindparam("now", type_=UtcDateTime()))
    .order_by(disputes.c.due_at)
    .limit(MAX_DUE)
)
_LIST: Final = Sql(
    select(disputes)
    .where(
        disputes.c.id < bindparam("before"),
        or_(
            bindparam("sees_all") == 1,
            disputes.c.buyer_id == bindparam("agent_id"),
            disputes.c.seller_id == bindparam("agent_id"),
            disputes.c.order_id.in_(
                select(orders.c.id).where(orders.c.principal_id == bindparam("agent_id"))
            ),
        ),
        or_(bindparam("state") == "", disputes.c.state == bindparam("state")),
        or_(bindparam("order_id") == "", disputes.c.order_id == bindparam("order_id")),
    )
    .order_by(disputes.c.id.desc())
    .limit(bindparam("limit"))
)
_RESOLVE: Final = Sql(
    update(disputes)
    .where(disputes.c.id == bindparam("dispute_id"), disputes.c.state != "resolved")
    .values(
        state="resolved",
        decided_by=bindparam("by"),
        decision=bindparam("words"),
        refund_minor=bindparam("refunded") + bindparam("owed"),
        refunded_minor=bindparam("refunded"),
        owed_minor=bindparam("owed"),
        resolved_at=bindparam("now", type_=UtcDateTime()),
        due_at=None,
    )
)
_RELEASE: Final = Sql(
    update(orders).where(orders.c.id == bindparam("order_id")).values(dispute_id=None)
)


class Resolution(NamedTuple):
    """Who decided a dispute, why, and what moved or is owed now.

    ``receipt_id``: the receipt for one that moved nothing; any movement has its own.
    """

    by: Decider
    words: str
    refunded_minor: int = 0
    owed_minor: int = 0
    receipt_id: str | None = None


def find(snapshot: Snapshot, *, dispute_id: str) -> Any:
    """Return the row of a dispute.

    Raises:
        DisputeNotFound: there is none.
    """
    row = snapshot.one(_FIND, dispute_id=dispute_id)
    if row is None:
        raise not_found()
    return row


def not_found() -> DisputeNotFound:
    """Return the one refusal for a dispute that is not there, or not for this caller."""
    return DisputeNotFound("There is no dispute under this id that you take part in.")


def of_order(snapshot: Snapshot, *, order_id: str) -> list[Any]:
    """Return the disputes of an order, oldest first."""
    return snapshot.all(_OF_ORDER, order_id=order_id)


def times_opened(snapshot: Snapshot, *, order_id: str, agent_id: str) -> int:
    """Return how often an agent has disputed an order."""
    return int(snapshot.one(_OPENED, order_id=order_id, agent_id=agent_id).opened)


def due_disputes(snapshot: Snapshot) -> list[str]:
    """Return up to 100 disputes whose present deadline has passed, the longest overdue first."""
    return [row.id for row in snapshot.all(_DUE, now=snapshot.now)]


def dispute(snapshot: Snapshot, *, caller: Caller, dispute_id: str) -> DisputeView:
    """Return a dispute as one who takes part in its order sees it.

    Raises:
        DisputeNotFound: there is none.
    """
    caller.need("read")
    row = find(snapshot, dispute_id=dispute_id)
    try:
        seen(snapshot, caller=caller, order_id=row.order_id)
    except OrderNotFound:
        raise not_found() from None
    return view(row)


def disputes_of(
    snapshot: Snapshot,
    *,
    caller: Caller,
    state: str,
    order_id: str,
    cursor: str | None,
    limit: int,
) -> Page[DisputeView]:
    """Return the disputes that the caller takes part in, or oversees, newest first.

    ``state`` and ``order_id`` filter unless "": an overseer's queue is what is not resolved.
    """
    caller.need("read")
    rows = snapshot.all(
        _LIST,
        before=before_of(cursor, "dsp"),
        sees_all=int(caller.is_overseer),
        agent_id=caller.agent_id,
        state=state,
        order_id=order_id,
        limit=limit + 1,
    )
    return page_of(rows, limit=limit, view=view, key=lambda row: (row.id,))


def add(
    uow: UnitOfWork,
    row: Any,
    dispute_id: str,
    *,
    opened_by: str,
    reason: DisputeReason,
    detail: str,
    claim_minor: int,
    evidence: list[dict[str, Any]],
    due_at: datetime | None,
) -> None:
    """Keep a new dispute about an order."""
    uow.run(
        _ADD,
        id=dispute_id,
        order_id=row.id,
        session_id=row.session_id,
        buyer_id=row.buyer_id,
        seller_id=row.seller_id,
        opened_by=opened_by,
        reason=reason,
        detail=detail,
        currency=row.currency,
        claim_minor=claim_minor,
        evidence=evidence,
        state="open",
        answer=None,
        answer_detail="",
        answer_evidence=[],
        conceded_minor=0,
        decided_by=None,
        decision="",
        refund_minor=0,
        refunded_minor=0,
        owed_minor=0,
        opened_at=uow.now,
        due_at=due_at,
        answered_at=None,
        resolved_at=None,
    )


def close(uow: UnitOfWork, row: Any, found: Any, resolution: Resolution) -> None:
    """Write that a dispute about an order (``row``) is resolved, and tell both; money has moved.

    The order has no open dispute any more.

    Raises:
        WrongDisputeState: it was resolved before.
    """
    move(found.state, "lapse")
    by, words, refunded_minor, owed_minor, receipt_id = resolution
    uow.run(
        _RESOLVE,
        dispute_id=found.id,
        by=by,
        words=words,
        refunded=refunded_minor,
        owed=owed_minor,
        now=uow.now,
    )
    uow.run(_RELEASE, order_id=row.id)
    body = {
        "dispute_id": found.id,
        "decided_by": by,
        "decision": words,
        "refund_minor": refunded_minor + owed_minor,
        "refunded_minor": refunded_minor,
        "owed_minor": owed_minor,
        "currency": row.currency,
        "receipt_id": receipt_id,
    }
    note(uow, row, NewEvent("dispute.resolved", MARKET, body, row.id))
    tell_both(uow, row, "dispute.resolved", body)


def view(row: Any) -> DisputeView:
    """Return the public form of a dispute's row."""
    return DisputeView(
        id=row.id,
        order_id=row.order_id,
        session_id=row.session_id,
        buyer_id=row.buyer_id,
        seller_id=row.seller_id,
        opened_by=row.opened_by,
        reason=row.reason,
        detail=row.detail,
        currency=row.currency,
        claim_minor=row.claim_minor,
        evidence=_evidence(row.evidence),
        state=row.state,
        answer=row.answer,
        answer_detail=row.answer_detail,
        answer_evidence=_evidence(row.answer_evidence),
        conceded_minor=row.conceded_minor,
        decided_by=row.decided_by,
        decision=row.decision,
        refund_minor=row.refund_minor,
        refunded_minor=row.refunded_minor,
        owed_minor=row.owed_minor,
        opened_at=rfc3339(row.opened_at),
        due_at=rfc3339(row.due_at) if row.due_at else None,
        answered_at=rfc3339(row.answered_at) if row.answered_at else None,
        resolved_at=rfc3339(row.resolved_at) if row.resolved_at else None,
    )


def _evidence(tree: list[dict[str, Any]]) -> list[EvidenceView]:
    return [EvidenceView(offset=item["offset"], hash=item["hash"]) for item in tree]
