"""The protocol's headers and parameters: read strictly, written from fixed parts.

Everything that a client may get wrong is refused here, with one sentence about what is right.
"""

import re
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, cast
from urllib.parse import quote, unquote_to_bytes

from litestar.types import Scope

from market.base.clock import parse_rfc3339, rfc3339
from market.base.streams import Producer
from market.faces.http.answers import Header
from market.faces.http.call import read_query
from market.faces.http.problems import InvalidParameter
from market.rawstreams import Access, BadStreamRequest, Fork

PREFIX: Final = "/v1/stream/"
MAX_PATH: Final = 512
MAX_TTL: Final = 100 * 366 * 86_400
_WHOLE: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_DIGITS: Final = re.compile(r"[0-9]{1,16}")
_OFFSET: Final = re.compile(r"[0-9]{16}_[0-9]{16}")
_MEDIA: Final = re.compile(r"[\w.+-]+/[\w.+-]+.*", re.DOTALL)
_WIDE: Final = 10**16
_MOMENT: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_ACCESS: Final = ("private", "readable", "open")
_MAX_SAFE: Final = 2**53 - 1

SHARED: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"server", b"market"),
    (b"vary", b"authorization"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"access-control-allow-origin", b"*"),
    (
        b"access-control-expose-headers",
        b"stream-next-offset, stream-cursor, stream-up-to-date, stream-closed, stream-ttl, "
        b"stream-expires-at, stream-sse-data-encoding, producer-epoch, producer-seq, "
        b"producer-expected-seq, producer-received-seq, etag, location, content-type, "
        b"retry-after, x-request-id",
    ),
)
"""What every answer of this face carries, refusals included: browsers may read all of it."""

PREFLIGHT: Final[tuple[Header, ...]] = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, DELETE, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, if-none-match, last-event-id, stream-seq, stream-ttl, "
        b"stream-expires-at, stream-closed, stream-forked-from, stream-fork-offset, "
        b"stream-fork-sub-offset, stream-access, producer-id, producer-epoch, producer-seq",
    ),
    (b"access-control-max-age", b"86400"),
)

Live = Literal["long-poll", "sse"]


class Wanted(NamedTuple):
    """What a GET asks for. ``after`` -1: from the start; None: from the tail."""

    after: int | None
    has_offset: bool
    live: Live | None
    cursor: int | None


def stream_path(text: str) -> str:
    """Return the path that a URL's decoded path names, without the prefix of this face.

    Raises:
        BadStreamRequest: it is empty, too long, or holds control characters.
    """
    path = text.removeprefix(PREFIX)
    if not path or len(path) > MAX_PATH or _CONTROLS.search(path):
        raise BadStreamRequest(f"A stream's path has 1 to {MAX_PATH} characters of text.")
    return path


def decoded(raw: bytes) -> str:
    """Return the text that stands percent-encoded in a URL.

    Raises:
        BadStreamRequest: it is not UTF-8. Two such paths must not become the same one.
    """
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise BadStreamRequest("A path is text in UTF-8, percent-encoded.") from error


def quoted(path: str) -> str:
    """Return a stream's path as it stands in a URL."""
    return quote(path, safe="/:@!$&'()*+,;=~")


def text_of(headers: dict[bytes, bytes], name: bytes) -> str | None:
    """Return a header as text, of which each character is a byte, or None.

    Raises:
        BadStreamRequest: it holds characters that no header may hold (RFC 9110 5.5).
    """
    value = headers.get(name)
    if value is None:
        return None
    text = value.decode("latin-1").strip(" \t")
    if _CONTROLS.search(text):
        raise BadStreamRequest(f"The header {name.decode()} holds control characters.")
    return text


def is_true(headers: dict[bytes, bytes], name: bytes) -> bool:
    """Whether a header says ``true``; every other value is as if it were not there."""
    return headers.get(name, b"").strip().lower() == b"true"


def content_type_of(headers: dict[bytes, bytes]) -> str | None:
    """Return the content type, or None where there is none that could be one."""
    text = text_of(headers, b"content-type")
    return text if text and len(text) <= 255 and _MEDIA.fullmatch(text) else None


def access_of(headers: dict[bytes, bytes]) -> Access:
    """Return who else may use a new stream (our own header ``Stream-Access``)."""
    text = text_of(headers, b"stream-access") or "private"
    if text not in _ACCESS:
        raise BadStreamRequest(f"Stream-Access is one of {', '.join(_ACCESS)}.")
    return cast("Access", text)


def time_of(headers: dict[bytes, bytes]) -> tuple[int | None, datetime | None]:
    """Return a new stream's time to live in seconds, or the instant at which it ends."""
    ttl, expires = text_of(headers, b"stream-ttl"), text_of(headers, b"stream-expires-at")
    if ttl is not None and expires is not None:
        raise BadStreamRequest("Send Stream-TTL or Stream-Expires-At, not both.")
    if ttl is not None:
        if not _WHOLE.fullmatch(ttl) or int(ttl) > MAX_TTL:
            raise BadStreamRequest("Stream-TTL is a whole number of seconds, in plain digits.")
        return int(ttl), None
    return None, None if expires is None else _instant(expires)


