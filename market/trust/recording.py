"""Recording: a fact is kept for ever, and moves its pair and its seller in the same unit of work.

What counts is the difference between what an order says with the fact and without it, weighed as
the current batch weighs its buyer. So a standing is always what all facts so far amount to under
that batch, in whatever order they came.
"""

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import Insert, bindparam, literal_column, select, true

from market.base.clock import to_micros
from market.base.sql import Sql, insert_ignore, upsert
from market.base.work import UnitOfWork
from market.trust.scoring import (
    COUNTER,
    DAY_MICROS,
    UNKNOWN,
    Evidence,
    FactKind,
    Outcome,
    Standing,
    Weights,
    aged,
    heard,
    order_weight,
    parted,
    shares,
    voice,
)
from market.trust.tables import buyers, current_batch, facts, pairs, parameters, standings

ENDINGS: Final = {
    "order.settled": "settled",
    "order.failed": "failed",
    "order.cancelled": "cancelled",
}
VERDICTS: Final = {"review.good": "good", "review.bad": "bad"}

_ADD_FACT: Final = Sql(insert_ignore(facts, omit=("number",)))
_now = current_batch.subquery("now")
_STATE: Final = Sql(
    select(
        facts.c.number, facts.c.kind, facts.c.version, facts.c.amount_minor, facts.c.is_own,
        facts.c.recorded_at, facts.c.is_on_time, _now.c.reference_day,
        parameters.c.typical_minor, buyers.c.vouched_micro, buyers.c.crowd_micro,
    )
    .select_from(facts)
    .outerjoin(_now, true())
    .outerjoin(
        parameters,
        (parameters.c.version == _now.c.parameters)
        & (parameters.c.currency == bindparam("currency")),
    )
    .outerjoin(buyers, buyers.c.buyer_id == bindparam("buyer_id"))
    .where(facts.c.subject_id == bindparam("subject_id"))
)  # fmt: skip
"""The order's facts, the new one among them, with what the current batch fixed: one read.

They are few and sorted here: asked for an order, SQLite would walk through all facts in it.
"""

