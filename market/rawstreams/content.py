"""What a stream holds: its content type, and the form in which one request's content is kept.

One request is one entry. A JSON stream keeps its messages with commas between them and without
line breaks, so that reading is joining: nothing is parsed again.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from market.rawstreams.errors import BadContent

OCTETS: Final = "application/octet-stream"
_JSON: Final = "application/json"

_messages: Final = msgspec.json.Decoder(list[msgspec.Raw])
_value: Final = msgspec.json.Decoder()
_ON_ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")


def media_of(content_type: str) -> str:
    """Return a content type without its parameters, in lower case (RFC 9110 8.3.1)."""
    return content_type.partition(";")[0].strip().lower()


def is_json(content_type: str) -> bool:
    """Whether a stream of this type holds JSON messages."""
    return media_of(content_type) == _JSON


def is_text(content_type: str) -> bool:
    """Whether its content can travel in server-sent events as it is."""
    return is_json(content_type) or media_of(content_type).startswith("text/")


def stored(body: bytes, content_type: str) -> bytes:
    """Return the entry that keeps ``body``; of a JSON array the elements; nothing for ``[]``.

    Raises:
        BadContent: it is not JSON, where the type says so.
    """
    if not is_json(content_type):
        return body
    try:
        # All of it, so that whatever a reader gets can be decoded; deep nesting ends here too.
        with _uncollected():
            is_array = isinstance(_value.decode(body), list)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadContent(f"The body is not JSON: {error}.") from error
    kept = body.strip()
    if is_array:
        kept = kept[1:-1].strip()
    # Line breaks stand between the parts of JSON alone; within texts they are written ``\\n``.
    return kept.translate(_ON_ONE_LINE)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the collector from walking, again and again, a million parts that go at once.

    It makes 4 MiB of small parts cost 80 ms instead of 600, for all who wait meanwhile.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def prefix(entry: bytes, count: int, content_type: str) -> bytes | None:
    """Return the first ``count`` messages, or bytes, of an entry; None when it has not as many."""
    if not is_json(content_type):
        return entry[:count] if count <= len(entry) else None
    messages = _messages.decode(b"[" + entry + b"]")
    if count > len(messages):
        return None
    return b",".join(messages[:count])  # each is a view of the entry: nothing is copied twice
