"""Every limit of the HTTP face and the streams face, in one place.

``docs/limits.md`` is the table of all limits of the market, with those of the rooms.

================  ==========================================================================
what              limit
================  ==========================================================================
body              ``BODY`` bytes; ``INPUT_BODY`` where a service's input or output travels,
                  ``STREAM_BODY`` into a raw stream; all within ``BODY_SECONDS``
bodies together   ``HELD`` bytes that are being received or worked on, ``HELD_PER_SENDER`` of
                  one agent or address; long ones leave ``HELD_FOR_SMALL`` to short ones
header block      ``HEADERS`` fields within ``HEADER_SECONDS``; the servers stop at
                  ``HEADER_BYTES``
request           ``REQUEST_SECONDS`` until it is answered
connections       ``CONNECTIONS``; one that is idle is kept for ``IDLE_SECONDS``
requests          the settings' ``requests_per_second``, ``writes_per_second`` of an agent,
                  ``visits_per_second`` of an address; ``BURST_SECONDS`` of it at once, of
                  which sub-agents leave half; ``SPARE`` more to end, cancel or get a token
heavy work        one at a time for each agent, ``HEAVY`` in all, ``HEAVY_WAITING`` in its line
bearer token      ``TOKEN`` characters
query             ``QUERY`` bytes and ``QUERY_FIELDS`` parameters; where one may stand many times,
                  ``LONG_QUERY`` bytes and ``REPEATED`` more
page              1 to 100 items (``base.paging``)
long poll         ``WAIT_SECONDS``
live streams      ``STREAMS_PER_AGENT`` and ``STREAMS`` in all, on SSE and WebSocket together,
                  ``STREAMS_KEPT`` for an agent beside its sub-agents;
                  a feed of many sessions is one;
                  a reader that takes nothing for ``STALL_SECONDS`` is cut
WebSocket frame   ``FRAME`` bytes, ``FRAMES_PER_MINUTE`` from the client
checkpoint        ``CHECKPOINTS_PER_MINUTE`` signed for one agent on demand
================  ==========================================================================
"""

from typing import Annotated, Final

from msgspec import Meta

BODY: Final = 72 * 1024
"""A commitment is at most 64 KiB; the rest is its envelope."""
INPUT_BODY: Final = 1024 * 1024
BODY_SECONDS: Final = 30.0
"""How long a body may take to arrive."""
DISCARD: Final = 16 * 1024 * 1024
"""Bytes of a body that is too large which are read and thrown away before the refusal is sent."""
STREAM_BODY: Final = 4 * 1024 * 1024
"""Bytes of one request's content for a raw stream."""
HELD: Final = 64 * 1024 * 1024
"""Bytes of bodies that are being received, worked on, or wait to be written, in one process."""
HELD_PER_SENDER: Final = 32 * 1024 * 1024
HELD_FOR_SMALL: Final = 8 * 1024 * 1024
"""Bytes of either that longer bodies than ``BODY`` leave free: a cancel is short."""
REQUEST_SECONDS: Final = 60.0
"""How long a request may take that is no live stream: longer than any body and any long poll."""
BUCKETS: Final = 50_000
"""Agents, and as many addresses, whose rates are remembered."""
BURST_SECONDS: Final = 2
"""How many seconds' worth of requests may come at once."""
SPARE: Final = 10
"""Requests beyond every rate that are answered if they end or cancel something, or get a token."""
HEAVY: Final = 2
"""What reads a great deal for one answer and is under way at a time, of all agents."""
HEAVY_WAITING: Final = 8
"""Such requests of one agent, the one that has its turn among them."""
HEADERS: Final = 100
HEADER_BYTES: Final = 32 * 1024
TOKEN: Final = 8 * 1024
QUERY: Final = 4 * 1024
QUERY_FIELDS: Final = 20
LONG_QUERY: Final = 8 * 1024
REPEATED: Final = 100
WAIT_SECONDS: Final = 30
STREAMS_PER_AGENT: Final = 256
STREAMS_KEPT: Final = 32
"""Of them, those which its sub-agents leave to the agent itself."""
STREAMS: Final = 16_384
CONNECTIONS: Final = 2 * STREAMS
"""How many may be open at once, in one process: above what the streams can take, or waiting
readers would shut everybody else out."""
HEADER_SECONDS: Final = 30
"""How long a header block may take to arrive."""
IDLE_SECONDS: Final = 30
"""How long a connection is kept on which nothing is asked."""
FRAME: Final = 64 * 1024
FRAMES_PER_MINUTE: Final = 120
CHECKPOINTS_PER_MINUTE: Final = 60
"""Heads of logs that the market signs for one agent on demand."""
HEARTBEAT_SECONDS: Final = 15.0
STALL_SECONDS: Final = 30.0
"""How long a reader may leave a frame in the server's hands before its stream is cut."""
CALLERS: Final = 10_000
"""Verified access tokens that are kept in memory."""

Wait = Annotated[int, Meta(ge=0, le=WAIT_SECONDS, description="seconds to wait for something new")]
After = Annotated[
    int, Meta(ge=-1, le=2**53 - 1, description="the last offset already seen; -1 for the start")
]
