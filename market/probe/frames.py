"""Cutting bytes into frames: server-sent events (WHATWG HTML 9.2), lines, words.

No decoder holds more than ``frame_bytes`` of what has no end yet.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

_BLANKS: Final = b" \t\r\n"


class Frame(NamedTuple):
    """One message as it came. One without data is a sign of life."""

    data: bytes | None
    id: str = ""
    type: str = ""


class TooLarge(ValueError):
    """What came has no end within the bound."""


class Decoder(Protocol):
    """Makes frames of pieces, wherever the pieces are cut."""

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Yield the frames that ``piece`` completes."""
        ...

    def rest(self) -> Iterator[Frame]:
        """Yield what the end of the connection completes."""
        ...


class Lines:
    """Completes lines that end in LF, CR or CRLF."""

    def __init__(self, frame_bytes: int) -> None:
        self._limit = frame_bytes
        self._open = bytearray()
        self._after_return = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield each line that ``piece`` completes.

        Raises:
            TooLarge: a line grows over the bound.
        """
        if self._after_return and piece.startswith(b"\n"):
            piece = piece[1:]
        if piece:
            self._after_return = piece.endswith(b"\r")
        *lines, rest = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._grow(line)
            whole = bytes(self._open)
            self._open.clear()
            yield whole
        self._grow(rest)

    def rest(self) -> bytes:
        """Return the line that nothing ended."""
        return bytes(self._open)

    def _grow(self, part: bytes) -> None:
        if len(self._open) + len(part) > self._limit:
            raise TooLarge(f"a line is longer than {self._limit:,} bytes")
        self._open += part


class EventDecoder:
    """Server-sent events. What is open when the connection ends is dropped, as the format says."""

    def __init__(self, frame_bytes: int) -> None:
        self._limit = frame_bytes
        self._lines = Lines(frame_bytes)
        self._data: list[bytes] = []
        self._type = ""
        self._id = ""

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Yield the events that ``piece`` completes; a comment is a sign of life."""
        for line in self._lines.feed(piece):
            if not line:
                yield from self._dispatch()
            elif line.startswith(b":"):
                yield Frame(None)
            else:
                self._field(line)

    def rest(self) -> Iterator[Frame]:
        """Yield nothing."""
        yield from ()

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            if sum(map(len, self._data)) + len(value) > self._limit:
                raise TooLarge(f"an event is longer than {self._limit:,} bytes")
            self._data.append(value)
        elif name == b"event":
            self._type = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode(errors="replace")

    def _dispatch(self) -> Iterator[Frame]:
        if self._data:
            # An id stays in force until the next one; what carries none of its own has none.
            yield Frame(b"\n".join(self._data), self._id, self._type)
        elif self._id:
            yield Frame(None, self._id)
        self._data, self._type, self._id = [], "", ""


class LineDecoder:
    """One frame a line (NDJSON); an empty line is a sign of life."""

    def __init__(self, frame_bytes: int) -> None:
        self._lines = Lines(frame_bytes)

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Yield the lines that ``piece`` completes."""
        yield from (Frame(line or None) for line in self._lines.feed(piece))

    def rest(self) -> Iterator[Frame]:
        """Yield the line that the end of the connection ended."""
        if line := self._lines.rest():
            yield Frame(line)


class WordDecoder:
    """One frame a word, for text that comes without lines."""

    def __init__(self, frame_bytes: int) -> None:
        self._limit = frame_bytes
        self._open = b""

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Yield the words that ``piece`` completes."""
        text = self._open + piece
        words = text.split()
        is_open = bool(words) and text[-1:] not in _BLANKS
        self._open = words.pop() if is_open else b""
        if len(self._open) > self._limit:
            raise TooLarge(f"a word is longer than {self._limit:,} bytes")
        yield from (Frame(word) for word in words)

    def rest(self) -> Iterator[Frame]:
        """Yield the word that the end of the connection ended."""
        if self._open:
            yield Frame(self._open)
