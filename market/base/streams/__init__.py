"""Streams: append-only logs with gapless offsets, idempotent producers, forks and a final close.

Offsets count entries from 0. Within a stream the order of offsets is the order of commits: the
appending transaction claims them by updating the stream's own row, which it then holds until it
ends. Closing is final, repeatable and observable. An entry never changes. A **fork** begins with
the entries of its **source**, which it shares and does not copy.
"""

from market.base.streams.errors import (
    BadProducer,
    ForkTooDeep,
    ProducerFenced,
    ProducerGap,
    StreamClosed,
    StreamNotFound,
)
from market.base.streams.gathering import Gathering, Place
from market.base.streams.log import (
    Stream,
    append,
    claim,
    close,
    create,
    fork,
    put,
    remove,
    stream,
)
from market.base.streams.lookout import keep_lookout
from market.base.streams.producers import (
    MAX_PRODUCERS,
    Producer,
    check_producer,
    keep_producer,
)
from market.base.streams.reading import (
    MAX_PAGE,
    MAX_PAGE_BYTES,
    Patience,
    Read,
    bell_seconds,
    follow,
    read,
)
from market.base.streams.tables import entries, producers, streams

__all__ = [
    "MAX_PAGE",
    "MAX_PAGE_BYTES",
    "MAX_PRODUCERS",
    "BadProducer",
    "ForkTooDeep",
    "Gathering",
    "Patience",
    "Place",
    "Producer",
    "ProducerFenced",
    "ProducerGap",
    "Read",
    "Stream",
    "StreamClosed",
    "StreamNotFound",
    "append",
    "bell_seconds",
    "check_producer",
    "claim",
    "close",
    "create",
    "entries",
    "follow",
    "fork",
    "keep_lookout",
    "keep_producer",
    "producers",
    "put",
    "read",
    "remove",
    "stream",
    "streams",
]
