"""The form of a probe file: how a stream of anybody is opened, read, resumed, ended, cancelled.

Every table may be left out; what is left out is guessed from what comes (``interpreting``).
"""

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from market.protocol.text import Line

Text = Annotated[str, Meta(min_length=1, max_length=4_000)]
MemberPath = Annotated[
    str,
    Meta(
        pattern=r"^[^.\s]{1,64}(\.[^.\s]{1,64}){0,7}\Z",
        description='the way to a member of JSON, such as "offset" or "choices.0.finish_reason"',
    ),
]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z", description="lower case, digits, _")]
HeaderName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}\Z", description="the name of a header")
]
Seconds = Annotated[float, Meta(ge=0.1, le=600)]
_Open: Final = {"additionalProperties": True}


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file. A key that it does not know is an error."""


class StreamPart(Part, frozen=True, kw_only=True):
    """How a reader opens the stream.

    ``send`` are messages that a WebSocket sends first. ``split`` says what one event of a chunked
    answer is: a line, or, where text comes without lines, a word.
    """

    transport: Literal["auto", "sse", "chunked", "websocket"] = "auto"
    method: Literal["GET", "POST", "PUT"] = "GET"
    headers: dict[HeaderName, Text] = {}
    body: Annotated[Any, Meta(extra_json_schema=_Open)] = UNSET
    send: list[Text] = []
    split: Literal["line", "word"] = "line"


class StartPart(Part, frozen=True, kw_only=True):
    """The request that starts a fresh piece of work, if the stream's own does not.

    ``take`` names members of its JSON answer: ``{ id = "run.id" }`` fills ``{id}`` wherever a
    URL, a header, a body or a message says so.
    """

    url: Text
    method: Literal["GET", "POST", "PUT"] = "POST"
    headers: dict[HeaderName, Text] = {}
    body: Annotated[Any, Meta(extra_json_schema=_Open)] = UNSET
    take: dict[Name, MemberPath] = {}


class MarkPart(Part, frozen=True, kw_only=True):
    """How an event is known.

    By its ``type``, by its whole ``text``, or by the member ``at``, which is there or ``is`` so.
    """

    type: Line | UnsetType = UNSET
    text: Text | UnsetType = UNSET
    at: MemberPath | UnsetType = UNSET
    is_: bool | int | str | UnsetType = msgspec.field(default=UNSET, name="is")


class EventsPart(Part, frozen=True, kw_only=True):
    """What an event is made of.

    ``skip`` are types that are no part of the work (heartbeats, control frames), ``without`` are
    members that differ by reader, ``batch`` says that each frame is an array of events.
    """

    id: MemberPath | UnsetType = UNSET
    type: MemberPath | UnsetType = UNSET
    skip: list[Line] = []
    without: list[Line] = []
    batch: bool = False


class ResumePart(Part, frozen=True, kw_only=True):
    """How a reader says where it was.

    By a ``header``, a ``query`` parameter or a first ``message`` (with ``{position}`` in it).
    ``take`` is the member that holds the position (default: the event's id), ``add`` is added to
    it. ``url`` is where readers come back to, if that is not where the first one was.
    """

    header: HeaderName | UnsetType = UNSET
    query: Line | UnsetType = UNSET
    message: Text | UnsetType = UNSET
    take: MemberPath | UnsetType = UNSET
    add: Annotated[int, Meta(ge=-1, le=1)] = 0
    url: Text | UnsetType = UNSET


class CancelPart(Part, frozen=True, kw_only=True):
    """The request that stops the work, and how the stream shows it (default: by such a word)."""

    url: Text
    method: Literal["POST", "PUT", "DELETE", "PATCH"] = "POST"
    headers: dict[HeaderName, Text] = {}
    body: Annotated[Any, Meta(extra_json_schema=_Open)] = UNSET
    shows: MarkPart | UnsetType = UNSET


class WorkersPart(Part, frozen=True, kw_only=True):
    """The member that says who made an event, and how many make them at the same time."""

    author: MemberPath
    count: Annotated[int, Meta(ge=2, le=100)] = 2


class LimitsPart(Part, frozen=True, kw_only=True):
    """The bounds of the audit, in events, seconds and bytes.

    A connection is cut after ``cut_after`` events; what does not come within ``quiet_seconds``
    does not come; ``work_seconds`` is how long one piece of work is watched.
    """

    cut_after: Annotated[int, Meta(ge=1, le=1_000)] = 4
    quiet_seconds: Seconds = 3.0
    work_seconds: Seconds = 20.0
    total_seconds: Seconds = 90.0
    events: Annotated[int, Meta(ge=10, le=100_000)] = 10_000
    frame_bytes: Annotated[int, Meta(ge=256, le=16_777_216)] = 1_048_576
    reader_bytes: Annotated[int, Meta(ge=4_096, le=268_435_456)] = 16_777_216


class Probe(Part, frozen=True, kw_only=True):
    """What is known of a stream that is audited."""

    probe: Literal[1]
    stream: StreamPart = StreamPart()
    start: StartPart | UnsetType = UNSET
    events: EventsPart = EventsPart()
    resume: ResumePart | UnsetType = UNSET
    end: MarkPart | UnsetType = UNSET
    cancel: CancelPart | UnsetType = UNSET
    workers: WorkersPart | UnsetType = UNSET
    limits: LimitsPart = LimitsPart()


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a probe file."""
    return msgspec.json.schema(Probe)


def steps_of(path: str) -> tuple[str, ...]:
    """Return the steps of a member's path."""
    return tuple(re.split(r"\.", path))
