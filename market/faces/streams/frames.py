"""Server-sent events of the protocol, framed once for all readers of the same entries.

``event: data`` carries content (JSON always as an array, other than text as base64), and each is
followed by ``event: control`` with the offset to go on from (WHATWG HTML 9.2; LF line ends).
"""

import base64
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Final

import msgspec

from market.base.work import Entry
from market.faces.streams.headers import write_offset
from market.rawstreams import is_json, is_text

CURSOR_EPOCH: Final = datetime(2024, 10, 9, tzinfo=UTC)
CURSOR_SECONDS: Final = 20
MAX_JITTER: Final = 3_600
_LINES: Final = re.compile(rb"\r\n|\r|\n")

View = Callable[[Entry], bytes] | None
Jitter = Random()  # noqa: S311 - spreads cache keys, protects nothing


def cursor_at(now: datetime, known: int | None) -> int:
    """Return the cursor for a live answer: the 20-second interval, and more than the client's.

    So caches collapse readers of one interval, and none is served the same answer for ever.
    """
    interval = int((now - CURSOR_EPOCH).total_seconds()) // CURSOR_SECONDS
    if known is None or known < interval:
        return interval
    return known + max(1, Jitter.randint(1, MAX_JITTER) // CURSOR_SECONDS)


def body_of(entries: Sequence[Entry], content_type: str, view: View) -> bytes:
    """Return the content of entries as one body: an array of messages, or the bytes."""
    parts = [entry.data if view is None else view(entry) for entry in entries]
    return b"[" + b",".join(parts) + b"]" if is_json(content_type) else b"".join(parts)


def data_frame(entries: Sequence[Entry], content_type: str, view: View) -> bytes:
    """Return entries as one data event."""
    body = body_of(entries, content_type, view)
    if is_json(content_type):
        return b"event: data\ndata:" + body + b"\n\n"
    if not is_text(content_type):
        return b"event: data\ndata:" + base64.b64encode(body) + b"\n\n"
    # A blank after the colon is the format's; a line that begins with one keeps its own.
    lines = [b"data: " + line if line[:1] == b" " else b"data:" + line for line in _split(body)]
    return b"event: data\n" + b"\n".join(lines) + b"\n\n"


def _split(body: bytes) -> list[bytes]:
    return _LINES.split(body)


def control_frame(next_offset: int, cursor: int, *, is_up_to_date: bool, is_closed: bool) -> bytes:
    """Return the event that says from where to go on, and whether there is more, or never more."""
    fields: dict[str, str | bool] = {"streamNextOffset": write_offset(next_offset).decode()}
    if is_closed:
        fields["streamClosed"] = True
    else:
        fields["streamCursor"] = str(cursor)
    if is_up_to_date:
        fields["upToDate"] = True
    return b"event: control\ndata:" + msgspec.json.encode(fields) + b"\n\n"


def push_frames(entries: Sequence[Entry], content_type: str, view: View, cursor: int) -> bytes:
    """Return the frames of entries that were just appended, made once for all their readers."""
    last = entries[-1]
    if view is not None:
        return _frames(entries, content_type, view, cursor)
    known = last.views.get("sse")
    if known is not None and known[0] == (entries[0].offset, cursor):
        return bytes(known[1])
    frames = _frames(entries, content_type, None, cursor)
    last.views["sse"] = ((entries[0].offset, cursor), frames)
    return frames


def _frames(entries: Sequence[Entry], content_type: str, view: View, cursor: int) -> bytes:
    next_offset = entries[-1].offset + 1
    control = control_frame(next_offset, cursor, is_up_to_date=True, is_closed=False)
    return data_frame(entries, content_type, view) + control
