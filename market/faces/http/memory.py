"""The caller's memory over HTTP: notes under a namespace and a key."""

from typing import Annotated

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta

from market import memory
from market.base.caller import Caller
from market.base.once import Once
from market.base.paging import Cursor, Limit
from market.base.store import Store
from market.faces.http.binding import delete, get, put
from market.faces.http.call import Call
from market.faces.http.desk import Desk
from market.protocol.text import PLAIN_LINE
from market.protocol.wire import Namespace, NoteView, Page, WriteNote

Words = Annotated[str, Meta(max_length=200, pattern=PLAIN_LINE)]


class MemoryController(Controller):
    path = "/v1/memory"
    tags = ("memory",)

    @get(scopes=("read",))
    async def find_notes(
        self,
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
        namespace: FromQuery[Namespace | None] = None,
        q: FromQuery[Words] = "",
        limit: FromQuery[Limit] = 50,
        cursor: FromQuery[Cursor | None] = None,
    ) -> Page[NoteView]:
        """List the caller's notes, those whose key or value holds ``q``, by namespace and key."""
        async with desk.heavy.turn(caller.agent_id):
            return await desk.store.scan(
                memory.search,
                caller=caller,
                text=q,
                namespace=namespace,
                cursor=cursor,
                limit=limit,
            )

    @get("/{namespace:str}/{key:str}", refuses=(404, 422), scopes=("read",))
    async def read_note(
        self,
        namespace: FromPath[str],
        key: FromPath[str],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> NoteView:
        """Read a note of the caller."""
        return await store.read(memory.read, caller=caller, namespace=namespace, key=key)

    @put("/{namespace:str}/{key:str}", refuses=(409, 429), scopes=("read",))
    async def write_note(
        self,
        namespace: FromPath[str],
        key: FromPath[str],
        note: JSONBody[WriteNote],
        once: NamedDependency[Once | None],
        caller: NamedDependency[Caller],
        call: NamedDependency[Call],
    ) -> NoteView:
        """Keep a note, in place of the one under the same key; ``if_version`` guards it.

        With an Idempotency-Key a repeat gets the first answer, also where ``if_version`` is past.
        """
        desk, size = call.desk, len(call.content)
        await desk.quotas.take("note_bytes", caller.agent_id, size=size, once=once)
        return await desk.store.write_once(
            once, memory.write, caller=caller, namespace=namespace, key=key, note=note
        )

    @delete("/{namespace:str}/{key:str}", refuses=(404,), scopes=("read",))
    async def forget_note(
        self,
        namespace: FromPath[str],
        key: FromPath[str],
        once: NamedDependency[Once | None],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> None:
        """Remove a note; with an Idempotency-Key a repeat finds it removed, not missing."""
        await store.write_once(once, memory.forget, caller=caller, namespace=namespace, key=key)
