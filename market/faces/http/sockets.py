"""A session over WebSocket: the log comes down, controls go up (RFC 6455).

Frames down are events as everywhere else; ``{"closed": true, "next_offset": n}`` is the last one
of a complete log. With ``from=snapshot`` the first one is ``{"snapshot": {...}}``: what the log
comes to, for a reader that has nothing yet. A socket that ends for another reason says which in its
close frame: ``drain`` (1012: come back), ``expired`` or ``revoked`` (1008: come back with a new
token). Frames up are ``{"control": {...}}``, answered by ``{"control": [...]}`` or
``{"problem": {...}}``.
"""

import asyncio
from contextlib import aclosing
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import anyio
import msgspec
import structlog
from litestar import Controller, WebSocket, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.params import FromPath
from litestar.types import Scope
from litestar.types.asgi_types import (
    WebSocketResponseBodyEvent,
    WebSocketResponseStartEvent,
)

from market import orders, sessions
from market.base.errors import MarketError, NotFound
from market.faces.http import limits
from market.faces.http.answers import PRIVATE, PROBLEM, encode, fixed_headers
from market.faces.http.call import read_query
from market.faces.http.desk import Desk
from market.faces.http.doors import Visitor
from market.faces.http.limits import After
from market.faces.http.problems import (
    ForeignOrigin,
    InvalidBody,
    InvalidParameter,
    Malformed,
    invalid_fields,
    problem_tree,
    refusal_headers,
    report,
)
from market.faces.http.sessions import follow_session
from market.faces.http.streaming import steps
from market.protocol.ids import SessionId
from market.protocol.wire import Control

log: Final = structlog.get_logger("market.http")

GONE: Final = (WebSocketDisconnect, OSError)
"""What sending to a client that has left may raise, by server."""

CLOSE_CODES: Final = {"closed": 1000, "drain": 1012, "expired": 1008, "revoked": 1008}


class _Query(msgspec.Struct, forbid_unknown_fields=True):
    after: After = -1
    start: Literal["snapshot"] | None = msgspec.field(default=None, name="from")


class _Frame(msgspec.Struct, forbid_unknown_fields=True):
    """What a client may send."""

    control: Control


_read_frame: Final = msgspec.json.Decoder(_Frame)


class SocketController(Controller):
    @websocket("/v1/sessions/{session_id:str}/socket")
    async def open_socket(
        self, socket: WebSocket[Any, Any, Any], session_id: FromPath[str]
    ) -> None:
        """Follow a session and control it, over one connection."""
        desk: Desk = socket.scope["litestar_app"].state.desk
        request_id = desk.request_ids.new("req")
        try:
            visitor = await _admit(desk, socket.scope, session_id)
            query = _query(socket.scope)
            desk.gate.enter(visitor.caller.agent_id)
        except MarketError as refusal:
            issuer = desk.settings.issuer
            await _refuse(socket, refusal, request_id=request_id, issuer=issuer)
            return
        line = _Line(socket, desk, visitor, session_id)
        try:
            await line.serve(query)
        finally:
            desk.gate.leave(visitor.caller.agent_id)


