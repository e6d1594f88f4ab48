"""Batches: every few minutes all facts are weighed anew, and what comes of it is put in place.

A batch fixes what a typical order costs, who is an anchor, which sellers are vouched, what every
buyer's word weighs, and the day from which ages count. It is made on a snapshot beside the writer
(``prepare``) and put in place in one unit of work (``put``); facts that came in between are counted
under it like those that come later. This module knows polars: the door of the room leaves it out.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import polars as pl
from sqlalchemy import BigInteger, bindparam, delete, func, select, text, type_coerce

from market.base.clock import to_micros
from market.base.sql import Sql, insert, upsert
from market.base.work import Snapshot, UnitOfWork
from market.trust import tables
from market.trust.anchors import anchor_ids, last_act
from market.trust.comparing import Gathered, differing
from market.trust.recording import count_late
from market.trust.recount import FACTS, Recount, Reference, frame_of, recount
from market.trust.rings import find_rings
from market.trust.scoring import DAY_MICROS, RULE

EVERY: Final = timedelta(minutes=5)
"""How long the weights of a batch stand while there is anything new to weigh."""

NO_BATCH: Final = Reference(0, 0, frozenset())
"""Under what facts count before the first batch: every buyer is one of the crowd."""


_facts = [type_coerce(tables.facts.c[name], BigInteger).label(name) for name in FACTS.names()]
_CURRENT: Final = Sql(tables.current_batch)
_FACTS: Final = Sql(select(*_facts).order_by(tables.facts.c.number))
_LATE: Final = Sql(
    select(tables.facts)
    .where(tables.facts.c.number > bindparam("last_fact"))
    .order_by(tables.facts.c.number)
)
_FACTS_UPTO: Final = Sql(
    select(func.count().label("facts"))
    .select_from(tables.facts)
    .where(tables.facts.c.number <= bindparam("last_fact"))
)
_LAST_FACT: Final = Sql(select(func.coalesce(func.max(tables.facts.c.number), 0).label("number")))
_PARAMETERS: Final = Sql(
    select(tables.parameters.c.currency, tables.parameters.c.typical_minor).where(
        tables.parameters.c.version == bindparam("version")
    )
)
_ADD_BATCH: Final = Sql(insert(tables.batches))
_ADD_PARAMETERS: Final = Sql(insert(tables.parameters))
_FORGET_STANDINGS: Final = Sql(delete(tables.standings))
_ADD_STANDING: Final = Sql(insert(tables.standings))
_FORGET_RINGS: Final = Sql(delete(tables.rings))
_ADD_RING: Final = Sql(insert(tables.rings))
_HOLD: Final = Sql.per_dialect(
    sqlite=text("SELECT 1"),
    postgresql=text("LOCK TABLE trust_facts IN SHARE ROW EXCLUSIVE MODE"),
)
"""Keeps other workers from recording until this work ends; SQLite has one writer anyway."""


class Kept(NamedTuple):
    """A table that a batch rewrites where something changed: how it is read, set and cleared."""

    keys: tuple[str, ...]
    names: tuple[str, ...]
    read: Sql
    put: Sql
    drop: Sql


def _kept(table: Any, *keys: str) -> Kept:
    names = tuple(column.name for column in table.columns)
    changing: dict[str, Any] = {name: bindparam(name) for name in names if name not in keys}
    conditions = [table.c[key] == bindparam(f"of_{key}") for key in keys]
    return Kept(
        keys,
        names,
        Sql(select(*[type_coerce(table.c[name], BigInteger).label(name) for name in names])),
        Sql(upsert(table, keys=list(keys), set_=changing)),
        Sql(delete(table).where(*conditions)),
    )


PAIRS: Final = _kept(tables.pairs, "seller_id", "buyer_id")
BUYERS: Final = _kept(tables.buyers, "buyer_id")
SELLERS: Final = _kept(tables.sellers, "seller_id")
STANDINGS: Final = _kept(tables.standings, "seller_id")


class Change(NamedTuple):
    """Rows to put in place, and the keys of those to take away."""

    rows: list[dict[str, Any]]
    gone: list[dict[str, Any]]


class Prepared(NamedTuple):
    """A batch that has been reckoned and is to be put in place."""

    number: int
    parameters: int
    reference: Reference
    reference_at: datetime
    facts: int
    last_act: int
    counted: Recount
    changes: list[tuple[Kept, Change]]
    rings: list[dict[str, Any]]


def is_due(snapshot: Snapshot) -> bool:
    """Return whether a batch is to be made.

    It is at once when the anchors changed; else after five minutes, if there are new facts or a
    day has begun.
    """
    current = snapshot.one(_CURRENT)
    if current is None:
        return bool(snapshot.one(_LAST_FACT).number or last_act(snapshot))
    if current.last_act != last_act(snapshot):
        return True
    if snapshot.now - current.reference_at < EVERY:
        return False
    is_new_day = _day(snapshot.now) != current.reference_day
    return bool(is_new_day or snapshot.one(_LAST_FACT).number > current.last_fact)


def prepare(snapshot: Snapshot) -> Prepared:
    """Reckon the next batch from all facts. It may take seconds: run it in a scan."""
    current = snapshot.one(_CURRENT)
    facts = facts_of(snapshot)
    last_fact = int(facts["number"].max() or 0)  # type: ignore[arg-type]
    reference = Reference(_day(snapshot.now), last_fact, frozenset(anchor_ids(snapshot)))
    counted = recount(facts, reference)
    rings = find_rings(counted)
    version = current.parameters if current else 0
    if counted.typical != dict(snapshot.all(_PARAMETERS, version=version)):
        version += 1
    kept_anew = (
        (PAIRS, counted.pairs),
        (BUYERS, counted.buyers),
        (SELLERS, _with_rings(counted.sellers, rings)),
    )
    return Prepared(
        number=current.number + 1 if current else 1,
        parameters=version,
        reference=reference,
        reference_at=snapshot.now,
        facts=facts.height,
        last_act=last_act(snapshot),
        counted=counted,
        changes=[(kept, _change(snapshot, kept, found)) for kept, found in kept_anew],
        rings=rings,
    )


def put(uow: UnitOfWork, *, prepared: Prepared) -> int:
    """Put a batch in place and return its number; 0 if something else came first: prepare anew."""
    uow.run(_HOLD)
    current = uow.one(_CURRENT)
    last_fact = prepared.reference.last_fact
    if prepared.number != (current.number + 1 if current else 1):
        return 0
    if uow.one(_FACTS_UPTO, last_fact=last_fact).facts != prepared.facts:
        # Another worker's fact, numbered before it, was recorded behind the snapshot.
        return 0
    late = uow.all(_LATE, last_fact=last_fact)
    for kept, change in prepared.changes:
        _put(uow, kept, change)
    _put(uow, PAIRS, _as_it_was(prepared.counted.pairs, late))
    uow.run(_FORGET_STANDINGS)
    uow.run_many(_ADD_STANDING, prepared.counted.standings.iter_rows(named=True))
    uow.run(_FORGET_RINGS)
    uow.run_many(
        _ADD_RING, [{"place": place, "ring": ring} for place, ring in enumerate(prepared.rings)]
    )
    _cite(uow, prepared, current.parameters if current else 0)
    count_late(uow, late=late, last_fact=last_fact)
    return prepared.number


def reference_of(snapshot: Snapshot) -> Reference:
    """Return under what the current batch weighs."""
    current = snapshot.one(_CURRENT)
    if current is None:
        return NO_BATCH
    return Reference(current.reference_day, current.last_fact, frozenset(current.anchors))


def facts_of(snapshot: Snapshot) -> pl.DataFrame:
    """Return all facts of a store, as ``FACTS`` has them."""
    return frame_of(snapshot.all(_FACTS))


def gathered(snapshot: Snapshot) -> Gathered:
    """Return a store's facts, what they are weighed under, and the standings that it keeps."""
    return Gathered(facts_of(snapshot), reference_of(snapshot), kept_frame(snapshot, STANDINGS))


