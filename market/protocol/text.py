"""Text from outside: bounded, and free of characters that hide or break things.

msgspec enforces the patterns, so a request with a NUL byte, a control character, a bidirectional
override, a zero-width sign or a tag is answered with the field's name (``security.md`` S14).
"""

import re
from typing import Annotated, Final

from msgspec import Meta

_HIDDEN: Final = (
    r"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e"
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb"
    "\U000e0000-\U000e0fff"
)
"""The last range (tags, and selectors of variants) as letters: JSON Schema has no escape for it."""

_HIDDEN_LETTER: Final = re.compile(f"[{_HIDDEN}]")
PLAIN: Final = rf"^[^{_HIDDEN}]*\Z"
PLAIN_LINE: Final = rf"^[^{_HIDDEN}\n\r\t]*\Z"

Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=PLAIN_LINE)]
Paragraph = Annotated[str, Meta(max_length=2_000, pattern=PLAIN)]
Slug = Annotated[
    str, Meta(pattern=r"^[a-z0-9](-?[a-z0-9]){1,47}\Z", description="lower case, digits, hyphens")
]
Tag = Annotated[str, Meta(pattern=r"^[a-z0-9](-?[a-z0-9]){0,31}\Z")]
WorkName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z",
        description="what a worker calls a run or a step, the same in each of its lives",
    ),
]
Digest = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z", description="SHA-256, base64url")]
Token = Annotated[str, Meta(max_length=65_536, pattern=r"^[\w-]+\.[\w-]+\.[\w-]+\Z")]
Moment = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?Z\Z",
        description="RFC 3339 in UTC",
    ),
]
Seconds = Annotated[int, Meta(ge=0, le=2**40, description="seconds since 1970 UTC")]


def one_line(text: str, limit: int) -> str:
    """Return ``text`` as a line that is allowed: without hidden characters, of ``limit`` or fewer.

    For words that come from others (a seller's schema, an error) and go into one's own.
    """
    return " ".join(_HIDDEN_LETTER.sub("", text).split())[:limit]
