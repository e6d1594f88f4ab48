"""Presence: who is in a session now, by device. It is shown, and decides nothing.

A participant says on each device what it does (``thinking``, ``streaming``, ``idle``), and says it
again before ``presence_seconds`` are over. Only what changes becomes an event; a heartbeat is one
row. Who falls silent has left, as the log then says; nothing else changes by it: a disconnect is
never a cancel.
"""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, delete, func, select, update

from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.sql import Sql, insert
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.protocol.events import MARKET, Audience
from market.protocol.wire import PresenceView, ShowPresence
from market.sessions.errors import (
    BadEvent,
    OrderNeeded,
    SessionClosed,
    TooManyDevices,
)
from market.sessions.rights import Viewer, need_to_write
from market.sessions.tables import presence
from market.sessions.views import is_open, viewer_of
from market.sessions.writing import NewEvent, check_room, claim, put_events

MAX_DEVICES: Final = 50
"""Devices that are present in one session, at most."""

MAX_DEVICES_OF_SELLER: Final = 10
"""Devices of one seller among them, so that it cannot keep the buyer's side out."""

MAX_DEVICES_OF_SELLERS: Final = 40
"""Devices of all sellers among them, for the same reason."""

MAX_SWEPT: Final = 100
"""Devices that one turn finds gone, at most; the rest waits for the next turn."""

_KEY: Final = (
    presence.c.session_id == bindparam("in_session"),
    presence.c.agent_id == bindparam("of_agent"),
    presence.c.device == bindparam("on_device"),
)
_ADD: Final = Sql(insert(presence))
_FIND: Final = Sql(select(presence).where(*_KEY))
_BEAT: Final = Sql(
    update(presence)
    .where(
        *_KEY,
        presence.c.status == bindparam("same_status"),
        func.coalesce(presence.c.order_id, "") == bindparam("same_order"),
    )
    .values(seen_at=bindparam("now", type_=UtcDateTime()))
)
_CHANGE: Final = Sql(
    update(presence)
    .where(*_KEY)
    .values(
        status=bindparam("new_status"),
        order_id=bindparam("new_order_id"),
        seen_at=bindparam("now", type_=UtcDateTime()),
    )
)
_REMOVE: Final = Sql(delete(presence).where(*_KEY))
_REMOVE_SILENT: Final = Sql(
    delete(presence).where(
        *_KEY, presence.c.seen_at <= bindparam("silent_since", type_=UtcDateTime())
    )
)
_PRESENT: Final = Sql(
    select(presence)
    .where(presence.c.session_id == bindparam("in_session"))
    .order_by(presence.c.joined_at, presence.c.agent_id, presence.c.device)
    .limit(MAX_DEVICES)
)
_SILENT: Final = Sql(
    select(presence)
    .where(presence.c.seen_at <= bindparam("silent_since", type_=UtcDateTime()))
    .order_by(presence.c.seen_at)
    .limit(MAX_SWEPT)
)


class _Device(NamedTuple):
    """One device of one participant; the fields are the table's columns."""

    session_id: str
    agent_id: str
    device: str
    order_id: str | None
    status: str
    joined_at: datetime
    seen_at: datetime

    @property
    def key(self) -> dict[str, str]:
        """What finds its row."""
        return {
            "in_session": self.session_id,
            "of_agent": self.agent_id,
            "on_device": self.device,
        }


def be_present(
    uow: UnitOfWork, *, caller: Caller, session_id: str, request: ShowPresence
) -> PresenceView:
    """Say what the caller does on one of its devices, or that it leaves.

    The first sign of a device, another status and leaving are events; the same again is none.

    Raises:
        SessionNotFound: the caller takes no part in such a session.
        SessionClosed: nobody is present in a log that is complete.
        OrderNeeded: a seller is present for one order of its own, and it is not clear for which.
        TooManyDevices, SessionFull: nobody more fits.
    """
    need_to_write(caller)
    viewer = viewer_of(uow, caller=caller, session_id=session_id)
    order_id = None if request.status == "left" else _order_of(viewer, request.order_id)
    here = _Device(
        session_id, caller.agent_id, request.device, order_id, request.status, uow.now, uow.now
    )
    if not is_open(uow, session_id=session_id):
        raise SessionClosed("Its log is complete: nobody is present in it any more.")
    if uow.run(_BEAT, **here.key, same_status=here.status, same_order=order_id or "", now=uow.now):
        return _view(uow, uow.one(_FIND, **here.key))
    claimed = claim(uow, session_id)
    # Only now, with the log held: no other worker writes of this device meanwhile.
    known = uow.one(_FIND, **here.key)
    if known is not None:
        here = here._replace(joined_at=known.joined_at)
    if here.status != "left":
        check_room(viewer, claimed.next_offset + 1)
    events = _step(uow, viewer, known, here)
    if events:
        put_events(uow, session_id, claimed, events)
    return _view(uow, here)


