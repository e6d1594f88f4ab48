"""One session's log against everything it speaks of: order rows, chunks, money and receipts."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, func, select

from market.audit.aftermath import check_disputes
from market.audit.checkpoints import check_checkpoints
from market.audit.findings import Finding
from market.audit.reading import Log, findings_in, read_log
from market.audit.receipts import check_receipts, read_receipts
from market.audit.told import Movement, Told
from market.base import streams
from market.base.clock import rfc3339
from market.base.sql import Sql, among
from market.base.work import Snapshot
from market.ledger.posting import refund_key
from market.ledger.tables import postings, transactions
from market.orders.tables import orders, receipts, refunds
from market.protocol.proving import LogReport
from market.sessions.tables import sessions

ACTS: Final = ("hold", "capture", "void", "refund", "withhold", "forfeit")
"""The ways in which an order's money moves, each under the key ``<order>:<act>``. What moves in
parts has a number behind it from the second part on: ``<order>:capture:2``; what a bond loses by a
dispute has the dispute: ``<order>:forfeit:dsp_...``."""

NUMBERED: Final = ("capture", "refund", "forfeit")
"""What may move in parts."""

_is_asked = orders.c.session_id == bindparam("session_id")
_SESSION: Final = Sql(select(sessions.c.closed_at).where(sessions.c.id == bindparam("session_id")))
_ORDERS: Final = Sql(
    select(*[column for column in orders.c if column.name not in {"commitment"}]).where(_is_asked)
)
_RECEIPTS: Final = Sql(
    select(receipts.c.id, receipts.c.order_id, receipts.c.outcome, receipts.c.receipt)
    .join_from(orders, receipts, receipts.c.order_id == orders.c.id)
    .where(_is_asked)
)
_PARTS: Final = Sql(
    select(refunds.c.receipt_id, refunds.c.amount_minor)
    .join_from(orders, refunds, refunds.c.order_id == orders.c.id)
    .where(_is_asked)
)
_house = postings.alias("house")
_FIELDS: Final = (
    transactions.c.order_id,
    transactions.c.reason,
    transactions.c.amount_minor,
    func.coalesce(_house.c.amount_minor, 0).label("fee_minor"),
    transactions.c.recorded_at,
)
_is_fee = (_house.c.transaction_id == transactions.c.id) & (
    _house.c.account_id == "fees:" + orders.c.currency
)
_ESCROWED: Final = Sql(
    select(*_FIELDS)
    .join_from(orders, postings, postings.c.account_id == orders.c.escrow_id)
    .join(transactions, transactions.c.id == postings.c.transaction_id)
    .outerjoin(_house, _is_fee)
    .where(_is_asked)
)
_refunds = (
    select(*_FIELDS)
    .join_from(transactions, orders, orders.c.id == transactions.c.order_id)
    .outerjoin(_house, _is_fee)
)
_REFUNDED: Final = Sql(among(_refunds, transactions.c.idempotency_key, "keys"))


class ProvenLog(NamedTuple):
    """One session's log proven: what it is by itself, and all that disagrees with it."""

    report: LogReport | None
    findings: list[Finding]


def audit_log(snapshot: Snapshot, *, session_id: str) -> list[Finding]:
    """Return every way in which one session's log, orders, money and receipts disagree."""
    return prove_log(snapshot, session_id=session_id).findings


def prove_log(snapshot: Snapshot, *, session_id: str, tokens: Sequence[str] = ()) -> ProvenLog:
    """Hold one session's log against itself, its checkpoints, its orders, money and receipts.

    ``tokens`` are checkpoints that somebody kept elsewhere. The log is read in pages; its orders
    are held in memory. Without a log there is no report.
    """
    stream = streams.stream(snapshot, stream_id=session_id)
    if stream is None:
        lost = Finding(rule="log", where=session_id, detail="the session has no log")
        return ProvenLog(None, [lost])
    rows = {row.id: row for row in snapshot.all(_ORDERS, session_id=session_id)}
    signed, findings = read_receipts(
        snapshot.all(_RECEIPTS, session_id=session_id), snapshot.signer.public
    )
    checkpoints = check_checkpoints(snapshot, session_id=session_id, stream=stream, tokens=tokens)
    log = read_log(
        snapshot,
        session_id=session_id,
        anchors=checkpoints.anchors,
        wanted=[receipt.last_offset for receipt in signed],
    )
    closed_at = snapshot.one(_SESSION, session_id=session_id).closed_at
    moved: dict[str, list[Movement]] = {}
    for row in _movements(snapshot, session_id, rows.values()):
        at = rfc3339(row.recorded_at)
        movement = Movement(row.reason, row.amount_minor, row.fee_minor, at)
        moved.setdefault(row.order_id, []).append(movement)
    findings += [
        *findings_in(log.report),
        *checkpoints.findings,
        *_check_end(stream, session_id, log, is_closed=closed_at is not None),
        *_check_orders(rows, log.told),
        *_check_movements(moved, log.told, rfc3339(closed_at) if closed_at else None),
        *check_receipts(signed, rows, log.hashes, _parts(snapshot, session_id)),
        *check_disputes(snapshot, session_id, log.told, is_closed=closed_at is not None),
    ]
    return ProvenLog(log.report, findings)


