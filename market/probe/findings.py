"""What an audit finds: one answer for each capability of a durable session."""

from typing import Final, Literal

import msgspec

Mode = Literal[
    "single-connection trap", "resume-cancel conflict", "orchestrator relay", "lost end", "none"
]
"""The ways in which streams fail their readers."""

Verdict = Literal["holds", "fails", "unclear", "not tried"]

CAPABILITIES: Final = {
    "disconnect": "disconnect is no cancel",
    "resume": "cut and resume",
    "devices": "second reader",
    "late": "late reader",
    "cancel": "cancel says so",
    "apart": "stop told from cut",
    "end": "end is kept",
    "workers": "parallel workers",
    "slow": "slow reader",
    "alive": "keep-alive",
}
"""What a durable session can do, in the order of the report."""

MODES: Final[dict[Mode, str]] = {
    "single-connection trap": "the stream belongs to one connection: a reload, a second device or"
    " a bad network loses it",
    "resume-cancel conflict": "a closed connection cannot be told from a cancel: readers can"
    " resume or stop, but not both",
    "orchestrator relay": "the workers' progress passes through one that relays it: late, in"
    " bursts, or not at all",
    "lost end": "that the work is over is told once, to who listens; who comes later waits or asks"
    " in vain",
}

Cause = Literal[
    "",
    "own_work",
    "dies",
    "no_position",
    "position_ignored",
    "past_lost",
    "refused",
    "cancel_fails",
    "cancel_silent",
    "end_unsaid",
    "end_forgotten",
    "relayed",
    "slow_dropped",
]
"""Why something fails, as far as it can be seen from outside: what a migration begins with."""


class Finding(msgspec.Struct, frozen=True):
    """What was seen of one capability, and what follows from it."""

    capability: str
    verdict: Verdict
    seen: str
    mode: Mode = "none"
    cause: Cause = ""


def holds(capability: str, seen: str) -> Finding:
    """Return that a capability is there."""
    return Finding(capability, "holds", seen)


def unclear(capability: str, seen: str) -> Finding:
    """Return that a capability was tried, but that what was seen proves nothing."""
    return Finding(capability, "unclear", seen)


def untried(capability: str, why: str) -> Finding:
    """Return that a capability could not be tried."""
    return Finding(capability, "not tried", why)


def trapped(capability: str, seen: str, cause: Cause) -> Finding:
    """Return that a connection owns what its readers share."""
    return Finding(capability, "fails", seen, "single-connection trap", cause)


def conflicting(capability: str, seen: str, cause: Cause) -> Finding:
    """Return that leaving and stopping are one."""
    return Finding(capability, "fails", seen, "resume-cancel conflict", cause)


def ending_lost(capability: str, seen: str, cause: Cause) -> Finding:
    """Return that the end is not kept."""
    return Finding(capability, "fails", seen, "lost end", cause)


def modes_of(findings: list[Finding]) -> list[Mode]:
    """Return the failure modes that were found, the one with most findings first."""
    found: list[Mode] = [one.mode for one in findings if one.mode != "none"]
    return sorted(set(found), key=lambda mode: (-found.count(mode), list(MODES).index(mode)))
