"""Verdicts on how events come: from parallel workers, to slow readers, through silence."""

from typing import Final

from market.probe.findings import Finding, holds, trapped, unclear, untried
from market.probe.observed import Observed
from market.probe.recording import LIVE_MS, SLOW_SECONDS
from market.probe.sequences import (
    Worker,
    longest_silence_ms,
    match,
    missed,
    strays,
    turns,
    workers_of,
)
from market.probe.words import count, ended_as, ms

_BURST: Final = 0.15
_MEANS_SOMETHING: Final = 3
_PATIENCE_MS: Final = 15_000.0


def workers(seen: Observed) -> Finding:
    """Judge whether the events of several workers come as they are made, under their names."""
    if not seen.workers:
        return untried("workers", "[workers] names no author")
    if seen.together is None:
        return untried("workers", "the work was not read")
    whole = seen.together.uncut
    # What was there before the reader came says nothing of the pace at which it was made.
    from_ms = whole.opened_ms + (0.0 if seen.is_fresh else LIVE_MS)
    found = workers_of(whole, from_ms=from_ms)
    if not found:
        return unclear("workers", "no live event names an author")
    if len(found) < seen.workers:
        names = ", ".join(one.author for one in found)
        told = f"{count(len(found), 'author')} of {seen.workers}: {names} speaks for all"
        return _relayed(told)
    return _judged(found, turns(whole, from_ms=from_ms))


def _judged(found: list[Worker], changes: int) -> Finding:
    """Judge how the events of all expected workers came."""
    told = f"{len(found)} authors, {count(changes, 'change')} between them"
    measured = [one for one in found if one.events >= _MEANS_SOMETHING]
    bursts = [one for one in measured if one.spread < _BURST]
    if len(measured) < len(found):
        return unclear("workers", f"{told}: too few events to tell")
    if len(bursts) * 2 >= len(measured):
        shares = ", ".join(f"{one.author}'s {one.events}" for one in bursts[:3])
        return _relayed(f"{told}; {shares} came in one burst each")
    if changes < len(found):
        return unclear("workers", f"{told}: one after the other, so not in parallel")
    return holds("workers", f"{told}: each event came as it was made")


def _relayed(seen: str) -> Finding:
    return Finding("workers", "fails", seen, "orchestrator relay", "relayed")


def slow(seen: Observed) -> Finding:
    """Judge whether a reader that stops taking for a while gets all the same."""
    trial = seen.together
    if trial is None or not trial.slow.events:
        return untried("slow", "it got no event")
    uncut, reader = trial.uncut, trial.slow
    found = match(uncut.keys, reader.keys)
    if found is None:
        return untried("slow", "it shares no event with the others")
    if reader.ending == "broken":
        return trapped("slow", f"its connection was lost: {ended_as(reader)}", "slow_dropped")
    paused = f"took nothing for {ms(SLOW_SECONDS * 1_000)}"
    if lost := strays(uncut, reader, found) + missed(uncut, reader, found):
        told = f"{paused}; {count(lost, 'event')} never came"
        return trapped("slow", told, "slow_dropped")
    return holds("slow", f"{paused}, then had the same {count(found.length, 'event')}")


def alive(seen: Observed) -> Finding:
    """Judge whether a quiet stream shows that it lives."""
    if seen.together is None:
        return untried("alive", "the work was not read")
    whole = seen.together.uncut
    silence = longest_silence_ms(whole)
    told = f"longest silence {ms(silence)}"
    if whole.signs_of_life:
        return holds("alive", f"{told}; {count(whole.signs_of_life, 'sign')} of life")
    if silence < _PATIENCE_MS:
        return untried("alive", f"{told}: no need for a sign of life")
    return unclear("alive", f"{told}, without a sign of life: proxies cut after a minute")
