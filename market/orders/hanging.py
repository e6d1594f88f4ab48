"""What hangs on a seller's bond: orders of which a buyer may still claim something.

While one does, the bond stays. A seller cannot release it, and what a seller and a buyer agree on
between them takes nothing out of it: else a seller's own fake buyer would be served first.
"""

from datetime import timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select

from market import catalog
from market.base.clock import rfc3339
from market.base.settings import Settings
from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import Snapshot
from market.orders.tables import orders
from market.protocol.manifest import Manifest, Policies

_is_asked: Final[ColumnElement[bool]] = and_(
    orders.c.seller_id == bindparam("seller_id"),
    orders.c.id != bindparam("besides"),
    func.coalesce(orders.c.redo_of, "-") != bindparam("besides"),
)
_NEWEST: Final = Sql(
    select(orders.c.id, orders.c.ended_at, orders.c.owed_minor, orders.c.dispute_id)
    .where(
        _is_asked,
        or_(
            orders.c.ended_at.is_(None),
            orders.c.ended_at > bindparam("since", type_=UtcDateTime()),
            orders.c.dispute_id.is_not(None),
            and_(orders.c.owed_minor > 0, bindparam("besides") == ""),
        ),
    )
    .order_by(orders.c.id.desc())
    .limit(1)
)
_is_claimable = and_(
    _is_asked,
    orders.c.ended_at.is_not(None),
    or_(
        orders.c.captured_minor > orders.c.refunded_minor + orders.c.owed_minor,
        # What was delivered again may be disputed anew, from then on.
        orders.c.redo_of.is_not(None),
    ),
)
_LAST_OF_EACH: Final = Sql(
    select(
        orders.c.manifest_digest, func.max(orders.c.ended_at, type_=UtcDateTime()).label("ended_at")
    )
    .where(_is_claimable)
    .group_by(orders.c.manifest_digest)
)
_ENDED_AT: Final = Sql(
    select(orders.c.id)
    .where(
        _is_claimable,
        orders.c.manifest_digest == bindparam("manifest_digest"),
        orders.c.ended_at == bindparam("ended_at", type_=UtcDateTime()),
    )
    .limit(1)
)


class Hanging(NamedTuple):
    """An order that hangs on its seller's bond, and why, in a sentence."""

    order_id: str
    why: str


def hanging(snapshot: Snapshot, *, seller_id: str, besides: str = "") -> Hanging | None:
    """Return an order that hangs on a seller's bond; None if the bond is free.

    That is one that is open, disputed, or not fully refunded; that ended within the cool-off; or
    of which its manifest still lets a buyer claim anything. ``besides`` names an order that is to
    be refunded: it does not count, and neither do refunds of others that are owed, or two would
    wait for each other.
    """
    asked = {"seller_id": seller_id, "besides": besides}
    cool_off = timedelta(seconds=snapshot.settings.bond_cool_off_seconds)
    newest: Any = snapshot.one(_NEWEST, since=snapshot.now - cool_off, **asked)
    if newest is None:
        return _claimable(snapshot, asked)
    if newest.ended_at is None:
        why = f"{newest.id} is open."
    elif newest.owed_minor or newest.dispute_id is not None:
        why = f"{newest.id} is disputed, or a refund of it is owed."
    else:
        why = _until(newest.id, rfc3339(newest.ended_at + cool_off))
    return Hanging(newest.id, why)


def dispute_window(policies: Policies, settings: Settings) -> timedelta:
    """Return how long after its settlement an order may be disputed."""
    seconds = policies.dispute_window_seconds
    return timedelta(seconds=settings.dispute_window_seconds if seconds is None else seconds)


def _claimable(snapshot: Snapshot, asked: dict[str, str]) -> Hanging | None:
    """Return the order that may be claimed upon for longest; None if the time is over for all."""
    ends = [
        (last.ended_at + _claim_window(snapshot, last.manifest_digest), last)
        for last in snapshot.all(_LAST_OF_EACH, **asked)
    ]
    free_at, last = max(ends, key=lambda end: end[0], default=(snapshot.now, None))
    if last is None or free_at < snapshot.now:
        return None
    found = snapshot.one(_ENDED_AT, **last._asdict(), **asked)
    return Hanging(found.id, _until(found.id, rfc3339(free_at)))


def _claim_window(snapshot: Snapshot, manifest_digest: str) -> timedelta:
    """Return how long a buyer may claim anything of an order that was settled under a manifest."""
    manifest: Manifest = catalog.manifest_of(snapshot, manifest_digest=manifest_digest)
    policies = manifest.policies
    windows = [dispute_window(policies, snapshot.settings)]
    if "refund" in manifest.support and policies.refund == "within-window":
        windows.append(timedelta(seconds=policies.refund_window_seconds))
    if "redo" in manifest.support and policies.redo:
        windows.append(timedelta(seconds=policies.redo_window_seconds))
    return max(windows)


def _until(order_id: str, free_at: str) -> str:
    return f"{order_id} ended not long ago; the bond answers for it until {free_at}."
