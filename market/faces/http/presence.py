"""Presence over HTTP: say what one does on a device, and read who is in a session."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from market import sessions
from market.base.caller import Caller
from market.base.store import Store
from market.faces.http.binding import get, post
from market.protocol.ids import SessionId
from market.protocol.wire import PresenceView, ShowPresence


class PresenceController(Controller):
    path = "/v1/sessions"
    tags = ("sessions",)

    @post(
        "/{session_id:str}/presence",
        status=200,
        refuses=(403, 404, 409, 429),
        delegates=True,
        scopes=("order", "oversee", "session.write"),
    )
    async def show_presence(
        self,
        session_id: FromPath[SessionId],
        request: JSONBody[ShowPresence],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> PresenceView:
        """Be present on a device, and say so again before ``lost_at``; or leave.

        The same status again is a heartbeat, and no event. Who falls silent has left the session;
        nothing else changes by it.
        """
        return await store.write(
            sessions.be_present, caller=caller, session_id=session_id, request=request
        )

    @get(
        "/{session_id:str}/presence",
        refuses=(404,),
        delegates=True,
        scopes=("read", "session.read"),
    )
    async def list_presence(
        self,
        session_id: FromPath[SessionId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> list[PresenceView]:
        """List who is present, by device; a seller sees those of its own orders."""
        sessions.need_to_read(caller)
        return await store.read(sessions.present, caller=caller, session_id=session_id)
