"""A session's log as text: one JSON object a line, entries and the checkpoints over them.

Anybody who reads a log can keep it so, and prove it later without the market: an entry is a line
as the market sends it, a checkpoint is ``{"checkpoint": "<compact JWS>"}``.
``market.protocol.proving`` says what such a file proves.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from market.protocol.canonical import NotCanonical, canonical
from market.protocol.chain import Entry
from market.protocol.events import Event, Withheld
from market.protocol.signing import BadSignature, read_json

_EVENT: Final = msgspec.json.Decoder(Event)
_WITHHELD: Final = msgspec.json.Decoder(Withheld)
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class NotAnEntry(ValueError):
    """The text is no entry of a log."""


class _Signed(msgspec.Struct, forbid_unknown_fields=True):
    checkpoint: str


_SIGNED: Final = msgspec.json.Decoder(_Signed)


def log_lines(entries: Iterable[Entry], checkpoints: Iterable[str]) -> Iterator[bytes]:
    """Yield the lines of a file that keeps a log: entries first, then checkpoints as signed."""
    for entry in entries:
        if isinstance(entry, Event):
            yield stored(entry, text_of(entry)) + b"\n"
        else:
            yield msgspec.json.encode(entry) + b"\n"
    for token in checkpoints:
        yield msgspec.json.encode(_Signed(token)) + b"\n"


def checkpoint_in(line: bytes) -> str | None:
    """Return the token of a line that keeps a checkpoint; None for any other line."""
    try:
        return _SIGNED.decode(line).checkpoint
    except _UNREADABLE:
        return None


def read_line(data: bytes) -> Entry:
    """Return the entry that a line holds.

    Raises:
        NotAnEntry: it is none, or says something twice or besides.
    """
    try:
        tree = read_json(data)
    except BadSignature as error:
        raise NotAnEntry(f"it cannot be read: {error}") from error
    entry = read_entry(data)
    if tree != msgspec.to_builtins(entry):
        raise NotAnEntry("it says more than an entry does")
    return entry


def read_entry(data: bytes) -> Entry:
    """Return the entry that a text holds, whatever else it says.

    Raises:
        NotAnEntry: it is none.
    """
    try:
        return _EVENT.decode(data)
    except _UNREADABLE as error:
        try:
            return _WITHHELD.decode(data)
        except _UNREADABLE:
            raise NotAnEntry(f"it is no event: {error}") from error


def text_of(entry: Entry) -> bytes:
    """Return what the hash of an event is made over; of a withheld one, nothing.

    Raises:
        NotAnEntry: it has no canonical form.
    """
    if isinstance(entry, Withheld):
        return b""
    tree = msgspec.to_builtins(entry)
    del tree["hash"]
    try:
        return canonical(tree)
    except NotCanonical as error:
        raise NotAnEntry(f"the event has no canonical form: {error}") from error


def stored(entry: Entry, text: bytes) -> bytes:
    """Return an event as the market stores and sends it, given its ``text_of``."""
    return text[:-1] + b',"hash":"' + entry.hash.encode("utf-8", "replace") + b'"}'
