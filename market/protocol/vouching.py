"""Checkpoints as anyone reads them: which the market signed, and which it did not."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from market.protocol.commitments import CHECKPOINT, CheckpointClaims
from market.protocol.proving import Anchor
from market.protocol.signing import BadSignature, VerifyingKey, read_header, read_payload


class BadCheckpoint(NamedTuple):
    """A checkpoint that vouches for nothing: the offset that it names (-1: none), and why."""

    offset: int
    detail: str


class Vouched(NamedTuple):
    """What the market vouches for, and the checkpoints that it did not sign for this session."""

    session_id: str | None
    anchors: list[Anchor]
    bad: list[BadCheckpoint]


def read_checkpoints(
    tokens: Iterable[str], keys: Mapping[str, VerifyingKey], *, session_id: str | None
) -> Vouched:
    """Return what checkpoints say of one session, each checked with the market's own ``keys``.

    Without ``session_id`` they are all for the session that the first good one names.
    """
    anchors: dict[Anchor, None] = {}
    bad = []
    for token in dict.fromkeys(tokens):
        try:
            claims = _read(token, keys)
        except BadSignature as error:
            bad.append(BadCheckpoint(_named_offset(token), f"the market did not sign it: {error}"))
            continue
        session_id = session_id or claims.session_id
        if claims.session_id != session_id:
            detail = f"it is for another session, {claims.session_id}"
            bad.append(BadCheckpoint(claims.offset, detail))
        else:
            anchors[Anchor(claims.offset, claims.hash)] = None
    return Vouched(session_id, sorted(anchors), bad)


def _read(token: str, keys: Mapping[str, VerifyingKey]) -> CheckpointClaims:
    kid = read_header(token)["kid"]
    if kid not in keys:
        raise BadSignature(f"it is signed with another key, {kid}")
    return keys[kid].read(token, typ=CHECKPOINT, claims=CheckpointClaims)


def _named_offset(token: str) -> int:
    """Return the offset that an unproven checkpoint speaks of, to tell where it belongs."""
    try:
        payload = read_payload(token)
    except BadSignature:
        return -1
    offset = payload.get("offset") if isinstance(payload, dict) else None
    return offset if isinstance(offset, int) else -1
