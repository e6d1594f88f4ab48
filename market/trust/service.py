"""Verbs that read: what is kept of sellers, and what it amounts to."""

from typing import Any, Final

from sqlalchemy import bindparam, select

from market.base.clock import rfc3339
from market.base.sql import Sql, among
from market.base.work import Snapshot
from market.protocol.wire import TrustEventView, TrustView, VoicesView
from market.trust.scoring import MICRO, RULE, Memory, Standing, flags_of, memory_of, score_of
from market.trust.tables import current_batch, facts, parameters, sellers, standings

MAX_EVENTS: Final = 10
"""The latest facts that a report lists."""

_STANDING: Final = Sql(
    select(*[standings.c[name] for name in Standing._fields]).where(
        standings.c.seller_id == bindparam("seller_id")
    )
)
_evidence = select(standings.c.seller_id, *[standings.c[name] for name in Memory._fields])
_EVIDENCE: Final = Sql(among(_evidence, standings.c.seller_id, "seller_ids"))
_batch = current_batch.subquery("batch")
_WEIGHED: Final = Sql(
    select(_batch, parameters.c.typical_minor, sellers)
    .select_from(_batch)
    .outerjoin(
        parameters,
        (parameters.c.version == _batch.c.parameters)
        & (parameters.c.currency == bindparam("currency")),
    )
    .outerjoin(sellers, sellers.c.seller_id == bindparam("seller_id"))
)
_TYPICAL: Final = Sql(
    select(parameters.c.typical_minor)
    .join(_batch, parameters.c.version == _batch.c.parameters)
    .where(parameters.c.currency == bindparam("currency"))
)
_LATEST: Final = Sql(
    select(
        facts.c.kind, facts.c.version, facts.c.amount_minor, facts.c.currency, facts.c.recorded_at
    )
    .where(facts.c.seller_id == bindparam("seller_id"), facts.c.is_own == 0)
    .order_by(facts.c.number.desc())
    .limit(MAX_EVENTS)
)


def standing(snapshot: Snapshot, *, seller_id: str) -> Standing:
    """Return a seller's kept standing; all zero for one without facts."""
    row = snapshot.one(_STANDING, seller_id=seller_id)
    return Standing() if row is None else Standing(*row)


def typical_minor(snapshot: Snapshot, *, currency: str) -> int | None:
    """Return what a typical order costs as the current batch has it; None if it knows none."""
    row = snapshot.one(_TYPICAL, currency=currency)
    return None if row is None else int(row.typical_minor)


def scores(snapshot: Snapshot, *, seller_ids: list[str]) -> dict[str, float]:
    """Return the score of every one of these sellers, also of those without facts."""
    rows = snapshot.all(_EVIDENCE, seller_ids=seller_ids)
    unknown = dict.fromkeys(seller_ids, score_of(Memory()).score)
    return unknown | {row[0]: score_of(Memory(*row[1:])).score for row in rows}


def report(
    snapshot: Snapshot, *, service_id: str, slug: str, seller_id: str, registered_at: str
) -> TrustView:
    """Return the seller's score with every number that went into it.

    What trust cannot know (the service's name, since when the seller is registered) is passed in.
    """
    known = standing(snapshot, seller_id=seller_id)
    found = score_of(memory_of(known))
    weighed = snapshot.one(_WEIGHED, seller_id=seller_id, currency=snapshot.settings.currency)
    return TrustView(
        service_id=service_id,
        slug=slug,
        seller_id=seller_id,
        registered_at=registered_at,
        **found._asdict(),
        **_weighed(weighed),
        orders_settled=known.settled,
        orders_cancelled=known.cancelled,
        orders_failed=known.failed,
        orders_refunded=known.refunded,
        orders_disputed=known.disputed,
        on_time=known.on_time,
        reviews_good=known.reviews_good,
        reviews_bad=known.reviews_bad,
        distinct_buyers=known.distinct_buyers,
        price_changes=known.price_changes,
        price_raises=known.price_raises,
        events=[_event(row) for row in snapshot.all(_LATEST, seller_id=seller_id)],
        flags=[*flags_of(known, is_ringed=bool(weighed and weighed.is_ringed))],
        rule=RULE,
    )


def _weighed(row: Any) -> dict[str, Any]:
    """What the current batch knows of the seller; of one that it does not know, nothing."""
    of_batch = {
        "parameters": row.parameters if row else 0,
        "batch": row.number if row else 0,
        "weighed_at": rfc3339(row.reference_at) if row else None,
        "typical_minor": row.typical_minor if row else None,
    }
    if row is None or row.vouched_micro is None:
        nobody = VoicesView(voices=0, weight=0.0)
        return of_batch | {
            "anchors": nobody,
            "vouched_buyers": nobody,
            "crowd": nobody,
            "vouched": 0.0,
            "calibration": 1.0,
        }
    return of_batch | {
        "anchors": _voices(row.anchor_voices, row.anchor_weight),
        "vouched_buyers": _voices(row.vouched_voices, row.vouched_weight),
        "crowd": _voices(row.crowd_voices, row.crowd_weight),
        "vouched": row.vouched_micro / MICRO,
        "calibration": row.calibration_micro / MICRO,
    }


def _voices(voices: int, weight_micro: int) -> VoicesView:
    return VoicesView(voices=voices, weight=weight_micro / MICRO)


def _event(row: Any) -> TrustEventView:
    return TrustEventView(
        kind=row.kind,
        version=row.version,
        amount_minor=row.amount_minor,
        currency=row.currency,
        day=row.recorded_at.date().isoformat(),
    )
