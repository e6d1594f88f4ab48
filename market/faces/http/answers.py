"""Answers: bytes that are encoded once, with the headers that every answer carries.

Litestar's own response classes cost more than a verb's statements; these send what they hold.
"""

from typing import Any, Final, cast

import msgspec
from litestar.response.base import ASGIResponse
from litestar.types import HTTPScope, Receive, Scope, Send

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
MARKDOWN: Final = "text/markdown; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"

PRIVATE: Final = "no-store"
PUBLIC: Final = "public, max-age=60"

Header = tuple[bytes, bytes]

encode: Final = msgspec.json.Encoder().encode

_SECURITY: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    # A server that finds none says what it is itself.
    (b"server", b"market"),
)


def fixed_headers(media: str, caching: str) -> tuple[Header, ...]:
    """Return the headers of every answer of this media type and caching rule."""
    vary = ((b"vary", b"Accept"),) if caching == PUBLIC else ()
    return (
        (b"content-type", media.encode()),
        (b"cache-control", caching.encode()),
        *_SECURITY,
        *vary,
    )


_PRIVATE_JSON: Final = fixed_headers(JSON, PRIVATE)


class Answer(ASGIResponse):
    """A finished answer."""

    __slots__ = ("_headers",)

    def __init__(
        self,
        body: bytes,
        *,
        request_id: str,
        status: int = 200,
        fixed: tuple[Header, ...] = _PRIVATE_JSON,
        extra: tuple[Header, ...] = (),
    ) -> None:
        # The parent's fields build header maps that nothing here reads.
        self.body = body
        self.status_code = status
        self._headers: list[Header] = [
            *fixed,
            (b"x-request-id", request_id.encode()),
            (b"content-length", str(len(body)).encode()),
            *extra,
        ]

    def to_asgi_response(self, app: Any, request: Any, **_: Any) -> "Answer":
        """Return itself: Litestar asks this of what an exception handler returns."""
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self._headers,
            }
        )
        is_head = cast("HTTPScope", scope)["method"] == "HEAD"
        body = b"" if is_head else self.body
        await send({"type": "http.response.body", "body": body, "more_body": False})
