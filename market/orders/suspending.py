"""Suspending: what an agent that is shut out has running, in slices, until nothing is left."""

from datetime import timedelta
from typing import Final

from market import catalog, identity
from market.base.work import UnitOfWork
from market.identity import Suspension
from market.orders.control import pause_orders_of
from market.orders.placing import deny
from market.orders.rows import locked, waiting_ids_of

SLICE: Final = 100
"""Orders that one unit of work pauses, and as many that it denies."""

LATE: Final = timedelta(seconds=5)
"""For how long another worker may still place what it began before it heard of a suspension."""


def shut_out(
    uow: UnitOfWork, *, agent_id: str, overseer_id: str, reason: str, limit: int = SLICE
) -> int:
    """Hide what an agent offers, deny what waits for approval, and pause what runs.

    At most ``limit`` orders of each; returns how many there were. Only an overseer lifts these
    pauses, whoever is reinstated; without one they end as all do.
    """
    catalog.suspend_seller(uow, seller_id=agent_id)
    waiting = waiting_ids_of(uow, agent_id=agent_id, limit=limit)
    rows = [locked(uow, order_id=order_id) for order_id in waiting]
    why = f"agent suspended: {reason}"
    for row in sorted(rows, key=lambda row: row.session_id):
        if row.state == "awaiting_approval":
            deny(uow, row, actor_id=overseer_id, reason=why, kind="approval.denied")
    paused = pause_orders_of(
        uow, overseer_id=overseer_id, agent_id=agent_id, reason=why, limit=limit
    )
    return len(rows) + paused


def carry_through(uow: UnitOfWork, *, suspension: Suspension) -> int:
    """Do the next slice of a suspension; return how many orders that was, 0 when all is done."""
    agent_id, overseer_id, at, reason = suspension
    done = shut_out(uow, agent_id=agent_id, overseer_id=overseer_id, reason=reason)
    if not done and uow.now - at >= LATE:
        identity.note_shut(uow, agent_id=agent_id)
    return done
