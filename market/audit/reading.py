"""Reading one session's log from the first event to the last, page by page, and proving it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from market.audit.findings import Finding
from market.audit.told import Told, hear
from market.base import streams
from market.base.work import Snapshot
from market.protocol.proving import Anchor, Flaw, LogProof, LogReport


@dataclass
class Log:
    """What a log holds. ``hashes`` are those at the offsets that were asked for."""

    report: LogReport
    hashes: dict[int, frozenset[str]]
    head: str | None
    told: dict[str, Told] = field(default_factory=dict)
    last_kind: str = ""


def read_log(
    snapshot: Snapshot, *, session_id: str, anchors: Sequence[Anchor], wanted: Collection[int]
) -> Log:
    """Return what a session's log says, and whether it is what it was.

    Raises:
        StreamNotFound: the session has no log.
    """
    proof = LogProof(session_id, wanted={*wanted, *(anchor.offset for anchor in anchors)})
    told: dict[str, Told] = {}
    last_kind, strays, after = "", [], -1
    while page := streams.read(snapshot, stream_id=session_id, after=after).entries:
        for entry in page:
            event = proof.take_bytes(entry.data, is_stored=True)
            if event is None:
                continue
            last_kind = event.kind
            if event.offset != entry.offset:
                strays.append(entry.offset)
            if event.session_id == session_id:
                # What was ordered in a history that it shares stays its source's.
                hear(told, event)
        after = page[-1].offset
    report = proof.report(anchors)
    if strays and not report.flaws:
        detail = "the entry is stored under another offset than its own"
        report.flaws.append(Flaw(offset=strays[0], since=strays[0], detail=detail))
    return Log(report, proof.hashes, proof.head, told, last_kind)


def findings_in(report: LogReport) -> list[Finding]:
    """Return the flaws of a log as findings; ``where`` names the first place that may be bad."""
    return [
        Finding(rule="log", where=f"{report.session_id}:{flaw.offset}", detail=said(flaw))
        for flaw in report.flaws
    ]


def said(flaw: Flaw) -> str:
    """Return what is wrong at a place, as a line."""
    parts = [flaw.detail]
    if flaw.expected is not None:
        parts.append(f"expected {flaw.expected}, found {flaw.found}")
    if flaw.since < flaw.offset:
        parts.append(f"it was changed at #{flaw.since} or after")
    return "; ".join(parts)
