"""Cursors of a feed: where its reader stands in each session, as one short text.

It lists those sessions of the request, by their index there, in which the reader has moved:
``0.41,3.7,5.12c`` is offset 41 of the first, 7 of the fourth; the sixth was read to its end and is
closed. Sent as the ``id`` of every frame, it comes back as ``Last-Event-ID`` of the same request.
"""

import re
from typing import Final, NamedTuple

from market.faces.http.problems import InvalidParameter

_CURSOR: Final = re.compile(r"(\d{1,3})\.(\d{1,16})(c?)")
_PLACE: Final = re.compile(r"(ses_[0-9a-z]{26})(?::(-1|\d{1,16}))?")


class Start(NamedTuple):
    """A session to follow, behind an offset (-1: from the start)."""

    session_id: str
    after: int


class Cursors:
    """Where the reader of one request stands."""

    def __init__(self, starts: list[Start]) -> None:
        self._starts = starts
        self._index = {start.session_id: index for index, start in enumerate(starts)}
        self._moved: dict[int, bytes] = {}

    def resume(self, last_event_id: str) -> list[Start]:
        """Return what is left to follow for a reader that saw this cursor.

        Raises:
            InvalidParameter: it is none of this request's.
        """
        after = [start.after for start in self._starts]
        closed: set[int] = set()
        for text in last_event_id.split(",") if last_event_id else ():
            found = _CURSOR.fullmatch(text)
            if found is None or int(found[1]) >= len(after):
                raise InvalidParameter("In the header 'Last-Event-ID': not a cursor of this feed.")
            index = int(found[1])
            after[index] = int(found[2])
            self._moved[index] = text.encode()
            if found[3]:
                closed.add(index)
        return [
            Start(start.session_id, after[index])
            for index, start in enumerate(self._starts)
            if index not in closed
        ]

    def moved(self, session_id: str, offset: int) -> bytes:
        """Return the cursor once the reader has seen this offset."""
        index = self._index[session_id]
        self._moved[index] = b"%d.%d" % (index, offset)
        return b",".join(self._moved.values())

    def closed(self, session_id: str, next_offset: int) -> bytes:
        """Return the cursor once the reader knows that the session is closed."""
        index = self._index[session_id]
        self._moved[index] = b"%d.%dc" % (index, max(next_offset - 1, 0))
        return b",".join(self._moved.values())


def read_starts(places: list[str]) -> list[Start]:
    """Return what ``session=SES`` or ``session=SES:AFTER`` ask for, in their order.

    Raises:
        InvalidParameter: one is not of its form, or stands twice.
    """
    starts = []
    for place in places:
        found = _PLACE.fullmatch(place)
        if found is None:
            raise InvalidParameter(
                "In the query: a session is its id, or its id, a colon and the last offset seen.",
                errors=[{"field": "session", "detail": f"{place[:60]!r} is not of that form"}],
            )
        starts.append(Start(found[1], -1 if found[2] is None else int(found[2])))
    if len({start.session_id for start in starts}) < len(starts):
        raise InvalidParameter(
            "In the query: a session stands twice.",
            errors=[{"field": "session", "detail": "each session stands once"}],
        )
    return starts
