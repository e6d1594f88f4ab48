"""Checkpoints of a session against the market's key, and against where they are due."""

from collections.abc import Iterable
from typing import NamedTuple

from market import sessions
from market.audit.findings import Finding
from market.base.streams import Stream
from market.base.work import Snapshot
from market.protocol.proving import Anchor
from market.protocol.vouching import read_checkpoints


class Signed(NamedTuple):
    """What the market vouches for in a session's log, and what is wrong with its checkpoints."""

    anchors: list[Anchor]
    findings: list[Finding]


def check_checkpoints(
    snapshot: Snapshot, *, session_id: str, stream: Stream, tokens: Iterable[str] = ()
) -> Signed:
    """Return what the kept checkpoints, and ``tokens`` that somebody kept elsewhere, vouch for."""
    key = snapshot.signer.public
    rows = sessions.checkpoints_kept(snapshot, session_id=session_id)
    given = [*(row.token for row in rows), *tokens]
    vouched = read_checkpoints(given, {key.kid: key}, session_id=session_id)
    signed = set(vouched.anchors)
    findings = [_finding(session_id, bad.offset, bad.detail) for bad in vouched.bad]
    findings += [
        _finding(session_id, row.offset, "its row says something else than was signed")
        for row in rows
        if Anchor(row.offset, row.hash) not in signed
    ]
    due = sessions.checkpoints_due(next_offset=stream.next_offset, is_closed=stream.is_closed)
    kept = {row.offset for row in rows}
    findings += [
        _finding(session_id, offset, "no checkpoint is kept here, and one is due")
        for offset in due
        # A fork's source has signed what they share.
        if offset not in kept and offset >= (stream.forked_at or 0)
    ]
    return Signed(vouched.anchors, findings)


def _finding(session_id: str, offset: int, detail: str) -> Finding:
    return Finding(rule="checkpoints", where=f"checkpoint {session_id}:{offset}", detail=detail)
