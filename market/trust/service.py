"""Verbs of trust: record facts, and report what they amount to."""

from typing import Any, Final, cast

from sqlalchemy import ColumnElement, Insert, bindparam, case, func, literal_column, select, text

from market.base.sql import Sql, insert_ignore, upsert
from market.base.tables import JsonText
from market.base.work import Snapshot, UnitOfWork
from market.protocol.wire import TrustView
from market.trust.scoring import (
    COUNTER,
    MICRO,
    RULE,
    Counts,
    FactKind,
    Standing,
    flags_of,
    score_of,
    voice,
)
from market.trust.tables import facts, pairs, standings

_ADD_FACT: Final = Sql(insert_ignore(facts))

_add_to_pair = upsert(
    pairs,
    keys=["seller_id", "buyer_id"],
    set_={
        name: pairs.c[name] + literal_column(f"excluded.{name}")
        for name in ("facts", *Counts._fields)
    },
)
_pair_counts = [pairs.c[name] for name in ("facts", *Counts._fields)]
_ADD_TO_PAIR: Final = Sql.per_dialect(
    sqlite=cast(Insert, _add_to_pair.sqlite).returning(*_pair_counts),
    postgresql=cast(Insert, _add_to_pair.postgresql).returning(*_pair_counts),
)

_ADD_TO_STANDING: Final = Sql(
    upsert(
        standings,
        keys=["seller_id"],
        set_={
            name: standings.c[name] + literal_column(f"excluded.{name}")
            for name in Standing._fields
        },
    )
)

_STANDING: Final = Sql(
    select(*[standings.c[name] for name in Standing._fields]).where(
        standings.c.seller_id == bindparam("seller_id")
    )
)

_evidence = select(standings.c.seller_id, standings.c.good_micro, standings.c.bad_micro)
_seller_ids = bindparam("seller_ids", type_=JsonText())
_EVIDENCE: Final = Sql.per_dialect(
    sqlite=_evidence.where(
        text("seller_id IN (SELECT value FROM json_each(:seller_ids))").bindparams(_seller_ids)
    ),
    postgresql=_evidence.where(
        text(
            "seller_id IN (SELECT jsonb_array_elements_text(CAST(:seller_ids AS jsonb)))"
        ).bindparams(_seller_ids)
    ),
)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))


_RECOUNT: Final = Sql(
    select(
        facts.c.buyer_id,
        *[_count(facts.c.kind == kind).label(name) for kind, name in COUNTER.items()],
        _count(facts.c.is_on_time == 1).label("on_time"),
        _count(facts.c.kind.startswith("price.", autoescape=False)).label("price_changes"),
        _count(facts.c.kind == "price.raised").label("price_raises"),
    )
    .where(facts.c.seller_id == bindparam("seller_id"))
    .group_by(facts.c.buyer_id)
)

_SELLERS_AFTER: Final = Sql(
    select(standings.c.seller_id)
    .where(standings.c.seller_id > bindparam("after"))
    .order_by(standings.c.seller_id)
    .limit(bindparam("limit"))
)


def record(
    uow: UnitOfWork,
    *,
    kind: FactKind,
    order_id: str,
    service_id: str,
    seller_id: str,
    buyer_id: str,
    amount_minor: int | None = None,
    is_on_time: bool | None = None,
) -> bool:
    """Count one fact about an order; return False if it was counted before.

    ``amount_minor`` is what the seller got for it, before the fee; ``is_on_time`` says of a
    settled order whether it was delivered by its deadline. The seller's standing moves in the
    same unit of work.
    """
    is_first = uow.run(
        _ADD_FACT,
        subject_id=order_id,
        kind=kind,
        seller_id=seller_id,
        service_id=service_id,
        buyer_id=buyer_id,
        amount_minor=amount_minor,
        is_on_time=is_on_time,
        recorded_at=uow.now,
    )
    if not is_first:
        return False
    one = Counts()._replace(**{COUNTER[kind]: 1})
    pair = uow.one(_ADD_TO_PAIR, seller_id=seller_id, buyer_id=buyer_id, facts=1, **one._asdict())
    after = Counts(*pair[1:])
    before = after._replace(**{COUNTER[kind]: getattr(after, COUNTER[kind]) - 1})
    now, then = voice(after), voice(before)
    change = Standing(
        good_micro=now.good_micro - then.good_micro,
        bad_micro=now.bad_micro - then.bad_micro,
        on_time=int(is_on_time or False),
        distinct_buyers=int(pair.facts == 1),
        **one._asdict(),
    )
    _add_to_standing(uow, seller_id, change)
    return True