def _instant(text: str) -> datetime:
    try:
        if _MOMENT.fullmatch(text):
            return parse_rfc3339(text.upper())
    except (ValueError, OverflowError):
        pass  # no such day, or none that UTC has a year for
    raise BadStreamRequest("Stream-Expires-At is an instant as in 2026-11-22T12:00:00Z.")


def fork_of(headers: dict[bytes, bytes]) -> Fork | None:
    """Return where a new stream branches off another, if it does."""
    source = text_of(headers, b"stream-forked-from")
    within = text_of(headers, b"stream-fork-sub-offset")
    offset = text_of(headers, b"stream-fork-offset")
    if source is None:
        if within is not None or offset is not None:
            raise BadStreamRequest("Stream-Fork-Offset needs Stream-Forked-From.")
        return None
    if within is not None and not _WHOLE.fullmatch(within):
        raise BadStreamRequest("Stream-Fork-Sub-Offset is a whole number, in plain digits.")
    if offset is None and within not in (None, "0"):
        raise BadStreamRequest("Stream-Fork-Sub-Offset needs Stream-Fork-Offset.")
    return Fork(
        stream_path(decoded(source.encode("latin-1"))),
        None if offset is None else read_offset(offset, "Stream-Fork-Offset"),
        int(within or 0),
    )


def producer_of(headers: dict[bytes, bytes]) -> Producer | None:
    """Return who appends, by the three producer headers, or None without any."""
    name, epoch, seq = (
        text_of(headers, header) for header in (b"producer-id", b"producer-epoch", b"producer-seq")
    )
    if name is None and epoch is None and seq is None:
        return None
    if name is None or epoch is None or seq is None:
        raise BadStreamRequest("Send Producer-Id, Producer-Epoch and Producer-Seq together.")
    if not name or len(name) > 256:
        raise BadStreamRequest("Producer-Id has 1 to 256 characters.")
    return Producer(name, _count(epoch, "Producer-Epoch"), _count(seq, "Producer-Seq"))


def _count(text: str, name: str) -> int:
    if not _DIGITS.fullmatch(text) or int(text) > _MAX_SAFE:
        raise BadStreamRequest(f"{name} is a whole number up to 2^53 - 1, in plain digits.")
    return int(text)


def wanted_of(scope: Scope) -> Wanted:
    """Return what the query of a GET asks for; parameters that nobody knows are ignored."""
    try:
        query = read_query(scope["query_string"])
    except InvalidParameter as refusal:
        raise BadStreamRequest(refusal.detail) from refusal
    offset, live, cursor = query.get("offset"), query.get("live"), query.get("cursor")
    if live is not None and live not in ("long-poll", "sse"):
        raise BadStreamRequest("'live' is long-poll or sse.")
    if live is not None and offset is None:
        raise BadStreamRequest("A live read says where to begin: offset=-1 for the start.")
    after: int | None = -1
    if offset == "now":
        after = None
    elif offset is not None and offset != "-1":
        after = read_offset(offset, "offset") - 1
    known = int(cursor) if cursor is not None and _DIGITS.fullmatch(cursor) else None
    return Wanted(after, offset is not None, cast("Live | None", live), known)


def read_offset(text: str, name: str) -> int:
    """Return how many entries lie before an offset.

    Raises:
        BadStreamRequest: it is none that this market has given out.
    """
    if not _OFFSET.fullmatch(text):
        raise BadStreamRequest(f"{name} is one that this market has given out, -1 or now.")
    return int(text[:16]) * _WIDE + int(text[17:])


def write_offset(next_offset: int) -> bytes:
    """Return the offset before which so many entries lie. As text, offsets sort by place."""
    return b"0000000000000000_%016d" % next_offset


def time_headers(ttl_seconds: int | None, expires_at: datetime | None) -> tuple[Header, ...]:
    """Return what HEAD says about a stream's end."""
    if ttl_seconds is not None:
        return ((b"stream-ttl", str(ttl_seconds).encode()),)
    if expires_at is not None:
        return ((b"stream-expires-at", rfc3339(expires_at).encode()),)
    return ()


def refusal_facts(facts: dict[str, Any]) -> tuple[Header, ...]:
    """Return the headers in which a refusal's facts travel besides its document."""
    found: list[Header] = []
    if "next_offset" in facts:
        found.append((b"stream-next-offset", write_offset(facts["next_offset"])))
    if facts.get("closed"):
        found.append((b"stream-closed", b"true"))
    for fact, header in _FACTS:
        if fact in facts:
            found.append((header, str(facts[fact]).encode()))
    return tuple(found)


_FACTS: Final = (
    ("epoch", b"producer-epoch"),
    ("expected_seq", b"producer-expected-seq"),
    ("received_seq", b"producer-received-seq"),
)
