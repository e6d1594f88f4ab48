"""Evidence: what a party points to in the log, and what the market finds there."""

from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, select

from market import catalog
from market.base import streams
from market.base.clock import spoken
from market.base.sql import Sql
from market.base.work import Snapshot
from market.orders.capturing import earned
from market.orders.disputing import Known, Part
from market.orders.errors import BadEvidence
from market.orders.redoing import redos
from market.orders.tables import chunks, orders
from market.protocol.delivery import chain
from market.protocol.events import Event
from market.protocol.wire import DisputeReason

_LAST: Final = Sql(
    select(chunks.c.delivered_at)
    .where(chunks.c.order_id == bindparam("order_id"))
    .order_by(chunks.c.chunk.desc())
    .limit(1)
)
_CHUNK: Final = Sql(
    select(chunks.c.digest).where(
        chunks.c.order_id == bindparam("order_id"), chunks.c.chunk == bindparam("number")
    )
)
_TWIN: Final = Sql(
    select(orders.c.id).where(
        orders.c.id == bindparam("twin_id"),
        orders.c.id != bindparam("order_id"),
        orders.c.buyer_id == bindparam("buyer_id"),
        orders.c.seller_id == bindparam("seller_id"),
        orders.c.input_digest == bindparam("input_digest"),
        orders.c.captured_minor > 0,
    )
)


def gather(snapshot: Snapshot, *, session_id: str, offsets: list[int]) -> list[Event]:
    """Return the events at these offsets of a session, each once, in their order.

    Raises:
        BadEvidence: the log has no such offset.
    """
    return [_event(snapshot, session_id, offset) for offset in sorted(set(offsets))]


def refer(events: list[Event]) -> list[dict[str, Any]]:
    """Return what is kept of evidence: where it stands, and its hash; never what it says."""
    return [{"offset": event.offset, "hash": event.hash} for event in events]


def known_of(
    snapshot: Snapshot, row: Any, reason: DisputeReason, stake_minor: int, events: list[Event]
) -> Known:
    """Return what the market's own records say of a disputed order.

    Raises:
        BadEvidence: the reason rests on parts of the delivery, and none is named.
    """
    last = snapshot.one(_LAST, order_id=row.id)
    delivered = f"the last part came at {spoken(last.delivered_at)}" if last else "nothing came"
    known = Known(
        stake_minor=stake_minor,
        counted_minor=earned(row, delivered=row.units_delivered, is_accepted=False),
        # Of work that is counted as it is delivered, what came is all that had to come.
        units=row.units_delivered if catalog.read_terms(row).is_cap else row.units,
        units_delivered=row.units_delivered,
        delivered_text=f"{delivered}, the deadline was {spoken(row.deliver_by)}",
    )
    if reason in ("schema", "digest"):
        return known._replace(parts=_parts(snapshot, row, events))
    if reason == "duplicate_charge":
        return known._replace(is_twin=any(_is_twin(snapshot, row, event) for event in events))
    return known


def _parts(snapshot: Snapshot, row: Any, events: list[Event]) -> tuple[Part, ...]:
    # What was delivered again belongs to the order too.
    own = {row.id, *(one.id for one in redos(snapshot, order_id=row.id))}
    named = [event for event in events if event.kind == "delivery.chunk" and event.order_id in own]
    if not named:
        raise BadEvidence("Name the offsets of the parts (delivery.chunk) of this order.")
    checker = catalog.output_checker(snapshot, manifest_digest=row.manifest_digest)
    return tuple(
        Part(
            offset=event.offset,
            units=event.body["units"],
            fits=checker.is_valid(event.body["output"]),
            is_as_digested=_is_as_digested(snapshot, event),
        )
        for event in named
    )


def _is_as_digested(snapshot: Snapshot, event: Event) -> bool:
    index = event.body["index"]
    kept = snapshot.one(_CHUNK, order_id=event.order_id, number=index)
    before = snapshot.one(_CHUNK, order_id=event.order_id, number=index - 1) if index else None
    made = chain(before.digest if before else "", event.body["output"])
    return kept is not None and made == kept.digest


def _is_twin(snapshot: Snapshot, row: Any, event: Event) -> bool:
    twin = snapshot.one(
        _TWIN,
        twin_id=event.order_id or "",
        order_id=row.id,
        buyer_id=row.buyer_id,
        seller_id=row.seller_id,
        input_digest=row.input_digest,
    )
    return twin is not None


def _event(snapshot: Snapshot, session_id: str, offset: int) -> Event:
    read = streams.read(snapshot, stream_id=session_id, after=offset - 1, limit=1)
    if not read.entries or read.entries[0].offset != offset:
        raise BadEvidence(f"The session's log has no event at offset {offset}.", offset=offset)
    return msgspec.json.decode(read.entries[0].data, type=Event)