def check(snapshot: Snapshot) -> list[str]:
    """Return a sentence for each kept row that is not what the facts amount to.

    It proves pairs, standings, and what the current batch fixed. A store that no market has
    opened since its facts were taken in keeps nothing yet, and there is nothing to prove.
    """
    current = snapshot.one(_CURRENT)
    if current is None and not snapshot.all(STANDINGS.read):
        return []
    counted = recount(facts_of(snapshot), reference_of(snapshot))
    findings = _differences(snapshot, STANDINGS, counted.standings, "standing of")
    findings += _differences(snapshot, PAIRS, counted.pairs, "pair of")
    if current is not None:
        findings += _differences(snapshot, BUYERS, counted.buyers, "weight of")
        sellers = _with_rings(counted.sellers, find_rings(counted))
        findings += _differences(snapshot, SELLERS, sellers, "voices of")
        if dict(snapshot.all(_PARAMETERS, version=current.parameters)) != counted.typical:
            findings.append(f"parameters {current.parameters}: the facts say {counted.typical}")
    return findings


def kept_frame(snapshot: Snapshot, kept: Kept) -> pl.DataFrame:
    """Return a kept table as a frame, sorted by its keys."""
    schema = pl.Schema(
        {name: pl.String() if name.endswith("_id") else pl.Int64() for name in kept.names}
    )
    rows = snapshot.all(kept.read)
    return pl.DataFrame(rows, schema=schema, orient="row").sort(kept.keys)


