"""Verbs of the inbox."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, case, literal_column, select

from market.base import streams
from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.sql import Sql, upsert
from market.base.store import Store
from market.base.work import Entry, Snapshot, UnitOfWork
from market.inbox.errors import OffsetAhead
from market.inbox.tables import inboxes
from market.protocol.canonical import canonical
from market.protocol.wire import InboxView, MessageView

_offered = literal_column("excluded.acknowledged", inboxes.c.acknowledged.type)
_ACKNOWLEDGE: Final = Sql(
    upsert(
        inboxes,
        keys=["agent_id"],
        set_={
            "acknowledged": case(
                (_offered > inboxes.c.acknowledged, _offered), else_=inboxes.c.acknowledged
            )
        },
    )
)
_ACKNOWLEDGED: Final = Sql(
    select(inboxes.c.acknowledged).where(inboxes.c.agent_id == bindparam("agent_id"))
)


def stream_of(agent_id: str) -> str:
    """Return the id of the stream that is this agent's inbox."""
    return f"inbox:{agent_id}"


def open_inbox(uow: UnitOfWork, *, agent_id: str) -> None:
    """Make an agent's inbox; a repeat changes nothing. The first message would make it too."""
    streams.create(uow, stream_id=stream_of(agent_id))


def deliver(uow: UnitOfWork, *, agent_id: str, kind: str, body: dict[str, Any]) -> int:
    """Put a message into an agent's inbox and return its offset. ``kind`` as in ``MessageView``."""
    message = canonical({"kind": kind, "sent_at": rfc3339(uow.now), "body": body})
    stream_id = stream_of(agent_id)
    try:
        return streams.append(uow, stream_id=stream_id, data=[message])
    except streams.StreamNotFound:
        streams.create(uow, stream_id=stream_id)
        return streams.append(uow, stream_id=stream_id, data=[message])


def read(snapshot: Snapshot, *, caller: Caller, after: int, limit: int) -> InboxView:
    """Return the caller's messages after an offset (-1: from the start), oldest first."""
    caller.need("read")
    stream_id = stream_of(caller.agent_id)
    try:
        found = streams.read(snapshot, stream_id=stream_id, after=after, limit=limit)
    except streams.StreamNotFound:
        found = streams.Read([], 0, is_end=False)
    return InboxView(
        items=_messages(found.entries),
        next_offset=found.next_offset,
        acknowledged=acknowledged_by(snapshot, caller.agent_id),
    )


def acknowledge(uow: UnitOfWork, *, caller: Caller, offset: int) -> InboxView:
    """Mark everything up to ``offset`` as handled; an earlier offset than before changes nothing.

    Returns where the inbox stands, without messages.

    Raises:
        OffsetAhead: no message has this offset yet.
    """
    caller.need("read")
    stream = streams.stream(uow, stream_id=stream_of(caller.agent_id))
    next_offset = stream.next_offset if stream else 0
    if offset >= next_offset:
        raise OffsetAhead("Acknowledge what was read.", next_offset=next_offset)
    uow.run(_ACKNOWLEDGE, agent_id=caller.agent_id, acknowledged=offset)
    return InboxView(
        items=[],
        next_offset=next_offset,
        acknowledged=acknowledged_by(uow, caller.agent_id),
    )


async def follow(
    store: Store, *, caller: Caller, after: int, patience_seconds: streams.Patience = 1.0
) -> AsyncGenerator[list[MessageView], None]:
    """Yield the caller's messages after an offset: first the past, then live, without gap.

    An empty list is a sign of life: nothing came for ``patience_seconds``. It ends when the
    market drains.
    """
    caller.need("read")
    stream_id = stream_of(caller.agent_id)
    if await store.read(streams.stream, stream_id=stream_id) is None:
        await store.write(open_inbox, agent_id=caller.agent_id)
    following = streams.follow(
        store, stream_id=stream_id, after=after, patience_seconds=patience_seconds
    )
    async with aclosing(following):
        async for found in following:
            yield _messages(found.entries)


def _messages(entries: list[Entry]) -> list[MessageView]:
    return [
        MessageView(offset=entry.offset, **msgspec.json.decode(entry.data)) for entry in entries
    ]


def acknowledged_by(snapshot: Snapshot, agent_id: str) -> int:
    """Return the last offset that an agent has handled; -1 for none."""
    row = snapshot.one(_ACKNOWLEDGED, agent_id=agent_id)
    return -1 if row is None else int(row.acknowledged)
