"""Pages: lists are keyset-paged and always limited. A cursor is opaque; offsets are for logs."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from market.base.errors import Invalid
from market.protocol.canonical import NotCanonical, canonical
from market.protocol.wire import Page

MAX_LIMIT: Final = 100
Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT)]
Cursor = Annotated[
    str, Meta(max_length=500, pattern=r"^[A-Za-z0-9_-]*\Z", description="`next` of the page before")
]

Row = TypeVar("Row")
Item = TypeVar("Item")
Key = str | int | float


class BadCursor(Invalid):
    code = "bad_cursor"
    title = "The cursor was not made by this list"


def page_of(
    rows: Sequence[Row],
    *,
    limit: int,
    view: Callable[[Row], Item],
    key: Callable[[Row], Sequence[Key]],
) -> Page[Item]:
    """Return a page of up to ``limit`` items from ``limit + 1`` rows that were asked for.

    The extra row only tells that there is more; ``key`` of the last one shown is the cursor.
    """
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(
        items=[view(row) for row in shown], next=encode_cursor(key(shown[-1])) if more else None
    )


def before_of(cursor: str | None, prefix: str) -> str:
    """Return the id before which a page of a list lies that shows the newest id first.

    Without a cursor that is one above every id with this prefix.

    Raises:
        BadCursor: the cursor holds no id.
    """
    key = decode_cursor(cursor, (str,))
    return str(key[0]) if key else f"{prefix}_z"


def encode_cursor(key: Sequence[Key]) -> str:
    """Return a cursor that stands for the key of the last row shown."""
    return base64.urlsafe_b64encode(msgspec.json.encode(list(key))).decode().rstrip("=")


def decode_cursor(cursor: str | None, kinds: tuple[type, ...]) -> list[Any] | None:
    """Return the key behind a cursor, or None without one.

    Raises:
        BadCursor: it holds no key of these types.
    """
    if not cursor:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, msgspec.DecodeError):
        key = None
    if not _is_key(key, kinds):
        raise BadCursor("Ask for the first page without a cursor, then pass on `next` unchanged.")
    return list(key)


def _is_key(key: Any, kinds: tuple[type, ...]) -> bool:
    if not isinstance(key, list) or len(key) != len(kinds):
        return False
    try:
        # What no database takes (NUL, lone surrogates, huge integers) has no canonical form.
        canonical(key)
    except NotCanonical:
        return False
    return all(isinstance(part, kind) for part, kind in zip(key, kinds, strict=True))
