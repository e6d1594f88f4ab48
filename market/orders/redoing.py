"""Redo: an order is delivered again, at no price, as an order of its own that names the first.

So nothing goes backwards: the first order keeps its state, its chunks and its money, and the redo
has its own chunks from 0, its own lease and its own deadline. The seller gets it like any order.
Delivered, it is settled at once, at nothing, and the buyer has its time to inspect anew. Not
delivered, everything that is left of the payment goes back (``settlement``).
"""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import bindparam, select, update

from market import inbox, ledger, sessions
from market.base.clock import rfc3339, spoken
from market.base.sql import Sql, insert
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.orders.refunds import refundable_minor
from market.orders.tables import orders
from market.protocol.manifest import Policies
from market.protocol.wire import OpenSession
from market.sessions import NewEvent

_ADD: Final = Sql(insert(orders))
_REDOS: Final = Sql(
    select(orders.c.id, orders.c.state, orders.c.deliver_by, orders.c.ended_at)
    .where(orders.c.redo_of == bindparam("order_id"))
    .order_by(orders.c.id)
    .limit(10)
)
_DUE: Final = Sql(select(orders.c.due_at).where(orders.c.id == bindparam("order_id")))
_BEGIN: Final = Sql(
    update(orders)
    .where(orders.c.id == bindparam("order_id"))
    .values(redo_id=bindparam("new_redo_id"), due_at=bindparam("due", type_=UtcDateTime()))
)


def redos(snapshot: Snapshot, *, order_id: str) -> list[Any]:
    """Return id, state, deadline and end of each redo of an order, oldest first."""
    return snapshot.all(_REDOS, order_id=order_id)


def refusal(snapshot: Snapshot, row: Any, policies: Policies) -> str:
    """Return why an order is not delivered again, in a sentence; "" if it may be."""
    until = redo_until(row, policies)
    done = len(redos(snapshot, order_id=row.id))
    obstacles = (
        (row.redo_of is not None, "This is a redo itself; ask at the order that was paid for."),
        (row.redo_id is not None, "It is being delivered again already."),
        (row.dispute_id is not None, "A dispute about it is open: that decides."),
        (
            row.state not in ("delivered", "settled"),
            f"The order is {row.state}; only one that was delivered is delivered again.",
        ),
        (
            row.state == "settled" and not refundable_minor(row),
            "Nothing is left of its payment.",
        ),
        (not policies.redo, "The service redoes nothing."),
        (done >= policies.redo, f"The service redoes an order at most {times(policies.redo)}."),
        (
            until is not None and snapshot.now > until,
            f"The time to ask for a redo ended at {spoken(until or snapshot.now)}.",
        ),
    )
    return next((words for stands_in_the_way, words in obstacles if stands_in_the_way), "")


def redo_until(row: Any, policies: Policies) -> Any:
    """Return when the time to ask for a redo ends; None before the order is settled."""
    if row.ended_at is None:
        return None
    return row.ended_at + timedelta(seconds=policies.redo_window_seconds)


def times(count: int) -> str:
    """Return how often, in words: ``once``, ``2 times``."""
    return "once" if count == 1 else f"{count} times"


def redo(uow: UnitOfWork, row: Any, policies: Policies) -> tuple[str, str, str | None]:
    """Have a locked order delivered again, if its policies allow it.

    Returns the answer, why, and the id of the order under which it is delivered.
    """
    why_not = refusal(uow, row, policies)
    if why_not:
        return "refused", why_not, None
    again = _again(uow, row)
    again |= _log(uow, row, again)
    uow.run(_ADD, **again)
    # While it waits for its redo, nobody settles a delivery that is not yet paid for.
    due = again["deliver_by"] + timedelta(seconds=1) if row.state == "delivered" else None
    uow.run(_BEGIN, order_id=row.id, new_redo_id=again["id"], due=due)
    sessions.join(uow, session_id=again["session_id"], agent_id=row.seller_id, order_id=again["id"])
    message = {
        "order_id": again["id"],
        "session_id": again["session_id"],
        "slug": row.slug,
        "redo_of": row.id,
    }
    inbox.deliver(uow, agent_id=row.seller_id, kind="order.placed", body=message)
    detail = f"It is delivered again as {again['id']}, by {spoken(again['deliver_by'])}."
    return "done", detail, str(again["id"])


def wait_for_redo(uow: UnitOfWork, row: Any) -> None:
    """Put off the deadline of a delivery until its redo has ended, which ends it or goes on."""
    waits_for = uow.one(_DUE, order_id=row.redo_id)
    until = max(waits_for.due_at, uow.now) + timedelta(seconds=1)
    uow.run(_BEGIN, order_id=row.id, new_redo_id=row.redo_id, due=until)


def _again(uow: UnitOfWork, row: Any) -> dict[str, Any]:
    """Return the row of an order like another, at no price and from the beginning."""
    order_id = uow.new_id("ord")
    deliver_by = uow.now + timedelta(seconds=row.deliver_seconds)
    nothing = {name: 0 for name in row._fields if name.endswith("_minor")}
    return {
        **row._asdict(),
        **nothing,
        "id": order_id,
        "redo_of": row.id,
        "redo_id": None,
        "dispute_id": None,
        "mandate_id": None,
        "referrer_id": None,
        "recommendation_id": None,
        "referral_basis_points": 0,
        "gate": None,
        "escrow_id": ledger.open_escrow(uow, order_id=order_id, currency=row.currency),
        "state": "placed",
        "units_delivered": 0,
        "chunks_delivered": 0,
        "captures": 0,
        "refunds": 0,
        "rejected": 0,
        "delivery_digest": "",
        "delivery_commitment": None,
        "placed_at": uow.now,
        "deliver_by": deliver_by,
        "due_at": deliver_by,
        "accept_by": None,
        "ended_at": None,
        "receipt_id": None,
    }


def _log(uow: UnitOfWork, row: Any, again: dict[str, Any]) -> dict[str, Any]:
    """Write that the redo is placed, in the order's log or in one of its own; say where."""
    body = {
        "quote_id": row.quote_id,
        "service_id": row.service_id,
        "slug": row.slug,
        "seller_id": row.seller_id,
        "amount_minor": 0,
        "currency": row.currency,
        "units": row.units,
        "mandate_id": None,
        "deliver_by": rfc3339(again["deliver_by"]),
        "redo_of": row.id,
    }
    placed = NewEvent("order.placed", row.buyer_id, body, again["id"])
    if sessions.is_open(uow, session_id=row.session_id):
        appended = sessions.append(uow, session_id=row.session_id, events=[placed])
        return {"first_offset": appended.first_offset}
    session_id, appended = sessions.begin(
        uow,
        buyer_id=row.buyer_id,
        principal_id=row.principal_id,
        request=OpenSession(need=f"redo of {row.slug}"),
        events=[placed],
    )
    return {"session_id": session_id, "first_offset": appended.first_offset}
