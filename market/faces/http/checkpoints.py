"""Checkpoints over HTTP: the market's signatures under a session's log, for everyone in it."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from market import sessions
from market.base.caller import Caller
from market.base.paging import Cursor, Limit
from market.base.store import Store
from market.faces.http.binding import get
from market.faces.http.call import Call
from market.protocol.ids import SessionId
from market.protocol.wire import CheckpointView, Page


class CheckpointController(Controller):
    path = "/v1/sessions"
    tags = ("sessions",)

    @get(
        "/{session_id:str}/checkpoints",
        refuses=(404,),
        delegates=True,
        scopes=("read", "session.read"),
    )
    async def list_checkpoints(
        self,
        session_id: FromPath[SessionId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        limit: FromQuery[Limit] = 50,
        cursor: FromQuery[Cursor | None] = None,
    ) -> Page[CheckpointView]:
        """List what the market signed of a log: every 1,000th event, and the last of a closed one.

        ``token`` is a ``checkpoint+jwt``. Keep it: whatever the log says later, or to others, must
        have this hash at this offset.
        """
        sessions.need_to_read(caller)
        return await store.read(
            sessions.checkpoints_of,
            caller=caller,
            session_id=session_id,
            cursor=cursor,
            limit=limit,
        )

    @get(
        "/{session_id:str}/checkpoint",
        refuses=(404, 429),
        delegates=True,
        scopes=("read", "session.read"),
    )
    async def sign_checkpoint(
        self,
        session_id: FromPath[SessionId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        call: NamedDependency[Call],
    ) -> CheckpointView:
        """Sign a log as it stands now, up to its last event."""
        sessions.need_to_read(caller)
        call.desk.checkpoints.count(caller.agent_id, now=call.desk.clock.now())
        return await store.read(sessions.checkpoint, caller=caller, session_id=session_id)
