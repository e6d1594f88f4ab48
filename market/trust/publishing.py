"""Publishing: what anybody needs to find the same scores, and nobody's purchases.

Overseers read facts as they were recorded. For all others the buyer and the order have names that
are made for the batch and for the seller: whoever knows a buyer of one seller cannot find it among
those of another. With each fact stands what its buyer's word weighs, in steps of a twentieth; so
every standing can be reckoned anew from these facts, but not the weights: those are proved by who
may see the facts plain.
"""

from typing import Annotated, Any, Final

from msgspec import Meta
from sqlalchemy import bindparam, select

from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.paging import decode_cursor, encode_cursor, page_of
from market.base.sql import Sql
from market.base.work import Snapshot
from market.protocol.canonical import sha256_text
from market.protocol.wire import (
    Page,
    RingTieView,
    RingView,
    TrustBatchView,
    TrustFactsView,
    TrustFactView,
    TrustStandingView,
)
from market.trust.scoring import MICRO, RULE, Standing, memory_of, score_of
from market.trust.tables import buyers, current_batch, facts, parameters, rings, standings

FactLimit = Annotated[int, Meta(ge=1, le=1_000)]
"""Facts on one page: they are read all or not at all."""

_CURRENT: Final = Sql(current_batch)
_TYPICAL: Final = Sql(
    select(parameters.c.currency, parameters.c.typical_minor)
    .where(parameters.c.version == bindparam("version"))
    .order_by(parameters.c.currency)
)
_FACTS: Final = Sql(
    select(facts, buyers.c.vouched_micro, buyers.c.crowd_micro, buyers.c.is_anchor)
    .outerjoin(buyers, buyers.c.buyer_id == facts.c.buyer_id)
    .where(facts.c.number > bindparam("after"))
    .order_by(facts.c.number)
    .limit(bindparam("limit"))
)
_STANDINGS: Final = Sql(
    select(standings)
    .where(standings.c.seller_id > bindparam("after"))
    .order_by(standings.c.seller_id)
    .limit(bindparam("limit"))
)
_RINGS: Final = Sql(select(rings.c.ring).order_by(rings.c.place))


def batch(snapshot: Snapshot) -> TrustBatchView:
    """Return what the current batch fixed; number 0 before the first."""
    row = snapshot.one(_CURRENT)
    if row is None:
        return TrustBatchView(
            number=0,
            rule=RULE,
            parameters=0,
            weighed_at=None,
            reference_day=0,
            last_fact=0,
            typical={},
            anchors=[],
        )
    return TrustBatchView(
        number=row.number,
        rule=RULE,
        parameters=row.parameters,
        weighed_at=rfc3339(row.reference_at),
        reference_day=row.reference_day,
        last_fact=row.last_fact,
        typical=dict(snapshot.all(_TYPICAL, version=row.parameters)),
        anchors=row.anchors,
    )


def facts_page(
    snapshot: Snapshot, *, caller: Caller, cursor: str | None, limit: int
) -> TrustFactsView:
    """Return facts by number: plain for overseers, under names of this batch for all others."""
    current = batch(snapshot)
    key = decode_cursor(cursor, (int,))
    rows = snapshot.all(_FACTS, after=key[0] if key else 0, limit=limit + 1)
    shown = rows[:limit]
    if caller.is_overseer:
        items = [_plain(row) for row in shown]
    else:
        secret = snapshot.signer.sign({"names": current.number}, typ="trust-names")
        items = [_veiled(row, secret) for row in shown if not row.is_own]
    return TrustFactsView(
        batch=current,
        is_plain=caller.is_overseer,
        items=items,
        next=encode_cursor((shown[-1].number,)) if len(rows) > limit else None,
    )


def list_standings(
    snapshot: Snapshot, *, cursor: str | None, limit: int
) -> Page[TrustStandingView]:
    """Return the kept sums of every seller with a fact, by id, and the score they make."""
    key = decode_cursor(cursor, (str,))
    rows = snapshot.all(_STANDINGS, after=key[0] if key else "", limit=limit + 1)
    return page_of(rows, limit=limit, view=_standing, key=lambda row: (row.seller_id,))


def list_rings(snapshot: Snapshot, *, caller: Caller) -> Page[RingView]:
    """Return the groups that the current batch found, those with most praise of their own first.

    Overseers only: it names buyers.
    """
    caller.need("oversee")
    return Page(items=[_ring(row.ring) for row in snapshot.all(_RINGS)], next=None)


def _plain(row: Any) -> TrustFactView:
    return _fact(
        row,
        order=row.subject_id,
        buyer=row.buyer_id,
        recorded_at=rfc3339(row.recorded_at),
        is_anchor=bool(row.is_anchor),
    )


def _veiled(row: Any, secret: str) -> TrustFactView:
    """The signature is a secret that only the market can make, and makes alike every time."""
    order = sha256_text(f"{secret} order {row.subject_id}".encode())[:22]
    buyer = (
        row.buyer_id and sha256_text(f"{secret} buyer {row.seller_id} {row.buyer_id}".encode())[:22]
    )
    day = row.recorded_at.replace(hour=0, minute=0, second=0, microsecond=0)
    return _fact(row, order=order, buyer=buyer, recorded_at=rfc3339(day), is_anchor=False)


def _fact(
    row: Any, *, order: str, buyer: str | None, recorded_at: str, is_anchor: bool
) -> TrustFactView:
    is_known = row.vouched_micro is not None
    return TrustFactView(
        number=row.number,
        order=order,
        kind=row.kind,
        version=row.version,
        seller_id=row.seller_id,
        buyer=buyer,
        amount_minor=row.amount_minor,
        currency=row.currency,
        is_on_time=row.is_on_time,
        is_own=row.is_own,
        recorded_at=recorded_at,
        vouched_micro=row.vouched_micro if is_known else 0,
        crowd_micro=row.crowd_micro if is_known else MICRO,
        is_anchor=is_anchor,
    )


def _standing(row: Any) -> TrustStandingView:
    sums = Standing(*row[1:])
    found = score_of(memory_of(sums))
    return TrustStandingView(
        seller_id=row.seller_id,
        score=found.score,
        long=found.long,
        short=found.short,
        sums=sums._asdict(),
    )


def _ring(ring: dict[str, Any]) -> RingView:
    return RingView(
        sellers=ring["sellers"],
        buyers=ring["buyers"],
        ties=[
            RingTieView(
                sellers=tie["sellers"], shared=tie["shared"], chance=tie["chance_micro"] / MICRO
            )
            for tie in ring["ties"]
        ],
        reviews=ring["reviews"],
        inside=ring["inside_micro"] / MICRO,
        money=ring["money_micro"] / MICRO,
    )
