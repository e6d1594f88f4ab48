"""Reading one session's log from the first event to the last, page by page."""

from dataclasses import dataclass, field
from typing import Final

import msgspec

from market.audit.findings import MAX_FINDINGS, Finding
from market.audit.told import Told, hear
from market.base import streams
from market.base.work import Entry, Snapshot
from market.protocol.chain import BrokenChain, link
from market.protocol.events import GENESIS, Event

_EVENT: Final = msgspec.json.Decoder(Event)


@dataclass
class Log:
    """What a log holds. ``hashes`` are those at the offsets that were asked for."""

    told: dict[str, Told] = field(default_factory=dict)
    hashes: dict[int, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    next_offset: int = 0
    head: str | None = GENESIS
    last_kind: str = ""


def read_log(snapshot: Snapshot, *, session_id: str, wanted: frozenset[int]) -> Log:
    """Return what a session's log says, with a finding for each place where it does not hold."""
    log = Log()
    while len(log.findings) < MAX_FINDINGS:
        page = streams.read(snapshot, stream_id=session_id, after=log.next_offset - 1)
        for entry in page.entries:
            _take(log, session_id, entry, wanted)
        if not page.entries:
            break
    return log


def _take(log: Log, session_id: str, entry: Entry, wanted: frozenset[int]) -> None:
    where = f"{session_id}:{entry.offset}"
    try:
        event = _EVENT.decode(entry.data)
    except msgspec.DecodeError as error:
        _go_on(log, entry.offset, None)
        log.findings.append(Finding(rule="log", where=where, detail=f"it is no event: {error}"))
        return
    try:
        link(event, offset=log.next_offset, prev_hash=log.head)
    except BrokenChain as broken:
        log.findings.append(Finding(rule="log", where=where, detail=broken.reason))
    if (event.session_id, event.offset) != (session_id, entry.offset):
        detail = f"it says that it is {event.session_id}:{event.offset}"
        log.findings.append(Finding(rule="log", where=where, detail=detail))
    _go_on(log, entry.offset, event.hash)
    log.last_kind = event.kind
    if entry.offset in wanted:
        log.hashes[entry.offset] = event.hash
    hear(log.told, event)


def _go_on(log: Log, offset: int, head: str | None) -> None:
    log.next_offset = offset + 1
    log.head = head