class _Line:
    """One open socket: a task for each direction; when one ends, so does the other."""

    def __init__(
        self, socket: WebSocket[Any, Any, Any], desk: Desk, visitor: Visitor, session_id: str
    ) -> None:
        self._socket = socket
        self._desk = desk
        self._visitor = visitor
        self._session_id = session_id
        self._ending: tuple[int, str] | None = None

    async def serve(self, query: _Query) -> None:
        """Work until the log, the client or the market ends."""
        await self._socket.accept()
        try:
            async with anyio.create_task_group() as tasks:
                for work in (self._send_log(query), self._take_frames()):
                    tasks.start_soon(_then_cancel, work, tasks.cancel_scope)
            # Only now: granian cannot close a socket that it is still asked to receive from.
            if self._ending is not None:
                await self._socket.close(*self._ending)
        except* GONE:
            pass  # The client has left. That is no cancel: the log waits for it.
        except* TimeoutError:
            log.info("stream.stalled", agent_id=self._visitor.caller.agent_id)

    async def _send_log(self, query: _Query) -> None:
        after = query.after
        if query.start == "snapshot" and after < 0:
            after = await self._send_snapshot()
        batches = follow_session(
            self._desk, self._visitor, session_id=self._session_id, after=after
        )
        sequence = steps(batches, doors=self._desk.doors, visitor=self._visitor, after=after)
        async with aclosing(sequence):
            async for step in sequence:
                for item in step.items:
                    await self._send(item.json)
                if step.ending == "closed":
                    await self._send(encode({"closed": True, "next_offset": step.next_offset}))
                if step.ending is not None:
                    self._ending = (CLOSE_CODES[step.ending], step.ending)

    async def _send_snapshot(self) -> int:
        """Send what the log comes to; return the last offset in it."""
        found = await sessions.snapshot(
            self._desk.store,
            self._desk.folds,
            caller=self._visitor.caller,
            session_id=self._session_id,
        )
        await self._send(b'{"snapshot":%b}' % found.json)
        return found.offset

    async def _take_frames(self) -> None:
        clock = asyncio.get_running_loop().time
        minute, frames = clock(), 0
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if clock() - minute >= 60:
                minute, frames = clock(), 0
            frames += 1
            self._ending = _violation(message, frames)
            if self._ending is not None:
                return
            answer = await self._answer(str(message.get("text")).encode())
            await self._send(encode(answer))

    async def _send(self, frame: bytes) -> None:
        async with asyncio.timeout(limits.STALL_SECONDS):
            await self._socket.send_text(frame.decode())

    async def _answer(self, frame: bytes) -> dict[str, Any]:
        try:
            request = _decode(frame)
            authorization = self._visitor.authorization
            visitor = await self._desk.doors.admit(authorization, delegates=True)
            views = await self._desk.store.write(
                orders.control,
                caller=visitor.caller,
                session_id=self._session_id,
                request=request,
            )
        except Exception as error:
            # The edge: as for any request, a bug is reported, and answered without detail.
            request_id = self._desk.request_ids.new("req")
            refusal = report(error, request_id=request_id, agent_id=self._visitor.caller.agent_id)
            return {"problem": problem_tree(refusal, request_id)}
        return {"control": views}


async def _then_cancel(work: Any, scope: anyio.CancelScope) -> None:
    await work
    scope.cancel()


async def _admit(desk: Desk, scope: Scope, session_id: str) -> Visitor:
    """Return who opens a socket on a session in which it takes part.

    Raises:
        ForeignOrigin: a page of another site does.
        Unauthenticated, NotFound: as for any request.
    """
    headers = dict(scope["headers"])
    _check_origin(headers, desk.settings.issuer)
    visitor = await desk.doors.admit(headers.get(b"authorization"), delegates=True)
    sessions.need_to_read(visitor.caller)
    try:
        msgspec.convert(session_id, SessionId)
    except msgspec.ValidationError as error:
        raise NotFound("There is nothing at this address for you.") from error
    await desk.store.read(sessions.viewer_of, caller=visitor.caller, session_id=session_id)
    return visitor


def _check_origin(headers: dict[bytes, bytes], issuer: str) -> None:
    origin = headers.get(b"origin")
    if origin is None:
        return
    # Not the Host header: a page whose name was bound anew to this address sends its own.
    if urlsplit(origin.decode("latin-1"))[:2] != urlsplit(issuer)[:2]:
        raise ForeignOrigin("Open the socket from a page of this market, or without a browser.")


def _query(scope: Scope) -> _Query:
    texts = read_query(scope["query_string"])
    try:
        return msgspec.convert(texts, _Query, strict=False)
    except msgspec.ValidationError as error:
        raise invalid_fields(InvalidParameter, "query", error) from error


def _violation(message: Any, frames: int) -> tuple[int, str] | None:
    """Return the code and reason to close with, if a client's frame breaks the rules."""
    text = message.get("text")
    if text is None:
        return 1003, "binary"
    if len(text) > limits.FRAME or len(text.encode()) > limits.FRAME:
        return 1009, "too big"
    return (1008, "too many frames") if frames > limits.FRAMES_PER_MINUTE else None


def _decode(frame: bytes) -> Control:
    try:
        return _read_frame.decode(frame).control
    except msgspec.ValidationError as error:
        raise invalid_fields(InvalidBody, "frame", error) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed("The frame is not JSON of the form {'control': ...}.") from error


async def _refuse(
    socket: WebSocket[Any, Any, Any], refusal: MarketError, *, request_id: str, issuer: str
) -> None:
    """Refuse the handshake, with a problem document where the server can send one."""
    extensions = socket.scope.get("extensions") or {}
    if "websocket.http.response" not in extensions:
        await socket.close()
        return
    headers = [
        *fixed_headers(PROBLEM, PRIVATE),
        (b"x-request-id", request_id.encode()),
        *refusal_headers(refusal, issuer),
    ]
    start: WebSocketResponseStartEvent = {
        "type": "websocket.http.response.start",
        "status": refusal.status,
        "headers": headers,
    }
    body: WebSocketResponseBodyEvent = {
        "type": "websocket.http.response.body",
        "body": encode(problem_tree(refusal, request_id)),
        "more_body": False,
    }
    await socket.send(start)
    await socket.send(body)
