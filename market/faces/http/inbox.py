"""The caller's inbox over HTTP: read, wait, follow, acknowledge."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody
from litestar.response.base import ASGIResponse

from market import inbox
from market.base.caller import Caller
from market.base.paging import Limit
from market.base.store import Store
from market.faces.http.answers import encode
from market.faces.http.binding import get, post
from market.faces.http.call import Call
from market.faces.http.desk import Desk
from market.faces.http.doors import Visitor
from market.faces.http.limits import After, Wait
from market.faces.http.sessions import LastEventId
from market.faces.http.streaming import EVENTS, Batch, Item, open_stream
from market.protocol.wire import Acknowledge, InboxView


class InboxController(Controller):
    path = "/v1/inbox"
    tags = ("inbox",)

    @get(scopes=("read",))
    async def read_inbox(
        self,
        caller: NamedDependency[Caller],
        call: NamedDependency[Call],
        store: NamedDependency[Store],
        after: FromQuery[After] = -1,
        limit: FromQuery[Limit] = 100,
        wait_seconds: FromQuery[Wait] = 0,
    ) -> InboxView:
        """Read the messages that follow an offset; with ``wait_seconds``, wait for one."""
        found = await store.read(inbox.read, caller=caller, after=after, limit=limit)
        if wait_seconds and not found.items:
            await _wait(call, after, wait_seconds)
            found = await store.read(inbox.read, caller=caller, after=after, limit=limit)
        return found

    @get("/stream", refuses=(429,), answer=str, media=(EVENTS,), scopes=("read",))
    async def stream_inbox(
        self,
        caller: NamedDependency[Caller],
        call: NamedDependency[Call],
        after: FromQuery[After] = -1,
        last_event_id: LastEventId = None,
    ) -> ASGIResponse:
        """Follow the inbox live, as server-sent events; each ``data`` is a message."""
        caller.need("read")
        start = after if last_event_id is None else last_event_id
        return open_stream(call, _follow(call.desk, call.visitor, start), after=start)

    @post("/acknowledge", status=200, scopes=("read",), frees=True)
    async def acknowledge_inbox(
        self,
        request: JSONBody[Acknowledge],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> InboxView:
        """Mark everything up to an offset as handled; an earlier offset changes nothing."""
        return await store.write(inbox.acknowledge, caller=caller, offset=request.offset)


async def _follow(desk: Desk, visitor: Visitor, after: int) -> AsyncGenerator[Batch[Item], None]:
    next_offset = after + 1
    following = inbox.follow(
        desk.store,
        caller=visitor.caller,
        after=after,
        patience_seconds=partial(desk.doors.patience, visitor),
    )
    async with aclosing(following):
        async for messages in following:
            items = [Item(message.offset, encode(message)) for message in messages]
            next_offset = items[-1].offset + 1 if items else next_offset
            yield Batch(items, next_offset, is_end=False)


async def _wait(call: Call, after: int, seconds: int) -> None:
    """Return when something follows ``after``, the time is over, or the market drains."""
    quiet_seconds, doors, visitor = 0, call.desk.doors, call.visitor
    following = inbox.follow(call.desk.store, caller=visitor.caller, after=after)
    async with aclosing(following):
        async for messages in following:
            await doors.recheck(visitor)
            quiet_seconds += 1
            if messages or quiet_seconds >= seconds:
                return
