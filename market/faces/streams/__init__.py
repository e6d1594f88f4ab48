"""The streams face: the open protocol for durable streams, under ``/v1/stream/``.

Any client of that protocol creates, appends to, reads and follows raw streams here, and reads
sessions. ``headers`` reads and writes the protocol's words, ``logs`` says what is read, ``live``
sends server-sent events, ``appender`` groups what arrives together; the verbs are the room
``rawstreams``'. (Protocol 1.0; ``docs/streams.md``.)
"""

from typing import cast

from litestar import asgi
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive, Scope, Send

from market.faces.streams.face import StreamFace

__all__ = ["stream_route"]


def stream_route() -> ASGIRouteHandler:
    """Return the route that serves every path below ``/v1/stream``, for one application."""
    face = StreamFace()

    @asgi("/v1/stream", is_mount=True, copy_scope=True)
    async def serve_streams(scope: Scope, receive: Receive, send: Send) -> None:
        await face(cast("HTTPScope", scope), receive, send)

    return serve_streams
