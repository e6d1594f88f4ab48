"""What follows a delivery, against its rows and its log: refunds in parts, disputes, redos."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import and_, bindparam, func, or_, select

from market.audit.findings import MAX_ROWS, Finding
from market.audit.told import Told
from market.base.sql import Sql, sum_of
from market.base.work import Snapshot
from market.ledger.tables import transactions
from market.orders import ENDED
from market.orders.tables import disputes, orders, refunds

_ORDER = [orders.c.id, orders.c.refunds, orders.c.refunded_minor, orders.c.captured_minor]
_sum_minor = sum_of(refunds.c.amount_minor)
_REFUNDS: Final = Sql(
    select(*_ORDER, _sum_minor.label("sum_minor"), func.count(refunds.c.number).label("parts"))
    .outerjoin_from(orders, refunds, refunds.c.order_id == orders.c.id)
    .group_by(*_ORDER)
    .having(
        or_(
            _sum_minor != orders.c.refunded_minor,
            func.count(refunds.c.number) != orders.c.refunds,
            orders.c.refunded_minor > orders.c.captured_minor,
        )
    )
    .limit(MAX_ROWS)
)
_UNPAID: Final = Sql(
    select(refunds.c.order_id, refunds.c.number, refunds.c.amount_minor)
    .outerjoin_from(
        refunds,
        transactions,
        and_(
            transactions.c.id == refunds.c.transaction_id,
            transactions.c.order_id == refunds.c.order_id,
            transactions.c.amount_minor == refunds.c.amount_minor,
            transactions.c.reason == "order.refund",
        ),
    )
    .where(transactions.c.id.is_(None))
    .limit(MAX_ROWS)
)
_is_resolved = disputes.c.state == "resolved"
_DISPUTES: Final = Sql(
    select(disputes.c.id, disputes.c.state, orders.c.dispute_id)
    .outerjoin_from(disputes, orders, orders.c.id == disputes.c.order_id)
    .where(
        or_(
            orders.c.id.is_(None),
            _is_resolved == (func.coalesce(orders.c.dispute_id, "") == disputes.c.id),
            _is_resolved != disputes.c.resolved_at.is_not(None),
            _is_resolved != disputes.c.decided_by.is_not(None),
            _is_resolved != disputes.c.due_at.is_(None),
        )
    )
    .limit(MAX_ROWS)
)
_redo = orders.alias("redo")
_is_over = or_(*(_redo.c.state == state for state in sorted(ENDED)))
_REDOS: Final = Sql(
    select(orders.c.id, orders.c.redo_id, _redo.c.id.label("redo"), _redo.c.state)
    .join_from(orders, _redo, or_(_redo.c.redo_of == orders.c.id, _redo.c.id == orders.c.redo_id))
    .where(
        or_(
            func.coalesce(_redo.c.redo_of, "") != orders.c.id,
            _is_over == (func.coalesce(orders.c.redo_id, "") == _redo.c.id),
        )
    )
    .limit(MAX_ROWS)
)
_OF_SESSION: Final = Sql(
    select(disputes.c.id, disputes.c.order_id, disputes.c.state, disputes.c.refund_minor).where(
        disputes.c.session_id == bindparam("session_id")
    )
)


def aftermath(snapshot: Snapshot) -> list[Finding]:
    """Return refunds that do not add up, and disputes and redos that their orders do not know."""
    findings = [
        _finding(
            f"order {row.id}",
            f"it counts {row.refunded_minor} of {row.captured_minor} refunded in {row.refunds} "
            f"parts; its {row.parts} parts come to {row.sum_minor}",
        )
        for row in snapshot.all(_REFUNDS)
    ]
    findings += [
        _finding(
            f"order {row.order_id}",
            f"the ledger does not know its refund {row.number} of {row.amount_minor}",
        )
        for row in snapshot.all(_UNPAID)
    ]
    findings += [
        _finding(
            f"dispute {row.id}",
            f"it is {row.state}, or so it seems; its order has {row.dispute_id} open",
        )
        for row in snapshot.all(_DISPUTES)
    ]
    findings += [
        _finding(
            f"order {row.id}", f"its redo {row.redo} is {row.state}; it has {row.redo_id} open"
        )
        for row in snapshot.all(_REDOS)
    ]
    return findings


def check_disputes(
    snapshot: Snapshot, session_id: str, told: Mapping[str, Told], *, is_closed: bool
) -> list[Finding]:
    """Return disputes that a session's log tells otherwise than their rows.

    What was opened or resolved after the log was complete, its rows alone know.
    """
    rows = {row.id: row for row in snapshot.all(_OF_SESSION, session_id=session_id)}
    said = {
        dispute_id: (order_id, refund_minor)
        for order_id, order in told.items()
        for dispute_id, refund_minor in order.disputes.items()
    }
    findings = [
        _finding(f"dispute {dispute_id}", "only the log knows it")
        for dispute_id in said.keys() - rows.keys()
    ]
    for dispute_id, row in rows.items():
        order_id, refund_minor = said.get(dispute_id, (None, None))
        if order_id is None and is_closed:
            continue
        is_so = row.refund_minor if row.state == "resolved" else None
        is_later = refund_minor is None and is_closed
        if order_id != row.order_id or (refund_minor != is_so and not is_later):
            detail = f"of {row.order_id}: refunded {is_so}; the log says {order_id}: {refund_minor}"
            findings.append(_finding(f"dispute {dispute_id}", detail))
    return findings


def _finding(where: str, detail: Any) -> Finding:
    return Finding(rule="aftermath", where=where, detail=detail)
