"""The face: one ASGI application under ``/v1/stream/`` that turns requests into verbs."""

import asyncio
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final, NamedTuple

from litestar.datastructures import State
from litestar.types import HTTPScope, Receive, Scope, Send

from market import rawstreams
from market.base.caller import Caller
from market.base.errors import MarketError, NotFound
from market.base.streams import BadProducer
from market.faces.http import limits
from market.faces.http.answers import PRIVATE, PROBLEM, Header, encode
from market.faces.http.call import address_of, named_headers, read_body
from market.faces.http.desk import Desk
from market.faces.http.doors import Visitor
from market.faces.http.held import Lease
from market.faces.http.problems import (
    BodyTooSlow,
    MethodNotAllowed,
    RequestTimedOut,
    problem_tree,
    refusal_headers,
    report,
)
from market.faces.streams import headers as h
from market.faces.streams.appender import Appender
from market.faces.streams.control import RESERVED
from market.faces.streams.live import send_events
from market.faces.streams.logs import Log, look_up, need_raw, need_writing
from market.faces.streams.reading import (
    CLOSED,
    Reply,
    catch_up,
    head,
    long_poll,
    next_offset,
    touch,
)
from market.faces.streams.spinning import Spinning
from market.faces.streams.subscribing import Request, control
from market.rawstreams import Append, BadStreamRequest, NewStream

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
_PROBLEM: Final = (
    (b"content-type", PROBLEM.encode()),
    (b"cache-control", PRIVATE.encode()),
)


class _Ask(NamedTuple):
    """A request as the verbs below need it."""

    desk: Desk
    path: str
    headers: dict[bytes, bytes]
    visitor: Visitor | None
    lease: Lease

    @property
    def caller(self) -> Caller | None:
        return None if self.visitor is None else self.visitor.caller


