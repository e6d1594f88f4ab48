"""The auditor's desk: the requests of a probe file, filled in for one piece of work."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit
from uuid import uuid4

import anyio
import httpx
import msgspec
from msgspec import UNSET

from market.probe.checks import POSITION
from market.probe.filling import NEW, Blanks, places_in
from market.probe.form import CancelPart, Probe, StartPart, steps_of
from market.probe.interpreting import picked
from market.probe.transport import Broken, Request, Unreachable

LAST_EVENT_ID: Final = "Last-Event-ID"
"""How a browser's EventSource resumes (WHATWG HTML 9.2.4)."""

_ANSWER_BYTES: Final = 1_048_576
_SCHEMES: Final = {"ws": "http", "wss": "https"}


class Desk:
    """One audit: its probe file, its address, its clock, and what the stream turned out to be."""

    def __init__(
        self, probe: Probe, url: str, *, environ: Mapping[str, str], http: httpx.AsyncClient
    ) -> None:
        self.probe = probe
        self.http = http
        self.transport = ""
        self.has_positions = False
        self.readers = 0
        self.works = 0
        self._url = url
        self._environ = environ
        self._began = anyio.current_time()

    def now_ms(self) -> float:
        """Return the milliseconds since the audit began."""
        return (anyio.current_time() - self._began) * 1_000

    @property
    def is_fresh(self) -> bool:
        """Whether each trial can have a piece of work of its own."""
        stream = msgspec.to_builtins(self.probe.stream)
        return bool(self.probe.start) or NEW in {*places_in(self._url), *places_in(stream)}

    @property
    def way(self) -> str:
        """How a reader resumes, in words; "" if nothing is known."""
        resume = self.probe.resume
        if resume is not UNSET:
            if resume.header is not UNSET:
                return resume.header
            if resume.query is not UNSET:
                return f"?{resume.query}="
            if resume.message is not UNSET:
                return "a first message"
        return LAST_EVENT_ID if self.transport == "SSE" and self.has_positions else ""

    async def new_work(self) -> "Work":
        """Start a piece of work as the file says, and return it.

        Raises:
            Unreachable: nobody answers there.
            Broken: the answer refuses, or does not hold what is taken from it.
        """
        self.works += 1
        places = {NEW: uuid4().hex}
        start = self.probe.start
        if isinstance(start, StartPart):
            answer = await self.ask(start, Blanks(self._environ, places))
            document = _document(answer)
            for name, path in start.take.items():
                value = picked(document, steps_of(path))
                if not isinstance(value, str | int):
                    raise Broken(f"[start] answered {answer.status_code} without a member {path!r}")
                places[name] = str(value)
        return Work(self, self._url, Blanks(self._environ, places))

    async def ask(self, part: StartPart | CancelPart, blanks: Blanks) -> httpx.Response:
        """Send the request of a table and return the answer, of whatever status.

        Raises:
            Unreachable: nobody answers there.
            Broken: the answer is none, or too large.
        """
        headers, body = _sent(part.headers, part.body, blanks)
        url = self.address(part.url, blanks)
        try:
            with anyio.fail_after(self.probe.limits.work_seconds):
                async with self.http.stream(
                    part.method, url, headers=headers, content=body
                ) as answer:
                    return httpx.Response(answer.status_code, content=await _taken(answer))
        except httpx.ConnectError as error:
            raise Unreachable("no connection") from error
        except (httpx.TransportError, httpx.InvalidURL, TimeoutError) as error:
            raise Broken(f"{part.method} {part.url} got no answer") from error

    def address(self, template: str, blanks: Blanks, *, is_socket: bool = False) -> str:
        """Return the whole address of a template, which may be a path on the stream's server.

        Raises:
            Broken: what a server answered would lead to another one, with our headers.
        """
        base = self._url if is_socket else _as_http(self._url)
        meant = Blanks(self._environ, {}).text(urljoin(base, template))
        filled = urljoin(blanks.text(base), blanks.text(template))
        if urlsplit(meant)[:2] != urlsplit(filled)[:2]:
            raise Broken(f"{template} leads to another server")
        return filled


class Work:
    """One piece of work, and the requests that read and cancel it."""

    def __init__(self, desk: Desk, url: str, blanks: Blanks) -> None:
        self._desk = desk
        resume = desk.probe.resume
        self._url = desk.address(url, blanks, is_socket=True)
        self._return_url = ""
        if resume is not UNSET and resume.url is not UNSET:
            self._return_url = desk.address(resume.url, blanks, is_socket=True)
        self._blanks = blanks

    def first(self) -> Request:
        """Return the request of the first reader."""
        stream = self._desk.probe.stream
        headers, body = _sent(stream.headers, stream.body, self._blanks)
        messages = tuple(self._blanks.text(one) for one in stream.send)
        return Request(self._url, stream.method, headers, body, messages)

    def again(self, position: str | None) -> Request:
        """Return the request of another reader: from the start, or behind a position."""
        resume = self._desk.probe.resume
        request = self.first()
        if self._return_url:
            request = Request(self._return_url, "GET", request.headers)
        if position is None:
            return request
        if resume is not UNSET:
            position = _added(position, resume.add)
            if resume.query is not UNSET:
                return request._replace(url=_with(request.url, resume.query, position))
            if resume.message is not UNSET:
                message = self._blanks.text(resume.message)
                filled = message.replace(f"{{{POSITION}}}", position)
                return request._replace(messages=(*request.messages, filled))
        if not self._desk.way:
            return request
        return request._replace(headers={**request.headers, self._desk.way: position})

    async def cancel(self, part: CancelPart) -> int:
        """Cancel the work, and return the status of the answer.

        Raises:
            Unreachable: nobody answers there.
            Broken: there is no answer.
        """
        return (await self._desk.ask(part, self._blanks)).status_code


def _sent(
    headers: Mapping[str, str], body: Any, blanks: Blanks
) -> tuple[dict[str, str], bytes | None]:
    """Return headers and content, filled in. A text is sent as it is, a document as JSON."""
    made = {name: blanks.text(value) for name, value in headers.items()}
    if not any(name.lower() == "accept-encoding" for name in made):
        made["Accept-Encoding"] = "identity"
    if body is UNSET:
        return made, None
    if isinstance(body, str):
        return made, blanks.text(body).encode()
    if not any(name.lower() == "content-type" for name in made):
        made["Content-Type"] = "application/json"
    return made, msgspec.json.encode(blanks.tree(body))


async def _taken(answer: httpx.Response) -> bytes:
    """Return the body of an answer."""
    taken = b""
    async for piece in answer.aiter_raw():
        taken += piece
        if len(taken) > _ANSWER_BYTES:
            raise Broken(f"the answer is longer than {_ANSWER_BYTES:,} bytes")
    return taken


def _document(answer: httpx.Response) -> Any:
    if answer.status_code >= HTTPStatus.BAD_REQUEST:
        raise Broken(f"[start] was refused with status {answer.status_code}")
    try:
        return msgspec.json.decode(answer.content)
    except msgspec.DecodeError:
        return None


def _added(position: str, number: int) -> str:
    return str(int(position) + number) if number and position.isdecimal() else position


def _with(url: str, name: str, value: str) -> str:
    """Return ``url`` with one query parameter set."""
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != name]
    return urlunsplit(parts._replace(query=urlencode([*query, (name, value)])))


def _as_http(url: str) -> str:
    """Return the address of the server behind a WebSocket's."""
    scheme, colon, rest = url.partition(":")
    return f"{_SCHEMES.get(scheme, scheme)}{colon}{rest}"