def _differences(snapshot: Snapshot, kept: Kept, found: pl.DataFrame, what: str) -> list[str]:
    rows = differing(kept_frame(snapshot, kept), found.select(kept.names), kept.keys)
    return [f"{what} {row}" for row in rows]


def _change(snapshot: Snapshot, kept: Kept, found: pl.DataFrame) -> Change:
    found = found.select(kept.names)
    before = kept_frame(snapshot, kept)
    new = found.join(before, on=kept.names, how="anti")
    gone = before.select(kept.keys).join(found, on=kept.keys, how="anti")
    return Change(new.to_dicts(), gone.to_dicts())


def _as_it_was(pairs: pl.DataFrame, late: Iterable[Any]) -> Change:
    """The pairs of late facts, as the batch has them: those facts are counted on top of it."""
    names = {(fact.seller_id, fact.buyer_id) for fact in late if fact.buyer_id is not None}
    touched = pl.DataFrame(
        sorted(names), schema={"seller_id": pl.String(), "buyer_id": pl.String()}, orient="row"
    )
    kept = pairs.join(touched, on=PAIRS.keys, how="semi")
    return Change(kept.to_dicts(), touched.join(kept, on=PAIRS.keys, how="anti").to_dicts())


def _put(uow: UnitOfWork, kept: Kept, change: Change) -> None:
    gone = [{f"of_{key}": row[key] for key in kept.keys} for row in change.gone]
    uow.run_many(kept.drop, gone)
    uow.run_many(kept.put, change.rows)


def _cite(uow: UnitOfWork, prepared: Prepared, version: int) -> None:
    """Add the batch, and its parameters if they are new."""
    if prepared.parameters != version:
        uow.run_many(
            _ADD_PARAMETERS,
            [
                {
                    "version": prepared.parameters,
                    "currency": currency,
                    "typical_minor": typical,
                    "rule": RULE,
                    "set_at": prepared.reference_at,
                }
                for currency, typical in prepared.counted.typical.items()
            ],
        )
    uow.run(
        _ADD_BATCH,
        number=prepared.number,
        parameters=prepared.parameters,
        reference_at=prepared.reference_at,
        reference_day=prepared.reference.day,
        last_fact=prepared.reference.last_fact,
        facts=prepared.facts,
        last_act=prepared.last_act,
        anchors=sorted(prepared.reference.anchors),
    )


def _with_rings(sellers: pl.DataFrame, rings: list[dict[str, Any]]) -> pl.DataFrame:
    ringed = [seller for ring in rings for seller in ring["sellers"]]
    return sellers.with_columns(
        pl.col("seller_id").is_in(ringed).cast(pl.Int64()).alias("is_ringed")
    )


def _day(moment: datetime) -> int:
    return to_micros(moment) // DAY_MICROS
