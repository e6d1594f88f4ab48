"""Ways to somebody outside: a function, an HTTP endpoint, or what was answered another time.

Asking blocks, in a thread where the event loop has any; in simulated time, which has none, the
world stands still meanwhile: thinking takes no simulated time.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec

from buyer_agents import making
from buyer_agents.outside_questions import Question
from market.protocol.canonical import digest

MAX_ANSWER: Final = 64 * 1024
"""The longest answer, in bytes."""

_OK: Final = 200

Ask = Callable[[Question], Any]
"""Answers a question: with a dict, or with JSON as text or bytes."""


class NoAnswer(Exception):
    """Nobody answered; the message says why."""


def function_named(name: str) -> Ask:
    """Return the function ``package.module:function``.

    Raises:
        ValueError: there is none.
    """
    function: Any = making.class_named(name, {}, "function")
    if not callable(function):
        raise ValueError(f"{name} cannot be called")
    return function  # type: ignore[no-any-return]


def endpoint(url: str, timeout_seconds: float) -> Ask:
    """Return what posts a question to ``url`` as JSON, and returns the body of the answer.

    Raises:
        ValueError: it is no HTTP address.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no address such as 'http://127.0.0.1:9000/decide'")

    def ask(question: Question) -> bytes:
        body = b""
        try:
            with (
                httpx.Client(timeout=timeout_seconds, trust_env=False) as http,
                http.stream("POST", url, json=question) as response,
            ):
                if response.status_code != _OK:
                    raise NoAnswer(f"{url} answered {response.status_code}")
                for piece in response.iter_bytes():
                    body += piece
                    if len(body) > MAX_ANSWER:
                        raise NoAnswer(f"{url} answered more than {MAX_ANSWER} bytes")
        except httpx.HTTPError as error:
            raise NoAnswer(f"{url}: {type(error).__name__} {error}".rstrip()) from error
        return body

    return ask


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a transcript: a question, and the answer that counted, or why there is none.

    ``refused`` are answers before it that did not fit, each with what was wrong.
    """

    digest: str
    question: dict[str, Any]
    answer: dict[str, Any] | None
    problem: str = ""
    refused: list[dict[str, Any]] = []


class TranscriptExists(ValueError):
    """Another one would be written over; the message says what to do."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is a transcript already, and none is written over: name another folder, or"
            f" move it away; to play it, write replay = {str(path.parent)!r} in place of who is"
            " asked"
        )


class Transcript:
    """Writes what was asked and answered, as JSON lines, to a file that was not there before.

    Raises:
        TranscriptExists: it is there.
    """

    def __init__(self, folder: Path, agent: str) -> None:
        self._path = file_of(folder, agent)
        self._has_begun = False
        if self._path.exists():
            raise TranscriptExists(self._path)

    def add(self, entry: Entry) -> None:
        """Write one entry.

        Raises:
            TranscriptExists: somebody else has begun one there meanwhile.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._path.open("ab" if self._has_begun else "xb") as file:
                file.write(msgspec.json.encode(entry) + b"\n")
        except FileExistsError as error:
            raise TranscriptExists(self._path) from error
        self._has_begun = True


def recorded(folder: Path, agent: str) -> Callable[[Question], Entry | None]:
    """Return what finds the entry of a question in an agent's transcript: each entry once.

    Raises:
        ValueError: there is no transcript, or it cannot be read.
    """
    path = file_of(folder, agent)
    entries: dict[str, deque[Entry]] = defaultdict(deque)
    try:
        for line in path.read_bytes().splitlines():
            entry = msgspec.json.decode(line, type=Entry)
            entries[entry.digest].append(entry)
    except (OSError, msgspec.DecodeError) as error:
        raise ValueError(f"the transcript {path} cannot be read: {error}") from error

    def find(question: Question) -> Entry | None:
        found = entries.get(digest(dict(question)))
        return found.popleft() if found else None

    return find


def file_of(folder: Path, agent: str) -> Path:
    """Return where an agent's transcript is."""
    if not agent or Path(agent).name != agent:
        raise ValueError(f"{agent!r} cannot name a file")
    return folder / f"{agent}.jsonl"