class StreamFace:
    """Serves the protocol for durable streams. One event loop uses it."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._appender: Appender | None = None
        self._spinning = Spinning()

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        desk: Desk = self._state.desk
        lease = desk.held.lease(address_of(scope))
        try:
            reply = await self._answer(desk, scope, receive, send, lease)
        except OSError:
            return  # The client has left; what it sent is on disk all the same.
        except Exception as error:
            # The edge: a refusal becomes a problem document, a bug is reported.
            reply = _refused(desk, error)
        finally:
            lease.end()
        if reply is not None:
            await _send(reply, scope["method"], send)

    async def _answer(
        self, desk: Desk, scope: HTTPScope, receive: Receive, send: Send, lease: Lease
    ) -> Reply | None:
        """Return the answer, or None when it was sent as a stream."""
        method = str(scope["method"])
        if method == "OPTIONS":
            return Reply(204, h.PREFLIGHT)
        headers = named_headers(scope)
        address = _path(scope).removeprefix(h.PREFIX)
        if address.startswith(RESERVED):
            asked = _controlled(desk, method, address, headers, receive, lease)
            return await _in_time(desk, control(asked))
        path = h.stream_path(address)
        visitor = await _admit(desk, headers)
        if visitor is not None:
            lease.sender = visitor.caller.agent_id
        ask = _Ask(desk, path, headers, visitor, lease)
        if method == "GET":
            return await self._read(ask, scope, receive, send)
        return await _in_time(desk, self._act(ask, method, receive))

    async def _act(self, ask: _Ask, method: str, receive: Receive) -> Reply:
        if method in ("POST", "PUT"):
            ask.desk.disk.need_room()
        if method == "POST":
            return await self._append(ask, receive)
        if method == "HEAD":
            return head(await _look_up(ask))
        if method == "PUT":
            return await _create(ask, receive)
        if method == "DELETE":
            need_raw(ask.path)
            await ask.desk.store.write(rawstreams.remove, caller=_writer(ask), path=ask.path)
            return Reply(204, ())
        raise MethodNotAllowed(f"This path knows {', '.join(METHODS)}.", allow=list(METHODS))

    async def _read(self, ask: _Ask, scope: Scope, receive: Receive, send: Send) -> Reply | None:
        wanted = h.wanted_of(scope)
        desk, store = ask.desk, ask.desk.store
        log = await _look_up(ask)
        await touch(store, log)
        match = ask.headers.get(b"if-none-match")
        if wanted.live is None:
            return await _in_time(desk, catch_up(store, log, wanted, match))
        request_id = desk.request_ids.new("req")
        # Without a token nobody can be told from anybody: each counts for itself.
        reader_id = request_id if ask.visitor is None else ask.visitor.caller.agent_id
        desk.gate.enter(reader_id)
        try:
            if wanted.live == "long-poll":
                check = partial(_admit, desk, ask.headers)
                reply = await long_poll(store, log, wanted, match, desk.clock, check)
                if reply.status == 204 and CLOSED in reply.headers:
                    self._spinning.note(_client(ask, scope), log.stream.id, now=time.monotonic())
                return reply
            told = (*h.SHARED, (b"x-request-id", request_id.encode()))
            await send_events(desk, log, wanted, ask.visitor, told, receive, send)
            return None
        finally:
            desk.gate.leave(reader_id)

    async def _append(self, ask: _Ask, receive: Receive) -> Reply:
        need_raw(ask.path)
        producer = h.producer_of(ask.headers)
        closes = h.is_true(ask.headers, b"stream-closed")
        body = await _body(receive, ask.lease)
        content_type = h.text_of(ask.headers, b"content-type")
        if not body and not closes:
            raise BadStreamRequest("Send some content, or Stream-Closed: true to close.")
        if body and not content_type:
            raise BadStreamRequest("Send the content's type in Content-Type.")
        request = Append(
            caller=_writer(ask),
            content_type=content_type,
            entry=_entry(body, content_type or ""),
            producer=producer,
            seq=h.text_of(ask.headers, b"stream-seq"),
            closes=closes,
        )
        if self._appender is None:
            self._appender = Appender(ask.desk.store)
        done = await self._appender.append(ask.path, request, ask.lease.hand_over())
        told: tuple[Header, ...] = (next_offset(done.next_offset),)
        if done.is_closed:
            told += (CLOSED,)
        if producer is not None:
            told += (
                (b"producer-epoch", str(producer.epoch).encode()),
                (b"producer-seq", str(done.seq).encode()),
            )
        is_new_data = producer is not None and not done.is_repeat and bool(body)
        return Reply(200 if is_new_data else 204, told)


def _controlled(
    desk: Desk,
    method: str,
    address: str,
    headers: dict[bytes, bytes],
    receive: Receive,
    lease: Lease,
) -> Request:
    async def admit() -> Caller | None:
        visitor = await _admit(desk, headers)
        return None if visitor is None else visitor.caller

    return Request(desk, method, address, headers, admit, partial(_body, receive, lease))


async def _in_time(desk: Desk, work: Coroutine[Any, Any, Reply]) -> Reply:
    try:
        return await desk.requests.within(work)
    except TimeoutError as error:
        # What was handed to the writer is still written; a producer's repeat is told so.
        raise RequestTimedOut("It may be done all the same.", retry_after_seconds=1) from error


async def _create(ask: _Ask, receive: Receive) -> Reply:
    need_raw(ask.path)
    ttl_seconds, expires_at = h.time_of(ask.headers)
    fork = h.fork_of(ask.headers)
    content_type = h.content_type_of(ask.headers)
    if content_type is None and fork is None:
        content_type = "application/octet-stream"
    new = NewStream(
        content_type=content_type,
        ttl_seconds=ttl_seconds,
        expires_at=expires_at,
        is_closed=h.is_true(ask.headers, b"stream-closed"),
        access=h.access_of(ask.headers),
        fork=fork,
        body=await _body(receive, ask.lease),
    )
    created = await ask.desk.store.write(
        rawstreams.create, caller=_writer(ask), path=ask.path, new=new
    )
    stream = created.stream
    told: tuple[Header, ...] = (
        (b"content-type", stream.content_type.encode("latin-1")),
        next_offset(stream.next_offset),
        *((CLOSED,) if stream.is_closed else ()),
    )
    if created.is_new:
        told += ((b"location", _location(ask)),)
    return Reply(201 if created.is_new else 200, told)


async def _look_up(ask: _Ask) -> Log:
    return await ask.desk.store.read(look_up, caller=ask.caller, path=ask.path)


async def _admit(desk: Desk, headers: dict[bytes, bytes]) -> Visitor | None:
    authorization = headers.get(b"authorization")
    if authorization is None and desk.settings.open_streams:
        return None
    return await desk.doors.admit(authorization)


def _client(ask: _Ask, scope: Scope) -> str:
    return address_of(scope) if ask.visitor is None else ask.visitor.caller.agent_id


def _writer(ask: _Ask) -> Caller | None:
    """Return who writes.

    Raises:
        InsufficientScope: its token lets it read alone.
    """
    need_writing(ask.caller)
    return ask.caller


def _entry(body: bytes, content_type: str) -> bytes | MarketError | None:
    if not body:
        return None
    try:
        entry = rawstreams.stored(body, content_type)
    except MarketError as refusal:
        return refusal
    return entry or BadStreamRequest("An empty array appends nothing.")


async def _body(receive: Receive, lease: Lease, limit: int = limits.STREAM_BODY) -> bytes:
    try:
        async with asyncio.timeout(limits.BODY_SECONDS):
            return await read_body(receive, limit, lease)
    except TimeoutError as error:
        raise BodyTooSlow(f"A body comes within {limits.BODY_SECONDS} s.") from error


def _path(scope: HTTPScope) -> str:
    """Return the stream that a request names: of the path as it was sent, since a mount's is not.

    Raises:
        NotFound: it is not under this face.
        BadStreamRequest: it is not text.
    """
    path = h.decoded(scope["raw_path"].partition(b"?")[0])
    if not path.startswith(h.PREFIX):
        raise NotFound("There is nothing at this address for you.")
    return path


def _location(ask: _Ask) -> bytes:
    return f"{ask.desk.settings.issuer}{h.PREFIX}{h.quoted(ask.path)}".encode()


def _refused(desk: Desk, error: Exception) -> Reply:
    request_id = desk.request_ids.new("req")
    if isinstance(error, BadProducer):
        error = BadStreamRequest(error.detail)
    refusal = report(error, request_id=request_id)
    told = (
        *_PROBLEM,
        *h.refusal_facts(refusal.facts),
        *refusal_headers(refusal, desk.settings.issuer),
        (b"x-request-id", request_id.encode()),
    )
    return Reply(refusal.status, told, encode(problem_tree(refusal, request_id)))


async def _send(reply: Reply, method: str, send: Send) -> None:
    is_head = method == "HEAD"
    body = b"" if is_head else reply.body
    told = [*reply.headers, *h.SHARED]
    if reply.status not in (204, 304) and not is_head:
        # A HEAD's would have to be the GET's, which is not known (RFC 9110 8.6).
        told.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": reply.status, "headers": told})
    await send({"type": "http.response.body", "body": body, "more_body": False})
