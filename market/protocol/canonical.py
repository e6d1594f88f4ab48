"""Canonical JSON (RFC 8785) and digests: one text, one hash, for every reader.

Values from outside pass through ``canonical`` before they are stored or signed, so it also
refuses what no two parsers agree on: integers beyond 2^53-1, NaN, lone surrogates, NUL, and
nesting deeper than 32.
"""

import base64
import hashlib
import math
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import rfc8785

MAX_DEPTH: Final = 32
MAX_INTEGER: Final = 2**53 - 1

_EXPONENT_FROM: Final = 1e21
"""From here on a float is written with an exponent, and so is read as a float again."""

_REFUSED: Final = re.compile("[\0\ud800-\udfff]").search
_sorted = msgspec.json.Encoder(order="sorted").encode


class NotCanonical(ValueError):
    """The value has no canonical JSON form; the message says where and why."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(f"${path}: {reason}")
        self.reason = reason
        self.path = path

    def at(self, place: str | int) -> "NotCanonical":
        """Return the same refusal, seen from one level further out."""
        step = f"[{place}]" if isinstance(place, int) else f".{place}"
        return NotCanonical(self.reason, step + self.path)


def canonical(value: Any) -> bytes:
    """Return the canonical JSON bytes of a tree of dicts, lists, text, numbers, bools and None.

    Raises:
        NotCanonical: a part of it has no agreed form; the message gives its path.
    """
    # msgspec writes the same bytes fifteen times faster, but for floats (ECMAScript's form) and
    # for keys beyond ASCII (sorted by UTF-16 unit); those take the library's road.
    if _is_plain(value, 0):
        return _sorted(value)
    return rfc8785.dumps(value)


def canonical_plain(value: Any) -> bytes:
    """Return the canonical form of a tree without floats, whose text and keys were checked."""
    return _sorted(value)


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical form as base64url without padding (43 characters)."""
    return sha256_text(canonical(value))


def sha256_text(data: bytes) -> str:
    """Return the SHA-256 of bytes as base64url without padding (43 characters)."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest())[:43].decode()


def _is_plain(value: Any, depth: int) -> bool:  # noqa: C901 - one test for each JSON type
    """Whether the fast encoder writes ``value`` canonically; refuses what has no such form."""
    kind = type(value)
    if kind is str:
        _check_text(value)
        return True
    if kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise NotCanonical("an integer beyond 2^53-1 has no exact JSON form")
        return True
    if value is None or kind is bool:
        return True
    if depth == MAX_DEPTH:
        raise NotCanonical(f"nested deeper than {MAX_DEPTH}")
    if kind is list or kind is tuple:
        return _all_plain(enumerate(value), depth + 1)
    if kind is dict:
        for key in value:
            if type(key) is not str:
                raise NotCanonical(f"the key {key!r} is not text")
            _check_text(key)
        return _all_plain(value.items(), depth + 1) and all(map(str.isascii, value))
    if kind is float:
        if not math.isfinite(value):
            raise NotCanonical(f"{value} is not a JSON number")
        if MAX_INTEGER < abs(value) < _EXPONENT_FROM:
            raise NotCanonical("a number beyond 2^53-1 would be read as an inexact integer")
        return False
    raise NotCanonical(f"{kind.__name__} is not a JSON type")


def _all_plain(items: Iterable[tuple[Any, Any]], depth: int) -> bool:
    plain = True
    for place, item in items:
        try:
            plain &= _is_plain(item, depth)
        except NotCanonical as refusal:
            raise refusal.at(place) from None
    return plain


def _check_text(text: str) -> None:
    if text.isascii():
        if "\0" in text:
            raise NotCanonical("NUL is not allowed in text")
        return
    if _REFUSED(text):
        raise NotCanonical("NUL and lone surrogates are not allowed in text")