def record_price_change(
    uow: UnitOfWork, *, service_id: str, seller_id: str, manifest_digest: str, is_raise: bool
) -> bool:
    """Count that a new manifest changed a price; return False if it was counted before."""
    is_first = uow.run(
        _ADD_FACT,
        subject_id=manifest_digest,
        kind="price.raised" if is_raise else "price.changed",
        seller_id=seller_id,
        service_id=service_id,
        buyer_id=None,
        amount_minor=None,
        is_on_time=None,
        recorded_at=uow.now,
    )
    if is_first:
        change = Standing(price_changes=1, price_raises=int(is_raise))
        _add_to_standing(uow, seller_id, change)
    return bool(is_first)


def standing(snapshot: Snapshot, *, seller_id: str) -> Standing:
    """Return a seller's kept standing; all zero for one without facts."""
    row = snapshot.one(_STANDING, seller_id=seller_id)
    return Standing() if row is None else Standing(*row)


def scores(snapshot: Snapshot, *, seller_ids: list[str]) -> dict[str, float]:
    """Return the score of every one of these sellers, also of those without facts."""
    rows = snapshot.all(_EVIDENCE, seller_ids=seller_ids)
    unknown = dict.fromkeys(seller_ids, score_of(0, 0).score)
    return unknown | {row.seller_id: score_of(row.good_micro, row.bad_micro).score for row in rows}


def report(
    snapshot: Snapshot, *, service_id: str, slug: str, seller_id: str, registered_at: str
) -> TrustView:
    """Return the seller's score with every number that went into it.

    What trust cannot know (the service's name, since when the seller is registered) is passed in.
    """
    known = standing(snapshot, seller_id=seller_id)
    score, confidence = score_of(known.good_micro, known.bad_micro)
    return TrustView(
        service_id=service_id,
        slug=slug,
        seller_id=seller_id,
        registered_at=registered_at,
        score=score,
        confidence=confidence,
        good=known.good_micro / MICRO,
        bad=known.bad_micro / MICRO,
        orders_settled=known.settled,
        orders_cancelled=known.cancelled,
        orders_failed=known.failed,
        orders_refunded=known.refunded,
        on_time=known.on_time,
        reviews_good=known.reviews_good,
        reviews_bad=known.reviews_bad,
        distinct_buyers=known.distinct_buyers,
        price_changes=known.price_changes,
        flags=flags_of(known),
        rule=RULE,
    )


def recompute(snapshot: Snapshot, *, seller_id: str) -> Standing:
    """Return the standing that the recorded facts amount to, without looking at the kept one."""
    rows = snapshot.all(_RECOUNT, seller_id=seller_id)
    total = [sum(column) for column in zip(*map(_part, rows), strict=True)]
    return Standing(*total) if total else Standing()


def check(snapshot: Snapshot) -> list[str]:
    """Return one sentence for each seller whose kept standing is not what its facts amount to."""
    findings = []
    after = ""
    while page := snapshot.all(_SELLERS_AFTER, after=after, limit=500):
        for (seller_id,) in page:
            kept, found = (
                standing(snapshot, seller_id=seller_id),
                recompute(snapshot, seller_id=seller_id),
            )
            if kept != found:
                findings.append(f"standing of {seller_id} is {kept}, its facts say {found}")
        after = page[-1].seller_id
    return findings


def _part(row: Any) -> Standing:
    """What one buyer's facts (or, without a buyer, the seller's own) add to a standing."""
    counts = Counts(*[getattr(row, name) for name in Counts._fields])
    return Standing(
        *voice(counts),
        *counts,
        on_time=row.on_time,
        distinct_buyers=int(row.buyer_id is not None),
        price_changes=row.price_changes,
        price_raises=row.price_raises,
    )


def _add_to_standing(uow: UnitOfWork, seller_id: str, change: Standing) -> None:
    uow.run(_ADD_TO_STANDING, seller_id=seller_id, **change._asdict())
