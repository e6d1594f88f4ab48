"""Sessions: one buying journey is one durable log.

A **session** outlives connections, processes and devices. Its **events** have gapless **offsets**
from 0 and chain their hashes, so a change anywhere shows. Buyer, principal and overseers **own**
it and see everything; a seller **joins** by an order and sees that order's part, with a stub
(**withheld**) at every other offset. Participants append directly; kinds that state a fact about
money or delivery are the market's alone. **Closed** means no more ever; a reader that has read all
there is today has **caught up**. A disconnect changes nothing.
"""

from market.sessions.errors import (
    BadEvent,
    KindReserved,
    SessionClosed,
    SessionFull,
    SessionNotFound,
)
from market.sessions.reading import Reading, Shown, events, follow
from market.sessions.rights import Viewer, need_to_act
from market.sessions.service import begin, close, join, open_session
from market.sessions.views import (
    buyers_open_session,
    checkpoint,
    head,
    is_known,
    is_open,
    joined,
    owned,
    session,
    sessions_of,
    viewer_of,
)
from market.sessions.writing import MAX_EVENT_BYTES, NewEvent, append, write

__all__ = [
    "MAX_EVENT_BYTES",
    "BadEvent",
    "KindReserved",
    "NewEvent",
    "Reading",
    "SessionClosed",
    "SessionFull",
    "SessionNotFound",
    "Shown",
    "Viewer",
    "append",
    "begin",
    "buyers_open_session",
    "checkpoint",
    "close",
    "events",
    "follow",
    "head",
    "is_known",
    "is_open",
    "join",
    "joined",
    "need_to_act",
    "open_session",
    "owned",
    "session",
    "sessions_of",
    "viewer_of",
    "write",
]
