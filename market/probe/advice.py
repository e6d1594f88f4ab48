"""The migration to a durable session: only the steps that findings ask for, in their order."""

from typing import Final, NamedTuple

import msgspec

from market.probe.findings import CAPABILITIES, Cause, Finding


class Step(msgspec.Struct, frozen=True):
    """One change: on the server, in the client, and how the next audit shows that it is made.

    ``check`` says what the probe file must say then ("" for nothing new), ``rows`` what holds.
    """

    title: str
    server: str
    client: str
    check: str
    rows: tuple[str, ...]


class _Remedy(NamedTuple):
    """A step, the causes that ask for it, and the capabilities that show it.

    It is not asked for where ``unless`` holds already. When it is made, ``table`` of the probe file
    says so, if it did not before.
    """

    causes: frozenset[Cause]
    title: str
    server: str
    client: str
    shown_by: tuple[str, ...]
    table: str = ""
    unless: str = ""


class Carrier(NamedTuple):
    """How one transport writes an event's id, takes a position, and says the end."""

    id: str
    position: str
    end: str


_CARRIERS: Final = {
    "SSE": Carrier(
        "the `id:` line of each event",
        "the header `Last-Event-ID` (a query parameter beside it serves clients that cannot set"
        " headers)",
        "an event of its own type (`event: closed`), and status 204 for who comes back behind it",
    ),
    "chunked": Carrier(
        "a member `offset` in each line",
        "a query parameter (`?after=<offset>`)",
        'a last line of its own (`{"type": "closed"}`)',
    ),
    "WebSocket": Carrier(
        "a member `offset` in each message",
        "a query parameter of the socket's address (`?after=<offset>`)",
        'a last message (`{"type": "closed"}`) before the close frame',
    ),
}

_REMEDIES: Final = (
    _Remedy(
        frozenset({"own_work", "dies"}),
        "Give the work a life of its own",
        "Let one request start the work and answer with its id; do the work in a task that no"
        " connection owns, and that appends each event to a log. The request that streams only"
        " reads that log: take the abort-on-disconnect handler out.",
        "Start once, keep the id where a reload finds it (the address bar will do), and open the"
        " stream by it.",
        ("disconnect", "apart", "end"),
        "start",
    ),
    _Remedy(
        frozenset({"own_work", "no_position", "past_lost", "refused"}),
        "Keep every event, under a number",
        "Append each event to a log before it is sent, under an offset without gaps, and carry that"
        " offset as {id}.",
        "Remember the offset of the last event that was handled, together with what it did.",
        ("late",),
    ),
    _Remedy(
        frozenset({"own_work", "no_position", "position_ignored", "past_lost"}),
        "Resume behind the reader's last offset",
        "Take the offset from {position}; send what follows it from the log, then what comes, with"
        " nothing between the two. Without one, begin at the first event.",
        "After every cut reconnect with the last offset, with growing pauses; drop an event whose"
        " offset is not higher than the last.",
        ("resume",),
        "resume",
    ),
    _Remedy(
        frozenset({"own_work", "refused", "past_lost"}),
        "Let any number read",
        "Let every connection read the log by its own cursor; after an append only wake them. No"
        " reader takes an event away from another.",
        "Open a second tab and a second device by the same id; neither needs to know of the other.",
        ("devices",),
    ),
    _Remedy(
        frozenset({"dies", "cancel_fails"}),
        "Make a cancel a request of its own",
        "Offer `POST .../cancel`, which may be repeated: it writes the cancel into the log, and the"
        " worker obeys the log. A connection that closes says nothing.",
        "Let the stop button send that request; let a closed tab send nothing.",
        ("cancel", "disconnect"),
        "cancel",
        unless="cancel",
    ),
    _Remedy(
        frozenset({"dies", "cancel_fails", "cancel_silent"}),
        "Write into the log who stopped it, and why",
        "Append an event that names the cancel (`cancelled`, by whom, why) before the end.",
        "Go on after a cut; stop for good, and say so, after that event.",
        ("cancel", "apart"),
        unless="cancel",
    ),
    _Remedy(
        frozenset({"end_unsaid", "end_forgotten"}),
        "Make the end a fact of the log",
        "Append the end as the last entry (completed, failed or cancelled), keep it as long as the"
        " log, and tell it to every reader that reaches it, however late, as {end}.",
        "Take only that entry for the end. A connection that closes without it was cut: resume.",
        ("end", "cancel", "apart"),
        "end",
    ),
    _Remedy(
        frozenset({"relayed"}),
        "Let the workers write themselves",
        "Give each worker the right to append to the session's log under its own name, and let it"
        " append as it makes progress. The orchestrator writes only what it decides itself.",
        "Show the events by their author, in the order of the log; wait for no summary.",
        ("workers",),
    ),
    _Remedy(
        frozenset({"slow_dropped"}),
        "Let slow readers read the log",
        "Give each reader a bounded queue; when it is full, forget the queue and go on from the"
        " log at the reader's offset, instead of dropping events or the reader.",
        "Nothing: a slow reader is late, and complete.",
        ("slow",),
    ),
)

_TABLES: Final = {
    "start": "name the request that starts the work in [start]",
    "resume": "name how a reader says its offset in [resume]",
    "cancel": "name the request in [cancel]",
    "end": "name the entry in [end]",
}
"""What a probe file says when a step is made."""


def migration(
    findings: list[Finding], *, transport: str, stated: frozenset[str] = frozenset()
) -> list[Step]:
    """Return the steps that the findings ask for, in the order in which they are made."""
    carrier = _CARRIERS.get(transport, _CARRIERS["SSE"])._asdict()
    held = {one.capability for one in findings if one.verdict == "holds"}
    causes = {one.cause for one in findings}
    made = [one for one in _REMEDIES if one.causes & causes and one.unless not in held]
    return [
        Step(
            title=remedy.title,
            server=_filled(remedy.server, carrier),
            client=_filled(remedy.client, carrier),
            check="" if remedy.table in stated else _TABLES.get(remedy.table, ""),
            rows=tuple(CAPABILITIES[one] for one in _shown(remedy, made, findings)),
        )
        for remedy in made
    ]


def _shown(remedy: _Remedy, made: list[_Remedy], findings: list[Finding]) -> list[str]:
    """Return the capabilities that hold when a step is made: its own, and those of no other."""
    asking = [one.capability for one in findings if one.cause in remedy.causes]
    others = {name for one in made for name in one.shown_by}
    own = [one for one in asking if one in remedy.shown_by or one not in others]
    return own or asking


def _filled(text: str, carrier: dict[str, str]) -> str:
    """Return a text with the transport's own words in it."""
    for name, words in carrier.items():
        text = text.replace(f"{{{name}}}", words)
    return text
