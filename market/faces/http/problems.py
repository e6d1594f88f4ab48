"""Problem documents (RFC 9457): every refusal in one form, mapped from its kind once.

``type`` is ``/problems/<code>``, ``instance`` the request's id, and the facts of the case follow
as members of their own. What is no refusal is a bug: it is logged, and answered without detail.
"""

import logging
import re
from typing import Any, Final

import msgspec
import structlog
from litestar.exceptions import HTTPException
from litestar.types import Scope, Send
from litestar.types.asgi_types import (
    WebSocketResponseBodyEvent,
    WebSocketResponseStartEvent,
)

from market.base.errors import (
    Forbidden,
    Invalid,
    Limited,
    MarketError,
    NotFound,
    Overloaded,
    Unauthenticated,
)
from market.faces.http.answers import PRIVATE, PROBLEM, Answer, Header, encode, fixed_headers
from market.protocol.canonical import NotCanonical

log: Final = structlog.get_logger("market.http")

_PROBLEM_HEADERS: Final = fixed_headers(PROBLEM, PRIVATE)
_FIELD: Final = re.compile(r" - at `(?:key` in `)?\$\.?(.*)`$")
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING: Final = re.compile(r"^Object missing required field `(.*)`$")
_MAX_DETAIL: Final = 200


class Malformed(Invalid):
    code = "malformed"
    title = "The request cannot be read"
    status = 400


class InvalidParameter(Malformed):
    code = "invalid_parameter"
    title = "A parameter is unknown or not of its form"


class MissingIdempotencyKey(Malformed):
    code = "idempotency_key_missing"
    title = "This request needs an Idempotency-Key"


class InvalidBody(Invalid):
    code = "invalid_body"
    title = "The body is not of its form"


class MethodNotAllowed(Invalid):
    code = "method_not_allowed"
    title = "The path does not know this method"
    status = 405


class BodyTooSlow(Limited):
    code = "body_too_slow"
    title = "The body did not arrive in time"
    status = 408


class ContentTooLarge(Limited):
    code = "content_too_large"
    title = "The body is too large"
    status = 413


class UnsupportedMediaType(Invalid):
    code = "unsupported_media_type"
    title = "The body is not of the media type that is read here"
    status = 415


class HeadersTooLarge(Limited):
    code = "headers_too_large"
    title = "The request has too many or too long headers"
    status = 431


class TooManyStreams(Limited):
    code = "too_many_streams"
    title = "Too many live streams are open"


class TooOften(Limited):
    code = "too_often"
    title = "This was asked for too often"


class TooManyRequests(Limited):
    """Each process counts for itself; ``limit`` is a second's worth."""

    code = "too_many_requests"
    title = "Too many requests came at once"


class Misdirected(Invalid):
    """The header ``Host`` names this market, as its issuer does, or an address."""

    code = "misdirected"
    title = "The request is for another host"
    status = 421


class RequestTimedOut(Overloaded):
    """What was asked for may be done all the same. Repeat it with the same Idempotency-Key."""

    code = "request_timed_out"
    title = "The answer took too long"


class ForeignOrigin(Forbidden):
    code = "foreign_origin"
    title = "Another site may not open this socket"


class InternalError(MarketError):
    """Not a refusal: the market's own mistake, as the outside sees it."""

    code = "internal_error"
    title = "The market made a mistake"
    status = 500


def field_errors(error: msgspec.ValidationError) -> list[dict[str, str]]:
    """Return which field is wrong, and how, from what msgspec says about it."""
    message = str(error)
    found = _FIELD.search(message)
    field = found.group(1) if found else ""
    detail = message[: found.start()] if found else message
    for pattern, said in ((_UNKNOWN, "is not known here"), (_MISSING, "is required")):
        if named := pattern.match(detail):
            field = f"{field}.{named.group(1)}" if field else named.group(1)
            detail = said
    return [{"field": field[:_MAX_DETAIL], "detail": detail[:_MAX_DETAIL]}]


def invalid_fields(
    kind: type[MarketError], where: str, error: msgspec.ValidationError
) -> MarketError:
    """Return the refusal ``kind`` that names the wrong field of ``where`` (body, query, ...)."""
    [problem] = errors = field_errors(error)
    field = f"'{problem['field']}'" if problem["field"] else "the whole"
    return kind(f"In the {where}, {field}: {problem['detail']}.", errors=errors)


