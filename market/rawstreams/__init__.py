"""Raw streams: durable streams of bytes or JSON messages under a path, for any use.

The open protocol for durable streams speaks of these. A **path** names one stream. An **entry**
is the content of one request, so an offset counts requests. A stream has one **content type** for
life; it may be **closed** (no more ever), it may **lapse** (a time to live that every use begins
anew, or an instant), and it may be a **fork**, which shares its **source's** entries up to where
it branched off. A deleted source stays for its forks, and for them alone. Sessions and inboxes
are streams too, but never raw: only their rooms write them.
"""

from market.rawstreams.appending import Append, Appended, Outcome, append
from market.rawstreams.content import is_json, is_text, media_of, stored
from market.rawstreams.creating import Created, Fork, NewStream, create
from market.rawstreams.errors import (
    BadContent,
    BadStreamRequest,
    ContentTypeDiffers,
    LogClosed,
    SequenceConflict,
    SourceDeleted,
    StreamDeleted,
    StreamExists,
)
from market.rawstreams.reading import Part, look_up, read, touch
from market.rawstreams.removing import remove, sweep
from market.rawstreams.rows import ANYONE, Access, RawStream

__all__ = [
    "ANYONE",
    "Access",
    "Append",
    "Appended",
    "BadContent",
    "BadStreamRequest",
    "ContentTypeDiffers",
    "Created",
    "Fork",
    "LogClosed",
    "NewStream",
    "Outcome",
    "Part",
    "RawStream",
    "SequenceConflict",
    "SourceDeleted",
    "StreamDeleted",
    "StreamExists",
    "append",
    "create",
    "is_json",
    "is_text",
    "look_up",
    "media_of",
    "read",
    "remove",
    "stored",
    "sweep",
    "touch",
]