def _parts(snapshot: Snapshot, session_id: str) -> dict[str, int]:
    """What went back by each refund of a session's orders, by its receipt."""
    rows = snapshot.all(_PARTS, session_id=session_id)
    return {row.receipt_id: row.amount_minor for row in rows}


def _movements(snapshot: Snapshot, session_id: str, rows: Iterable[Any]) -> list[Any]:
    """What went through the escrows of a session's orders, and what came back later."""
    # One number more than is counted: a refund that nobody counted is found too.
    keys = [refund_key(row.id, number) for row in rows for number in range(1, row.refunds + 2)]
    return [
        *snapshot.all(_ESCROWED, session_id=session_id),
        *snapshot.all(_REFUNDED, keys=keys),
    ]


def _check_end(
    stream: streams.Stream, session_id: str, log: Log, *, is_closed: bool
) -> list[Finding]:
    """The log must end where its stream and its session say that it ends."""
    details = []
    if log.head != stream.head:
        details.append("the last event's hash is not the head of the log")
    closings = (is_closed, stream.is_closed, log.last_kind == "session.closed")
    if len(set(closings)) > 1:
        said = "session {}, log {}, last event {}".format(*closings)
        details.append(f"it is not agreed whether it is closed: {said}")
    return [Finding(rule="log", where=session_id, detail=detail) for detail in details]


def _check_orders(rows: Mapping[str, Any], told: Mapping[str, Told]) -> list[Finding]:
    """Rows and log must know the same orders, in the same state, with the same chunks."""
    findings = [
        Finding(rule="orders", where=f"order {order_id}", detail="the log does not know it")
        for order_id in rows.keys() - told.keys()
    ] + [
        Finding(rule="orders", where=f"order {order_id}", detail="only the log knows it")
        for order_id in told.keys() - rows.keys()
    ]
    for order_id in rows.keys() & told.keys():
        row, order = rows[order_id], told[order_id]
        kept = (row.state, row.chunks_delivered, row.units_delivered, row.delivery_digest)
        heard = (order.state, order.chunks, order.units, order.digest)
        if kept != heard:
            detail = f"state, chunks, units and digest are {kept}; the log says {heard}"
            findings.append(Finding(rule="orders", where=f"order {order_id}", detail=detail))
        findings += [
            Finding(rule="orders", where=f"order {order_id}", detail=turn)
            for turn in order.wrong_turns
        ]
    return findings


def _check_movements(
    moved: Mapping[str, list[Movement]], told: Mapping[str, Told], closed_at: str | None
) -> list[Finding]:
    """V9: money moved as the log says, at the same moment, and in no other way."""
    findings: list[Finding] = []
    for order_id in moved.keys() | told.keys():
        real = Counter(moved.get(order_id, ()))
        said = Counter(told[order_id].movements if order_id in told else ())
        # Support outlives the log: a refund after the close has its receipt alone.
        unsaid = [one for one in (real - said).elements() if not _is_after(one, closed_at)]
        findings += _differences(order_id, "moved, and the log does not say so", unsaid)
        unmoved = (said - real).elements()
        findings += _differences(order_id, "said by the log, and did not move so", unmoved)
    return findings


def _is_after(movement: Movement, closed_at: str | None) -> bool:
    return (
        movement.reason == "order.refund"
        and closed_at is not None
        and movement.recorded_at >= closed_at
    )


def _differences(order_id: str, what: str, movements: Iterable[Movement]) -> list[Finding]:
    return [
        Finding(
            rule="movements",
            where=f"order {order_id}",
            detail=f"{one.reason} of {one.amount_minor} (fee {one.fee_minor}) at "
            f"{one.recorded_at}: {what}",
        )
        for one in sorted(movements)
    ]