def as_refusal(error: Exception) -> MarketError | None:
    """Return what an exception means to a caller; None when it is a bug."""
    if isinstance(error, MarketError):
        return error
    if isinstance(error, NotCanonical):
        field = error.path.removeprefix(".")
        return InvalidBody(
            f"A value has no exact JSON form: {error.reason}.",
            errors=[{"field": field[:_MAX_DETAIL], "detail": error.reason}],
        )
    if isinstance(error, HTTPException):
        return _from_litestar(error)
    return None


def _from_litestar(error: HTTPException) -> MarketError | None:
    if error.status_code == 404:
        return NotFound("There is nothing at this address for you.")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("allow", "")
        return MethodNotAllowed(f"This path knows {allowed}.", allow=allowed.split(", "))
    if error.status_code < 500:
        return Malformed("The request cannot be read.")
    return None


def problem_tree(refusal: MarketError, request_id: str) -> dict[str, Any]:
    """Return the problem document of a refusal."""
    return {
        "type": f"/problems/{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "instance": request_id,
        **refusal.facts,
    }


def problem_answer(refusal: MarketError, *, request_id: str, issuer: str) -> Answer:
    """Return a refusal as an answer, with the headers that its kind asks for."""
    return Answer(
        encode(problem_tree(refusal, request_id)),
        status=refusal.status,
        request_id=request_id,
        fixed=_PROBLEM_HEADERS,
        extra=refusal_headers(refusal, issuer),
    )


def problem_headers(refusal: MarketError, request_id: str, issuer: str) -> list[Header]:
    """Return the headers of a refusal that is sent by hand."""
    return [
        *_PROBLEM_HEADERS,
        (b"x-request-id", request_id.encode()),
        *refusal_headers(refusal, issuer),
    ]


async def refuse_handshake(
    scope: Scope, send: Send, refusal: MarketError, *, request_id: str, issuer: str
) -> None:
    """Refuse a WebSocket, with a problem document where the server can send one."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.code})
        return
    start: WebSocketResponseStartEvent = {
        "type": "websocket.http.response.start",
        "status": refusal.status,
        "headers": problem_headers(refusal, request_id, issuer),
    }
    body: WebSocketResponseBodyEvent = {
        "type": "websocket.http.response.body",
        "body": encode(problem_tree(refusal, request_id)),
        "more_body": False,
    }
    await send(start)
    await send(body)


def refusal_headers(refusal: MarketError, issuer: str) -> tuple[Header, ...]:
    """Return the headers that a kind of refusal asks for (RFC 6750, 6585, 9110, 9728)."""
    metadata = f'resource_metadata="{issuer}/.well-known/oauth-protected-resource"'
    if isinstance(refusal, Unauthenticated):
        return ((b"www-authenticate", f"Bearer {metadata}".encode()),)
    if "scope" in refusal.facts and isinstance(refusal, Forbidden):
        scope = f'error="insufficient_scope", scope="{refusal.facts["scope"]}"'
        return ((b"www-authenticate", f"Bearer {scope}, {metadata}".encode()),)
    if isinstance(refusal, BodyTooSlow):
        return ((b"connection", b"close"),)
    # Against most limits waiting does not help; a refusal that it helps against says how long.
    seconds = refusal.facts.get("retry_after_seconds", 1 if refusal.status == 503 else None)
    if seconds is not None:
        return ((b"retry-after", str(seconds).encode()),)
    if isinstance(refusal, MethodNotAllowed):
        return ((b"allow", ", ".join(refusal.facts["allow"]).encode()),)
    return ()


_LEVELS: Final = {
    401: logging.INFO,
    402: logging.INFO,
    403: logging.INFO,
    429: logging.WARNING,
    503: logging.WARNING,
}
"""How operators hear of a refusal: who was kept out or slowed down; the rest only if they ask."""


def report(error: Exception, *, request_id: str, **where: Any) -> MarketError:
    """Return the refusal behind an exception, after noting it in the operators' log."""
    refusal = as_refusal(error)
    if refusal is None:
        log.error("request.failed", request_id=request_id, **where, exc_info=error)
        return InternalError("The request failed; it is safe to send it again.")
    level = _LEVELS.get(refusal.status, logging.DEBUG)
    log.log(level, "request.refused", request_id=request_id, code=refusal.code, **where)
    return refusal