_SUMS: Final = ("facts", "good_micro", "bad_micro")
_add_to_pair = upsert(
    pairs,
    keys=["seller_id", "buyer_id"],
    set_={name: pairs.c[name] + literal_column(f"excluded.{name}") for name in _SUMS},
)
_pair_sums = [pairs.c[name] for name in _SUMS]
_ADD_TO_PAIR: Final = Sql.per_dialect(
    sqlite=cast(Insert, _add_to_pair.sqlite).returning(*_pair_sums),
    postgresql=cast(Insert, _add_to_pair.postgresql).returning(*_pair_sums),
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


class _Said(NamedTuple):
    """What an order says: aged, to the long memory; and to the short one, by kind of weight.

    ``counts``: the counters of its seller that it raises.
    """

    long: Evidence
    weight: int
    vouched: Evidence
    crowd: Evidence
    counts: Mapping[str, int]


_SILENT: Final = _Said(Evidence(0, 0), 0, Evidence(0, 0), Evidence(0, 0), {})


def record(
    uow: UnitOfWork,
    *,
    kind: FactKind,
    order_id: str,
    service_id: str,
    seller_id: str,
    buyer_id: str,
    amount_minor: int | None = None,
    currency: str | None = None,
    is_on_time: bool | None = None,
    is_own: bool = False,
    version: int = 1,
) -> bool:
    """Count one fact about an order; return False if it was counted before.

    ``amount_minor`` is what was paid for the order before the fee, of a failed order its price, of
    a refund all that went back so far; ``currency`` is the market's unless given. ``is_on_time``
    says of a settled order whether it was delivered by its deadline. An order that ``is_own`` (its
    buyer and seller act for the same principal) is kept and counts for nothing. A review that was
    changed, and a further refund, come with a higher ``version``: the highest counts. (Two facts of
    one order must not race: its row is locked.) The seller's standing moves in the same unit.
    """
    currency = currency or uow.settings.currency
    is_first = uow.run(
        _ADD_FACT,
        subject_id=order_id,
        kind=kind,
        version=version,
        seller_id=seller_id,
        service_id=service_id,
        buyer_id=buyer_id,
        amount_minor=amount_minor,
        currency=currency,
        is_on_time=is_on_time,
        is_own=is_own,
        recorded_at=uow.now,
    )
    if not is_first:
        return False
    # Behind the insert, which waits for a batch that is being put in place: so it sees that one.
    known = _state(uow, order_id, buyer_id, currency)
    if any(fact.is_own for fact in known):
        return True

    def is_told(fact: Any) -> bool:
        return (fact.kind, fact.version) == (kind, version)

    count(uow, seller_id, buyer_id, [fact for fact in known if not is_told(fact)], known)
    return True


def record_price_change(
    uow: UnitOfWork, *, service_id: str, seller_id: str, manifest_digest: str, is_raise: bool
) -> bool:
    """Count that a new manifest changed a price; return False if it was counted before."""
    is_first = uow.run(
        _ADD_FACT,
        subject_id=manifest_digest,
        kind="price.raised" if is_raise else "price.changed",
        version=1,
        seller_id=seller_id,
        service_id=service_id,
        buyer_id=None,
        amount_minor=None,
        currency=None,
        is_on_time=None,
        is_own=False,
        recorded_at=uow.now,
    )
    if is_first:
        _count_price_change(uow, seller_id, is_raise=is_raise)
    return bool(is_first)


def count_late(uow: UnitOfWork, *, late: Iterable[Any], last_fact: int) -> None:
    """Count facts that came behind a batch's last one under that batch, which is now in place.

    ``late``: rows with subject_id, kind, seller_id, buyer_id, currency.
    """
    by_order = {}
    for fact in late:
        if fact.buyer_id is None:
            _count_price_change(uow, fact.seller_id, is_raise=fact.kind == "price.raised")
        else:
            by_order[fact.subject_id] = fact
    for order_id, fact in by_order.items():
        known = _state(uow, order_id, fact.buyer_id, fact.currency)
        if not any(each.is_own for each in known):
            then = [each for each in known if each.number <= last_fact]
            count(uow, fact.seller_id, fact.buyer_id, then, known)


def outcome_of(known: list[Any]) -> Outcome:
    """Return what these facts of one order, in the order of their numbers, come to."""
    ending, amount, refunded, verdict = "", 0, 0, ""
    moment = None
    versions = {"refund": 0, "review": 0}
    for fact in known:
        if moment is None:
            moment = fact.recorded_at
        if fact.kind in ENDINGS and not ending:
            ending, amount, moment = ENDINGS[fact.kind], fact.amount_minor or 0, fact.recorded_at
        elif fact.kind == "order.refunded" and fact.version > versions["refund"]:
            versions["refund"], refunded = fact.version, fact.amount_minor or 0
        elif fact.kind in VERDICTS and fact.version > versions["review"]:
            versions["review"], verdict = fact.version, VERDICTS[fact.kind]
    day = to_micros(moment) // DAY_MICROS if moment else 0
    return Outcome(ending, amount, day, refunded, verdict)  # type: ignore[arg-type]


def count(
    uow: UnitOfWork, seller_id: str, buyer_id: str, then: list[Any], known: list[Any]
) -> None:
    """Add to the pair and to the seller what an order says now, less what it said before."""
    batch = known[0]
    weights = UNKNOWN
    if batch.vouched_micro is not None:
        weights = Weights(batch.vouched_micro, batch.crowd_micro)
    before, after = (_weighed(facts_of, batch) for facts_of in (then, known))
    good, bad = (now - was for now, was in zip(after.long, before.long, strict=True))
    pair = uow.one(
        _ADD_TO_PAIR,
        seller_id=seller_id,
        buyer_id=buyer_id,
        facts=len(known) - len(then),
        good_micro=good,
        bad_micro=bad,
    )
    spoken = voice(pair.good_micro, pair.bad_micro)
    said = voice(pair.good_micro - good, pair.bad_micro - bad)
    change = {
        "vouched_good": _moved(spoken.good_micro, said.good_micro, weights.vouched_micro),
        "vouched_bad": _moved(spoken.bad_micro, said.bad_micro, weights.vouched_micro),
        "crowd_good": _moved(spoken.good_micro, said.good_micro, weights.crowd_micro),
        "crowd_bad": _moved(spoken.bad_micro, said.bad_micro, weights.crowd_micro),
        "distinct_buyers": int(pair.facts == len(known) - len(then)),
    }
    for name, part in (("vouched", weights.vouched_micro), ("crowd", weights.crowd_micro)):
        now, was = (_remembered(said, name, part) for said in (after, before))
        change[f"since_{name}"] = now[0] - was[0]
        change[f"since_{name}_good"] = now[1] - was[1]
        change[f"since_{name}_bad"] = now[2] - was[2]
    for name in {**after.counts, **before.counts}:
        change[name] = after.counts.get(name, 0) - before.counts.get(name, 0)
    uow.run(_ADD_TO_STANDING, seller_id=seller_id, **Standing(**change)._asdict())


def _weighed(known: list[Any], batch: Any) -> _Said:
    """What these facts of one order say."""
    if not known:
        return _SILENT
    outcome = outcome_of(known)
    said = shares(outcome)
    weight = order_weight(outcome.amount_minor, batch.typical_minor)
    old = aged(weight, day=outcome.day, today=batch.reference_day or 0)
    long = Evidence(parted(old, said.good_micro), parted(old, said.bad_micro))
    return _Said(long, weight, said, heard(outcome), _counts(known, outcome))


def _counts(known: list[Any], outcome: Outcome) -> dict[str, int]:
    """The counters of a seller that these facts of one order raise: each review once."""
    counts = {COUNTER[fact.kind]: 1 for fact in known if fact.kind not in VERDICTS}
    counts["on_time"] = sum(bool(fact.is_on_time) for fact in known)
    if outcome.verdict:
        counts[f"reviews_{outcome.verdict}"] = 1
    return counts


def _remembered(order: _Said, name: str, part_micro: int) -> tuple[int, int, int]:
    """What an order adds to the short memory: its weight, its good and its bad."""
    said = order.vouched if name == "vouched" else order.crowd
    if not any(said):
        return 0, 0, 0
    part = parted(order.weight, part_micro)
    return part, parted(part, said.good_micro), parted(part, said.bad_micro)


def _count_price_change(uow: UnitOfWork, seller_id: str, *, is_raise: bool) -> None:
    change = Standing(price_changes=1, price_raises=int(is_raise))
    uow.run(_ADD_TO_STANDING, seller_id=seller_id, **change._asdict())


def _state(uow: UnitOfWork, order_id: str, buyer_id: str, currency: str) -> list[Any]:
    known = uow.all(_STATE, subject_id=order_id, buyer_id=buyer_id, currency=currency)
    return sorted(known, key=itemgetter(0)) if len(known) > 1 else known


def _moved(now: int, was: int, part_micro: int) -> int:
    return parted(now, part_micro) - parted(was, part_micro)
