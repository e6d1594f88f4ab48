"""The hash chain of a session's log, as every reader can check it (DESIGN §5, promise P8)."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from market.protocol.canonical import digest
from market.protocol.events import GENESIS, Event, Withheld

Entry = Event | Withheld


class BrokenChain(ValueError):
    """The log was changed, or entries are missing: ``offset`` is the first place where it shows."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"offset {offset}: {reason}")
        self.offset = offset
        self.reason = reason


def event_hash(event: Mapping[str, Any]) -> str:
    """Return the hash of an event: of its canonical JSON without the member ``hash``."""
    return digest({name: value for name, value in event.items() if name != "hash"})


def read_entry(tree: Mapping[str, Any]) -> Entry:
    """Return one log entry from its decoded JSON: an event, or the stub of one that is withheld.

    Raises:
        msgspec.ValidationError: it is neither.
    """
    form: type[Event] | type[Withheld] = Withheld if "withheld" in tree else Event
    return msgspec.convert(tree, form, strict=True)


def link(entry: Entry, *, offset: int, prev_hash: str | None) -> str:
    """Return the hash of ``entry``, which must stand at ``offset`` right after ``prev_hash``.

    ``prev_hash`` is None for a reader that starts midway and cannot know it. A withheld entry is
    taken at its word: the event after it confirms its hash.

    Raises:
        BrokenChain: it does not.
    """
    if entry.offset != offset:
        raise BrokenChain(offset, f"the log goes on at offset {entry.offset}")
    if isinstance(entry, Event):
        if prev_hash is not None and entry.prev_hash != prev_hash:
            raise BrokenChain(offset, "the event does not follow the one before")
        if event_hash(msgspec.to_builtins(entry)) != entry.hash:
            raise BrokenChain(offset, "the event is not what its hash says")
    return entry.hash


def verify_chain(
    entries: Iterable[Entry], *, first_offset: int = 0, prev_hash: str | None = GENESIS
) -> str | None:
    """Check ``entries`` from ``first_offset`` on and return the hash of the last.

    Raises:
        BrokenChain: at the first entry that does not fit.
    """
    for offset, entry in enumerate(entries, first_offset):
        prev_hash = link(entry, offset=offset, prev_hash=prev_hash)
    return prev_hash
