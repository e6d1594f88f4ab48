"""The audit of a whole store."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import bindparam, func, or_, select

from market import ledger, orders
from market.audit import allowances, money
from market.audit.aftermath import aftermath
from market.audit.effects import unfounded
from market.audit.findings import MAX_FINDINGS, Finding, from_lines
from market.audit.holds import overdue
from market.audit.logs import audit_log
from market.audit.payees import misearned, wrongful
from market.base.sql import Sql
from market.base.streams import entries, streams
from market.base.work import Snapshot
from market.orders.tables import orders as order_rows
from market.orders.tables import receipts
from market.sessions.tables import sessions
from market.trust import batches as trust_batches

PAGE: Final = 200
"""Sessions whose ids are read at once."""

_SESSIONS_AFTER: Final = Sql(
    select(sessions.c.id)
    .where(sessions.c.id > bindparam("after"))
    .order_by(sessions.c.id)
    .limit(PAGE)
)
_counted = (
    select(
        entries.c.stream_id,
        func.count().label("entries"),
        func.min(entries.c.offset).label("first"),
        func.max(entries.c.offset).label("last"),
    )
    .group_by(entries.c.stream_id)
    .subquery()
)
_found = func.coalesce(_counted.c.entries, 0)
_first = func.coalesce(streams.c.forked_at, 0)
_UNCOUNTED: Final = Sql(
    select(streams.c.id, streams.c.next_offset, _found.label("entries"), _counted.c.last)
    .outerjoin_from(streams, _counted, _counted.c.stream_id == streams.c.id)
    .where(
        streams.c.is_gone == 0,
        or_(
            _found != streams.c.next_offset - _first,
            _counted.c.first != _first,
            _counted.c.last != streams.c.next_offset - 1,
        ),
    )
    .limit(MAX_FINDINGS)
)
_UNOWNED: Final = Sql(
    select(receipts.c.id, receipts.c.order_id)
    .outerjoin_from(receipts, order_rows, order_rows.c.id == receipts.c.order_id)
    .where(order_rows.c.id.is_(None))
    .limit(MAX_FINDINGS)
)
_DOUBLED: Final = Sql(
    select(
        receipts.c.order_id,
        func.count().label("number"),
        func.min(receipts.c.id).label("first"),
        func.max(receipts.c.id).label("last"),
    )
    .where(receipts.c.outcome != "refunded", receipts.c.outcome != "resolved")
    .group_by(receipts.c.order_id)
    .having(func.count() > 1)
    .limit(MAX_FINDINGS)
)


def audit(snapshot: Snapshot) -> list[Finding]:
    """Return every way in which the store is broken; an empty list proves it whole.

    It reads everything there is, session by session in pages: run it in a scan. After
    ``MAX_FINDINGS`` it stops looking.
    """
    findings: list[Finding] = []
    for found in _checks(snapshot):
        findings += found
        if len(findings) >= MAX_FINDINGS:
            break
    return findings[:MAX_FINDINGS]


def _checks(snapshot: Snapshot) -> Iterator[list[Finding]]:
    yield from_lines("ledger", ledger.check(snapshot))
    yield money.escrows(snapshot)
    yield overdue(snapshot)
    yield money.strays(snapshot)
    yield aftermath(snapshot)
    yield wrongful(snapshot)
    yield misearned(snapshot)
    yield money.mandate_counters(snapshot)
    yield allowances.unallowed(snapshot)
    yield allowances.windows(snapshot)
    yield from_lines("orders", orders.check(snapshot))
    yield from_lines("trust", trust_batches.check(snapshot))
    yield _uncounted(snapshot)
    yield _unowned(snapshot)
    yield _doubled(snapshot)
    yield from unfounded(snapshot)
    after = ""
    while page := snapshot.all(_SESSIONS_AFTER, after=after):
        for row in page:
            yield audit_log(snapshot, session_id=row.id)
        after = page[-1].id


def _uncounted(snapshot: Snapshot) -> list[Finding]:
    """V9: streams whose entries are not 0 to next_offset - 1; a fork's begin where it forked."""
    return [
        Finding(
            rule="streams",
            where=f"stream {row.id}",
            detail=f"it counts {row.next_offset} entries and has {row.entries}, "
            f"the last at offset {row.last}",
        )
        for row in snapshot.all(_UNCOUNTED)
    ]


def _unowned(snapshot: Snapshot) -> list[Finding]:
    """Receipts for orders that are not there."""
    return [
        Finding(
            rule="receipts",
            where=f"receipt {row.id}",
            detail=f"it is for {row.order_id}, no such order",
        )
        for row in snapshot.all(_UNOWNED)
    ]


def _doubled(snapshot: Snapshot) -> list[Finding]:
    """V7: an order ends once, and has one receipt of its ending."""
    return [
        Finding(
            rule="receipts",
            where=f"order {row.order_id}",
            detail=f"expected one receipt of its ending, found {row.number}: {row.first} to "
            f"{row.last}",
        )
        for row in snapshot.all(_DOUBLED)
    ]
