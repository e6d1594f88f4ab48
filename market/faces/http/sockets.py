"""A session over WebSocket: the log comes down, controls go up.

Frames down are events as everywhere else; ``{"closed": true, "next_offset": n}`` is the last one
of a complete log. Frames up are ``{"control": {...}}``, answered by ``{"control": [...]}`` or
``{"problem": {...}}``. What all sockets have in common stands in ``lines``.
"""

from contextlib import aclosing
from typing import Any, Final, Literal

import msgspec
from litestar import Controller, websocket
from litestar.params import FromPath
from litestar.types import Scope

from market import orders, sessions
from market.base.errors import NotFound
from market.faces.http.answers import encode
from market.faces.http.call import read_query
from market.faces.http.desk import Desk
from market.faces.http.doors import Visitor
from market.faces.http.limits import After
from market.faces.http.lines import Line, Socket, decode_frame, serve_line
from market.faces.http.problems import InvalidParameter, invalid_fields
from market.faces.http.sessions import follow_session
from market.faces.http.streaming import steps
from market.protocol.ids import SessionId
from market.protocol.wire import Control


class _Query(msgspec.Struct, forbid_unknown_fields=True):
    after: After = -1
    start: Literal["snapshot"] | None = msgspec.field(default=None, name="from")


class _Frame(msgspec.Struct, forbid_unknown_fields=True):
    """What a client may send."""

    control: Control


_FRAME: Final = msgspec.json.Decoder(_Frame)


class SocketController(Controller):
    @websocket("/v1/sessions/{session_id:str}/socket")
    async def open_socket(self, socket: Socket, session_id: FromPath[str]) -> None:
        """Follow a session and control it, over one connection."""

        async def open_line(desk: Desk, visitor: Visitor) -> Line:
            await _look_up(desk, visitor, session_id)
            return _SessionLine(socket, desk, visitor, session_id, _query(socket.scope))

        await serve_line(socket, open_line)


class _SessionLine(Line):
    """One session's log, and controls of it."""

    def __init__(
        self, socket: Socket, desk: Desk, visitor: Visitor, session_id: str, query: _Query
    ) -> None:
        super().__init__(socket, desk, visitor)
        self._session_id = session_id
        self._query = query

    async def send_log(self) -> None:
        """Send the session's events, and its end."""
        after = self._query.after
        if self._query.start == "snapshot" and after < 0:
            after = await self._send_snapshot()
        batches = follow_session(self.desk, self.visitor, session_id=self._session_id, after=after)
        sequence = steps(batches, doors=self.desk.doors, visitor=self.visitor, after=after)
        async with aclosing(sequence):
            async for step in sequence:
                for item in step.items:
                    await self.send(item.json)
                if step.ending == "closed":
                    await self.send(encode({"closed": True, "next_offset": step.next_offset}))
                if step.ending is not None:
                    self.end(step.ending)

    async def act(self, frame: bytes, visitor: Visitor) -> dict[str, Any]:
        """Intervene in the session."""
        asked: _Frame = decode_frame(_FRAME, frame)
        views = await self.desk.store.write(
            orders.control,
            caller=visitor.caller,
            session_id=self._session_id,
            request=asked.control,
        )
        return {"control": views}

    async def _send_snapshot(self) -> int:
        """Send what the log comes to; return the last offset in it."""
        found = await sessions.snapshot(
            self.desk.store,
            self.desk.folds,
            caller=self.visitor.caller,
            session_id=self._session_id,
        )
        await self.send(b'{"snapshot":%b}' % found.json)
        return found.offset


async def _look_up(desk: Desk, visitor: Visitor, session_id: str) -> None:
    """Let pass who takes part in the session.

    Raises:
        NotFound: there is none for the visitor.
    """
    try:
        msgspec.convert(session_id, SessionId)
    except msgspec.ValidationError as error:
        raise NotFound("There is nothing at this address for you.") from error
    await desk.store.read(sessions.viewer_of, caller=visitor.caller, session_id=session_id)


def _query(scope: Scope) -> _Query:
    texts = read_query(scope["query_string"])
    try:
        return msgspec.convert(texts, _Query, strict=False)
    except msgspec.ValidationError as error:
        raise invalid_fields(InvalidParameter, "query", error) from error