def present(snapshot: Snapshot, *, caller: Caller, session_id: str) -> list[PresenceView]:
    """Return who is present in a session, as far as the caller may see; the longest there first.

    Raises:
        SessionNotFound: the caller takes no part in such a session.
    """
    viewer = viewer_of(snapshot, caller=caller, session_id=session_id)
    if not is_open(snapshot, session_id=session_id):
        return []
    rows = snapshot.all(_PRESENT, in_session=session_id)
    return [
        _view(snapshot, row) for row in rows if viewer.is_owner or row.order_id in viewer.order_ids
    ]


def sweep_presence(uow: UnitOfWork) -> int:
    """Write that devices which fell silent have left; return how many they were."""
    silent_since = uow.now - timedelta(seconds=uow.settings.presence_seconds)
    silent = [_Device(*row) for row in uow.all(_SILENT, silent_since=silent_since)]
    swept = 0
    # Logs are claimed in one order, so that two workers never wait for each other.
    for device in sorted(silent, key=lambda device: device.session_id):
        try:
            claimed = claim(uow, device.session_id)
        except SessionClosed:
            swept += uow.run(_REMOVE, **device.key)
            continue
        # One that gave a sign in this moment stays.
        if uow.run(_REMOVE_SILENT, **device.key, silent_since=silent_since):
            put_events(uow, device.session_id, claimed, [_left(device, MARKET, "lost")])
            swept += 1
    return swept


def _step(uow: UnitOfWork, viewer: Viewer, known: Any, here: _Device) -> list[NewEvent]:
    """Let a device's row follow what it says; return the events that this is, if it is any."""
    if here.status == "left":
        uow.run(_REMOVE, **here.key)
        return [] if known is None else [_left(_Device(*known), here.agent_id, "left")]
    joined = _event("presence.joined", here, here.agent_id, status=here.status)
    if known is None:
        _check_room(uow, viewer, here)
        uow.run(_ADD, **here._asdict())
        return [joined]
    uow.run(_CHANGE, **here.key, new_status=here.status, new_order_id=here.order_id, now=uow.now)
    if known.order_id != here.order_id:
        # Who sees the one order alone must see that the device is there no more.
        return [_left(_Device(*known), here.agent_id, "left"), joined]
    if known.status == here.status:
        return []
    return [_event("presence.changed", here, here.agent_id, status=here.status)]


def _check_room(uow: UnitOfWork, viewer: Viewer, here: _Device) -> None:
    rows = uow.all(_PRESENT, in_session=here.session_id)
    # A seller's sub-agents count with it: they are there for its orders.
    orders = frozenset() if viewer.is_buyers else viewer.order_ids
    own = sum(row.agent_id == here.agent_id or row.order_id in orders for row in rows)
    limit = MAX_DEVICES if viewer.is_owner else MAX_DEVICES_OF_SELLER
    of_sellers = sum(row.order_id is not None for row in rows)
    is_full = here.order_id is not None and of_sellers >= MAX_DEVICES_OF_SELLERS
    if len(rows) >= MAX_DEVICES or own >= limit or is_full:
        raise TooManyDevices(
            f"There is no room for another; {own} devices of the caller's side are present.",
            max_devices=MAX_DEVICES,
            max_devices_of_seller=MAX_DEVICES_OF_SELLER,
            max_devices_of_sellers=MAX_DEVICES_OF_SELLERS,
        )


def _order_of(viewer: Viewer, named: str | None) -> str | None:
    """Return the order whose part of the log tells of a seller; an owner is there for all."""
    if viewer.is_owner or viewer.is_buyers:
        if named is not None:
            raise BadEvent("The buyer's side is present for the whole session: leave order_id out.")
        return None
    known = sorted(viewer.order_ids)
    if named is None and len(known) == 1:
        return known[0]
    if named not in viewer.order_ids:
        raise OrderNeeded(f"{len(known)} orders here are the caller's: give one.", orders=known)
    return named


def _left(device: _Device, actor_id: str, reason: str) -> NewEvent:
    return _event("presence.left", device, actor_id, reason=reason)


def _event(kind: str, device: _Device, actor_id: str, **more: str) -> NewEvent:
    body = {"agent_id": device.agent_id, "device": device.device, **more}
    audience: Audience = "owner" if device.order_id is None else "order"
    return NewEvent(kind, actor_id, body, device.order_id, audience=audience)


def _view(snapshot: Snapshot, row: Any) -> PresenceView:
    lost_at = row.seen_at + timedelta(seconds=snapshot.settings.presence_seconds)
    return PresenceView(
        session_id=row.session_id,
        agent_id=row.agent_id,
        device=row.device,
        order_id=row.order_id,
        status=row.status,
        joined_at=rfc3339(row.joined_at),
        seen_at=rfc3339(row.seen_at),
        lost_at=rfc3339(lost_at),
    )
