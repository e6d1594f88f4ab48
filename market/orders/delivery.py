"""Delivery: start, chunks in order, completion, failure."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import bindparam, select, update

from market import catalog, inbox, sessions
from market.base.caller import Caller, Signed
from market.base.errors import MarketError
from market.base.sql import Sql, insert
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.orders.errors import (
    ChunkChanged,
    ChunkOutOfOrder,
    DeadlinePassed,
    DeliveryMismatch,
    DeliveryTooLarge,
    OrderPaused,
    OutputDoesNotFit,
)
from market.orders.leases import lease_until, renew
from market.orders.rejecting import reject
from market.orders.rows import advance, locked, sellers, view
from market.orders.settlement import end
from market.orders.tables import chunks, orders
from market.protocol.canonical import NotCanonical
from market.protocol.commitments import DeliveryClaims
from market.protocol.delivery import chain
from market.protocol.misfits import explain
from market.protocol.wire import Chunk, ChunkView, DisputeReason, OrderView
from market.sessions import NewEvent

_BY_ID = update(orders).where(orders.c.id == bindparam("order_id"))
_LEASE: Final[dict[str, Any]] = {
    "lease_until": bindparam("lease", type_=UtcDateTime()),
    "fails_at": None,
}
_FIRST_DUE: Final[dict[str, Any]] = {
    "state": "started",
    "due_at": bindparam("due", type_=UtcDateTime()),
}
_PROGRESS: Final[dict[str, Any]] = {
    "chunks_delivered": bindparam("count"),
    "units_delivered": bindparam("units"),
    "delivery_digest": bindparam("digest"),
}
_START: Final = Sql(_BY_ID.values(**_FIRST_DUE, **_LEASE))
_DELIVER_FIRST: Final = Sql(_BY_ID.values(**_FIRST_DUE, **_LEASE, **_PROGRESS))
_DELIVER: Final = Sql(_BY_ID.values(**_LEASE, **_PROGRESS))
_COMPLETE: Final = Sql(
    _BY_ID.values(
        state="delivered",
        delivery_commitment=bindparam("commitment_text"),
        accept_by=bindparam("until", type_=UtcDateTime()),
        due_at=bindparam("until", type_=UtcDateTime()),
        lease_until=None,
        fails_at=None,
    )
)
_ADD_CHUNK: Final = Sql(insert(chunks))
_CHUNK: Final = Sql(
    select(chunks.c.offset, chunks.c.units, chunks.c.units_delivered, chunks.c.digest).where(
        chunks.c.order_id == bindparam("order_id"), chunks.c.chunk == bindparam("number")
    )
)


def start(uow: UnitOfWork, *, caller: Caller, order_id: str) -> OrderView:
    """Say that work has begun, or that it goes on. The first chunk says it too.

    Raises:
        OrderNotFound: the caller has no such order to deliver.
        OrderCancelled, WrongState: it has ended.
    """
    caller.need("order")
    row = sellers(uow, caller=caller, order_id=order_id)
    advance(uow, row, "start")
    renew(uow, row)
    if row.state == "placed":
        uow.run(_START, order_id=order_id, **_lease_of(uow, row))
        started = NewEvent("order.started", caller.agent_id, {"seller_id": row.seller_id}, row.id)
        sessions.append(uow, session_id=row.session_id, events=[started])
    return view(uow, locked(uow, order_id=order_id))


def deliver(uow: UnitOfWork, *, caller: Caller, order_id: str, chunk: Chunk) -> ChunkView:
    """Append the next part of a delivery to the session's log.

    A chunk that was delivered before under its index is answered again (``repeated``), so a
    seller that lost an answer, or its process, goes on without a gap or a double.

    Raises:
        OrderNotFound: the caller has no such order to deliver.
        OrderPaused: nothing may be delivered now.
        ChunkOutOfOrder: an earlier one is missing; ``expected_index`` says which.
        ChunkChanged: another output stands under this index.
        OutputDoesNotFit, DeliveryTooLarge, DeadlinePassed, OrderCancelled, WrongState: as they
            say.
    """
    caller.need("order")
    row = sellers(uow, caller=caller, order_id=order_id)
    if chunk.index < row.chunks_delivered:
        return _repeated(uow, row, chunk)
    after = advance(uow, row, "deliver")
    _check(uow, row, chunk)
    digest = _checked(uow, row, chunk)
    units = row.units_delivered + chunk.units
    body = {
        "index": chunk.index,
        "units": chunk.units,
        "output": chunk.output,
        "digest": digest,
    }
    events = [NewEvent("delivery.chunk", caller.agent_id, body, row.id)]
    if row.state != after:
        started = {"seller_id": row.seller_id}
        events.insert(0, NewEvent("order.started", caller.agent_id, started, row.id))
    appended = sessions.append(uow, session_id=row.session_id, events=events)
    offset = appended.next_offset - 1
    progress = {"count": chunk.index + 1, "units": units, "digest": digest}
    if row.state == after:
        uow.run(_DELIVER, order_id=row.id, **progress, lease=lease_until(uow))
    else:
        uow.run(_DELIVER_FIRST, order_id=row.id, **progress, **_lease_of(uow, row))
    uow.run(
        _ADD_CHUNK,
        order_id=row.id,
        chunk=chunk.index,
        offset=offset,
        units=chunk.units,
        units_delivered=units,
        digest=digest,
        delivered_at=uow.now,
    )
    return ChunkView(
        order_id=row.id,
        index=chunk.index,
        offset=offset,
        units_delivered=units,
        digest=digest,
        repeated=False,
    )


def complete(
    uow: UnitOfWork, *, caller: Caller, order_id: str, signed: Signed[DeliveryClaims]
) -> OrderView:
    """Declare a delivery complete. The buyer may now inspect it, until ``accept_by``.

    A repeat with the same claims changes nothing.

    Raises:
        OrderNotFound: the caller has no such order to deliver.
        DeliveryMismatch: the signed counts or digest are not those of the delivered chunks.
        OrderPaused, DeadlinePassed, OrderCancelled, WrongState: as they say.
    """
    caller.need("order")
    row = sellers(uow, caller=caller, order_id=order_id)
    is_repeat = row.state in ("delivered", "settled")
    if not is_repeat:
        advance(uow, row, "complete")
    try:
        _match(row, signed.claims)
    except DeliveryMismatch as refusal:
        _remember(uow, row, refusal, reason="digest", index=row.chunks_delivered)
        raise
    if not is_repeat:
        _check_open(uow, row)
        until = uow.now + timedelta(seconds=uow.settings.accept_window_seconds)
        uow.run(_COMPLETE, order_id=row.id, commitment_text=signed.token, until=until)
        body = {
            "chunks": row.chunks_delivered,
            "units": row.units_delivered,
            "digest": row.delivery_digest,
        }
        completed = NewEvent("delivery.completed", caller.agent_id, body, row.id)
        sessions.append(uow, session_id=row.session_id, events=[completed])
        message = {"order_id": row.id, "session_id": row.session_id, **body}
        inbox.deliver(uow, agent_id=row.buyer_id, kind="order.delivered", body=message)
        if row.redo_of is not None:
            # Nothing is paid for it, so nothing is left to accept: the first order has that.
            end(
                uow,
                locked(uow, order_id=row.id),
                ending="settled",
                captured_minor=0,
                reason="delivered again",
            )
    return view(uow, locked(uow, order_id=order_id))


def fail(uow: UnitOfWork, *, caller: Caller, order_id: str, reason: str) -> OrderView:
    """Give up an order as its seller: what is held goes back to the buyer.

    What the buyer had released stays paid. A repeat changes nothing.

    Raises:
        OrderNotFound: the caller has no such order to deliver.
        OrderCancelled, WrongState: it is delivered, or ended otherwise.
    """
    caller.need("order")
    row = sellers(uow, caller=caller, order_id=order_id)
    if row.state != "failed":
        advance(uow, row, "fail")
        end(uow, row, ending="failed", captured_minor=0, reason=reason)
    return view(uow, locked(uow, order_id=order_id))


def _lease_of(uow: UnitOfWork, row: Any) -> dict[str, datetime]:
    """Return the first lease of an order, and when chores look at it next: a pause has its end."""
    lease = lease_until(uow)
    return {"lease": lease, "due": row.due_at if row.is_paused else min(lease, row.deliver_by)}


def _repeated(uow: UnitOfWork, row: Any, chunk: Chunk) -> ChunkView:
    kept = uow.one(_CHUNK, order_id=row.id, number=chunk.index)
    previous = ""
    if chunk.index:
        previous = uow.one(_CHUNK, order_id=row.id, number=chunk.index - 1).digest
    if _digest(previous, chunk.output) != kept.digest or chunk.units != kept.units:
        raise ChunkChanged(
            f"Chunk {chunk.index} was delivered with another output or other units.",
            next_index=row.chunks_delivered,
        )
    return ChunkView(
        order_id=row.id,
        index=chunk.index,
        offset=kept.offset,
        units_delivered=kept.units_delivered,
        digest=kept.digest,
        repeated=True,
    )


def _check(uow: UnitOfWork, row: Any, chunk: Chunk) -> None:
    _check_open(uow, row)
    if chunk.index != row.chunks_delivered:
        raise ChunkOutOfOrder(
            f"The next chunk is {row.chunks_delivered}, not {chunk.index}.",
            expected_index=row.chunks_delivered,
        )
    if chunk.index >= row.max_chunks:
        raise DeliveryTooLarge(
            f"The service promises at most {row.max_chunks} chunks.", max_chunks=row.max_chunks
        )
    if row.units_delivered + chunk.units > row.units:
        raise DeliveryTooLarge(
            f"{row.units} units were quoted; {row.units_delivered} are delivered already.",
            units=row.units,
            units_delivered=row.units_delivered,
        )


def _checked(uow: UnitOfWork, row: Any, chunk: Chunk) -> str:
    """Return the digest after a chunk that fits the manifest's schema.

    Raises:
        OutputDoesNotFit: it does not, which is remembered.
    """
    try:
        digest = _digest(row.delivery_digest, chunk.output)
        checker = catalog.output_checker(uow, manifest_digest=row.manifest_digest)
        if not checker.is_valid(chunk.output):
            raise OutputDoesNotFit(f"{explain(checker, chunk.output)} (see the manifest's output).")
    except OutputDoesNotFit as refusal:
        _remember(uow, row, refusal, reason="schema", index=chunk.index)
        raise
    return digest


def _remember(
    uow: UnitOfWork, row: Any, refusal: MarketError, *, reason: DisputeReason, index: int
) -> None:
    """Have a refused part, or completion, written to the log although its unit is undone."""
    uow.if_refused = partial(
        reject, order_id=row.id, reason=reason, index=index, detail=refusal.detail
    )


def _check_open(uow: UnitOfWork, row: Any) -> None:
    if row.is_paused:
        raise OrderPaused("Wait for the order to be resumed or cancelled.")
    if uow.now > row.deliver_by:
        raise DeadlinePassed("The time to deliver is over; the order fails.")


def _match(row: Any, claims: DeliveryClaims) -> None:
    said = {
        "order_id": (claims.order_id, row.id),
        "chunks": (claims.chunks, row.chunks_delivered),
        "units": (claims.units, row.units_delivered),
        "digest": (claims.digest, row.delivery_digest),
    }
    for field, (signed, delivered) in said.items():
        if signed != delivered:
            raise DeliveryMismatch(
                f"The signed {field} is not that of the delivered chunks.", field=field
            )


def _digest(previous: str, output: dict[str, Any]) -> str:
    try:
        return chain(previous, output)
    except NotCanonical as error:
        raise OutputDoesNotFit(f"The output has no canonical JSON form: {error}.") from error
