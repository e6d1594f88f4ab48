"""Inbox: what an agent is told, kept until it has been handled.

An inbox is a stream per agent (``inbox:<agent id>``): a *message* is one entry of it, with a
gapless offset. To *deliver* is to append, in the unit of work that makes the message true; to
*acknowledge* is to say that everything up to an offset is handled. Reading changes nothing, so a
consumer that crashed reads again from what it acknowledged and tolerates a message twice.
"""

from market.inbox.counting import count_waiting
from market.inbox.errors import OffsetAhead
from market.inbox.service import acknowledge, deliver, follow, open_inbox, read, stream_of

__all__ = [
    "OffsetAhead",
    "acknowledge",
    "count_waiting",
    "deliver",
    "follow",
    "open_inbox",
    "read",
    "stream_of",
]
