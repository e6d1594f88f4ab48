"""Open lines: what every WebSocket of the market has in common (RFC 6455).

A socket that ends says why in its close frame: ``drain`` (1012: come back), ``expired`` or
``revoked`` (1008: come back with a new token), or that all was said (1000). A frame up is answered
by one frame down; what is refused, by ``{"problem": {...}}``.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import msgspec
import structlog
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect
from litestar.types import Scope

from market import sessions
from market.base.errors import MarketError
from market.faces.http import limits
from market.faces.http.answers import encode
from market.faces.http.desk import Desk
from market.faces.http.doors import Visitor, payer_of
from market.faces.http.problems import (
    ForeignOrigin,
    InvalidBody,
    Malformed,
    invalid_fields,
    problem_tree,
    refuse_handshake,
    report,
)

log: Final = structlog.get_logger("market.http")

GONE: Final = (WebSocketDisconnect, OSError)
"""What sending to a client that has left may raise, by server."""

CLOSE_CODES: Final = {"closed": 1000, "drain": 1012, "expired": 1008, "revoked": 1008}

Socket = WebSocket[Any, Any, Any]


class Line(ABC):
    """One open socket: a task for each direction; when one ends, so does the other."""

    def __init__(self, socket: Socket, desk: Desk, visitor: Visitor) -> None:
        self.desk = desk
        self.visitor = visitor
        self._socket = socket
        self._send_soon = desk.gate.patrol.watch(socket.send_text)
        self._ending: tuple[int, str] | None = None

    @abstractmethod
    async def send_log(self) -> None:
        """Send what comes, until it ends; then say by ``end`` why."""

    @abstractmethod
    async def act(self, frame: bytes, visitor: Visitor) -> dict[str, Any]:
        """Do what a client's frame asks, and return the answer. Refusals become answers, too."""

    async def serve(self) -> None:
        """Work until the log, the client or the market ends."""
        await self._socket.accept()
        try:
            async with anyio.create_task_group() as tasks:
                for work in (self.send_log(), self._take_frames()):
                    tasks.start_soon(_then_cancel, work, tasks.cancel_scope)
            # Only now: granian cannot close a socket that it is still asked to receive from.
            if self._ending is not None:
                await self._socket.close(*self._ending)
        except* GONE:
            pass  # The client has left. That is no cancel: the log waits for it.
        except* TimeoutError:
            log.info("stream.stalled", agent_id=self.visitor.caller.agent_id)

    async def send(self, frame: bytes) -> None:
        """Send one frame; a client that takes nothing for long is cut (TimeoutError)."""
        await self._send_soon(frame.decode())

    def end(self, why: str) -> None:
        """Have the socket closed with this reason."""
        self._ending = (CLOSE_CODES[why], why)

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
            await self.send(encode(answer))

    async def _answer(self, frame: bytes) -> dict[str, Any]:
        try:
            authorization = self.visitor.authorization
            visitor = await self.desk.doors.admit(authorization, delegates=True)
            self.desk.rates.count_frame(visitor.caller)
            return await self.act(frame, visitor)
        except Exception as error:
            # The edge: as for any request, a bug is reported, and answered without detail.
            request_id = self.desk.request_ids.new("req")
            refusal = report(error, request_id=request_id, agent_id=self.visitor.caller.agent_id)
            return {"problem": problem_tree(refusal, request_id)}


async def serve_line(socket: Socket, open_line: Callable[[Desk, Visitor], Awaitable[Line]]) -> None:
    """Let in who may read sessions, or refuse the handshake; then serve the line to its end."""
    desk: Desk = socket.scope["litestar_app"].state.desk
    request_id = desk.request_ids.new("req")
    try:
        visitor = await _admit(desk, socket.scope)
        line = await open_line(desk, visitor)
        caller = visitor.caller
        desk.gate.enter(payer_of(caller), is_delegate=caller.delegation is not None)
    except MarketError as refusal:
        issuer = desk.settings.issuer
        await refuse_handshake(
            socket.scope, socket.send, refusal, request_id=request_id, issuer=issuer
        )
        return
    try:
        await line.serve()
    finally:
        desk.gate.leave(payer_of(caller))


def decode_frame(decoder: msgspec.json.Decoder[Any], frame: bytes) -> Any:
    """Return a client's frame.

    Raises:
        Malformed, InvalidBody: it is not of its form.
    """
    try:
        return decoder.decode(frame)
    except msgspec.ValidationError as error:
        raise invalid_fields(InvalidBody, "frame", error) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed("The frame is not JSON of the form {'control': ...}.") from error


async def _then_cancel(work: Any, scope: anyio.CancelScope) -> None:
    await work
    scope.cancel()


async def _admit(desk: Desk, scope: Scope) -> Visitor:
    """Return who opens a socket.

    Raises:
        ForeignOrigin: a page of another site does.
        Unauthenticated, InsufficientScope: as for any request.
    """
    headers = dict(scope["headers"])
    _check_origin(headers, desk.settings.issuer)
    visitor = await desk.doors.admit(headers.get(b"authorization"), delegates=True)
    sessions.need_to_read(visitor.caller)
    return visitor


def _check_origin(headers: dict[bytes, bytes], issuer: str) -> None:
    origin = headers.get(b"origin")
    if origin is None:
        return
    # Not the Host header: a page whose name was bound anew to this address sends its own.
    if urlsplit(origin.decode("latin-1"))[:2] != urlsplit(issuer)[:2]:
        raise ForeignOrigin("Open the socket from a page of this market, or without a browser.")


def _violation(message: Any, frames: int) -> tuple[int, str] | None:
    """Return the code and reason to close with, if a client's frame breaks the rules."""
    text = message.get("text")
    if text is None:
        return 1003, "binary"
    if len(text) > limits.FRAME or len(text.encode()) > limits.FRAME:
        return 1009, "too big"
    return (1008, "too many frames") if frames > limits.FRAMES_PER_MINUTE else None
