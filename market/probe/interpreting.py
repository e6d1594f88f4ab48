"""From frames to events: what a frame's id, type and author are, and whether it says the end."""

import re
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET

from market.probe.form import MarkPart, Probe, steps_of
from market.probe.frames import Frame
from market.protocol.text import one_line

_OVER: Final = frozenset(
    {"done", "end", "ended", "eof", "complete", "completed", "finished", "close", "closed"}
)
_STOPPED: Final = frozenset({"aborted", "canceled", "cancelled"})
END_WORDS: Final = _OVER | _STOPPED
"""Types (and members that are true) that say the end, where the probe file says nothing."""

_END_TEXT: Final = b"[DONE]"
_ID_MEMBERS: Final = ("id", "offset", "seq", "event_id")
_STOP: Final = re.compile(rb"cancel|abort|stopped|interrupt|disconnect", re.IGNORECASE)
_LOOKED_AT: Final = 4_096
_LABEL: Final = 40
_LONGEST_ID: Final = 1_000


class Read(NamedTuple):
    """What one frame, or one item of a batch, turned out to be.

    ``end`` names the mark of the end in it; ``position`` is where a reader is behind it.
    """

    key: bytes
    is_event: bool
    id: str
    author: str
    position: str
    end: str
    says_stop: bool


class Interpreter:
    """Reads the frames of one stream as its probe file says, or as is usual."""

    def __init__(self, probe: Probe) -> None:
        self._events = probe.events
        self._skipped = frozenset(probe.events.skip)
        self._without = frozenset(probe.events.without)
        self._end = probe.end
        self._shows_stop = probe.cancel.shows if probe.cancel else UNSET
        self._author = steps_of(probe.workers.author) if probe.workers else ()
        self._take = steps_of(probe.resume.take) if probe.resume and probe.resume.take else ()
        self._id = steps_of(probe.events.id) if probe.events.id else ()
        self._type = steps_of(probe.events.type) if probe.events.type else ()

    @property
    def is_sure_of_the_end(self) -> bool:
        """Whether a mark of the end is known, and not only guessed."""
        return self._end is not UNSET

    def read(self, frame: Frame) -> list[Read]:
        """Return what a frame with data holds: one event, or, in batches, many."""
        assert frame.data is not None, "a sign of life is no event"
        document = _decoded(frame.data)
        if self._events.batch and isinstance(document, list):
            return [self._one(msgspec.json.encode(item), item, frame) for item in document]
        return [self._one(frame.data, document, frame)]

    def _one(self, data: bytes, document: Any, frame: Frame) -> Read:
        kind = self._type_of(document, frame)
        event_id = self._id_of(document, frame)
        position = _text(picked(document, self._take)) if self._take else event_id
        looked_at = kind.encode() + b" " + data[:_LOOKED_AT]
        return Read(
            key=_key(event_id, kind, self._compared(data, document)),
            is_event=kind not in self._skipped,
            id=event_id,
            author=_text(picked(document, self._author)) if self._author else "",
            position=position,
            end=self._end_of(kind, data, document),
            says_stop=self._is_stop(kind, data, document, looked_at),
        )

    def _type_of(self, document: Any, frame: Frame) -> str:
        if self._type:
            return _text(picked(document, self._type))
        if frame.type or not isinstance(document, dict):
            return frame.type
        return _text(document.get("type"))

    def _id_of(self, document: Any, frame: Frame) -> str:
        if self._id:
            return _text(picked(document, self._id))
        if frame.id or not isinstance(document, dict):
            return _text(frame.id)
        return next((_text(document[one]) for one in _ID_MEMBERS if one in document), "")

    def _compared(self, data: bytes, document: Any) -> bytes:
        """Return what is compared with other readers' events."""
        if not self._without or not isinstance(document, dict):
            return data
        return msgspec.json.encode(
            {name: value for name, value in document.items() if name not in self._without}
        )

    def _end_of(self, kind: str, data: bytes, document: Any) -> str:
        if isinstance(self._end, MarkPart):
            return _label(kind, data) if marks(self._end, kind, data, document) else ""
        if kind.lower() in END_WORDS or data.strip() == _END_TEXT:
            return _label(kind, data)
        if isinstance(document, dict):
            return next((one for one in sorted(END_WORDS) if document.get(one) is True), "")
        return ""

    def _is_stop(self, kind: str, data: bytes, document: Any, looked_at: bytes) -> bool:
        if isinstance(self._shows_stop, MarkPart):
            return marks(self._shows_stop, kind, data, document)
        return _STOP.search(looked_at) is not None


def marks(mark: MarkPart, kind: str, data: bytes, document: Any) -> bool:
    """Return whether a frame is what ``mark`` describes."""
    if mark.type is not UNSET and kind != mark.type:
        return False
    if mark.text is not UNSET and data.strip() != mark.text.encode():
        return False
    if mark.at is UNSET:
        return True
    value = picked(document, steps_of(mark.at))
    return value is not None if mark.is_ is UNSET else value == mark.is_


def picked(document: Any, steps: tuple[str, ...]) -> Any:
    """Return a member of a JSON document, or None if it has none there."""
    for step in steps:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None


def _text(value: Any) -> str:
    """Return an id, a type or a name as text; what is neither a plain text nor a number is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    text = str(value)
    return text if len(text) <= _LONGEST_ID and text.isprintable() else ""


def _label(kind: str, data: bytes) -> str:
    return one_line(kind or data[:_LABEL].decode(errors="replace"), _LABEL)


def _key(event_id: str, kind: str, compared: bytes) -> bytes:
    whole = blake2b(digest_size=12)
    for part in (event_id.encode(), kind.encode(), compared):
        whole.update(len(part).to_bytes(4, "big") + part)
    return whole.digest()
