"""Verdicts on how work ends: by itself, by a cancel, and what a reader is told of it."""

from market.probe.findings import (
    Cause,
    Finding,
    conflicting,
    ending_lost,
    holds,
    trapped,
    unclear,
    untried,
)
from market.probe.observed import After, Observed, Stopped
from market.probe.recording import Recording
from market.probe.sequences import is_anew
from market.probe.words import IDLE, count, ended_as, ms


def cancel(seen: Observed) -> Finding:
    """Judge whether a cancel ends the work, and the stream says so."""
    trial = seen.stopped
    if trial is None:
        why = "the work was over before" if "cancel" in seen.stated else "[cancel] names no request"
        return untried("cancel", why)
    if not 200 <= trial.status < 400:
        told = f"the request got {f'status {trial.status}' if trial.status else 'no answer'}"
        return conflicting("cancel", told, "cancel_fails")
    watching = trial.watching
    if not watching.is_over:
        return _unheeded(trial, watching)
    took = ms(watching.ended_ms - trial.asked_ms)
    if not _says_stop(trial, watching):
        told = f"ended {took} later with {ended_as(watching)}: no word of a cancel"
        if watching.ending == "closed" and _is_never_told(seen):
            return ending_lost("cancel", told, "end_unsaid")
        return conflicting("cancel", told, "cancel_silent")
    return holds("cancel", f"ended {took} later, and said so: {ended_as(watching)}")


def _unheeded(trial: Stopped, watching: Recording) -> Finding:
    """Judge a cancel that no end followed."""
    if watching.is_of_the_past:
        return unclear("cancel", "nothing was under way to be cancelled; audit while work runs")
    more = len(watching.events) - trial.events_before
    told = f"{count(more, 'more event')} came, and no end"
    return conflicting("cancel", told, "cancel_fails")


def _says_stop(trial: Stopped, recording: Recording) -> bool:
    """Return whether a reader was told that somebody stopped the work.

    Who came back had seen what was before; the others saw it here.
    """
    is_back = trial.after is not None and recording is trial.after.back
    since = recording.events if is_back else recording.events[trial.events_before :]
    return recording.says_stop or any(event.says_stop for event in since)


def _is_never_told(seen: Observed) -> bool:
    """Return whether work that ends by itself ends without a word, too."""
    return seen.together is not None and seen.together.uncut.ending == "closed"


def apart(seen: Observed, left: Finding, stop: Finding) -> Finding:
    """Judge whether who comes back can tell a stop from a cut."""
    if left.mode == "resume-cancel conflict":
        return conflicting("apart", "leaving stops the work, as a cancel would", "dies")
    trial = seen.stopped
    if trial is None or trial.after is None:
        needed = untried("apart", "that needs a cancel that ends the work")
        return unclear("apart", IDLE) if left.verdict == "unclear" else needed
    if stop.verdict != "holds":
        told = "who comes back finds no word of the cancel"
        return Finding("apart", "fails", told, stop.mode, stop.cause)
    for reader in _who(trial.after):
        if not reader.is_over or not _says_stop(trial, reader):
            told = f"after the cancel a reader {_fate(reader)}: nothing tells it of a stop"
            return conflicting("apart", told, "cancel_silent")
    if left.verdict != "holds":
        return unclear("apart", "a cancel is told to who comes back; a cut was not proven harmless")
    told = "after a cut the work goes on; after a cancel who comes back is told"
    return holds("apart", f"{told} {ended_as(trial.after.fresh)}")


def end(seen: Observed) -> Finding:
    """Judge whether a reader that comes after the end learns that it was the end."""
    whole, after = _ended(seen)
    if whole is None:
        return untried("end", "the work was not read")
    if after is None:
        reason = f"after {whole.end_label}" if whole.ending == "full" else "while it was watched"
        return unclear("end", f"no end came {reason}")
    if is_anew(whole, after.fresh):
        return trapped("end", "the work begins anew for who comes after its end", "own_work")
    for reader in _who(after):
        if reader.ending != "said":
            return ending_lost("end", *_lost(whole, reader))
    return holds("end", "; ".join(map(_words, _who(after))))


def _ended(seen: Observed) -> tuple[Recording | None, After | None]:
    """Return the reader that saw the end, and who came after it."""
    if seen.together and seen.together.after:
        return seen.together.uncut, seen.together.after
    if seen.stopped and seen.stopped.after:
        return seen.stopped.watching, seen.stopped.after
    return (seen.together.uncut if seen.together else None), None


def _who(after: After) -> list[Recording]:
    return [reader for reader in (after.fresh, after.back) if reader is not None]


def _words(reader: Recording) -> str:
    """Return what a reader that was told the end got."""
    had = f"{count(len(reader.events), 'event')} and " if reader.events else ""
    took = ms(reader.ended_ms - reader.opened_ms)
    return f"{_from(reader)} got {had}{ended_as(reader)} in {took}"


def _from(reader: Recording) -> str:
    return "who came back" if reader.name.startswith("back") else "a new reader"


def _lost(whole: Recording, reader: Recording) -> tuple[str, Cause]:
    who = f"{_from(reader)} {_fate(reader)}"
    if reader.ending == "closed" and whole.ending == "closed":
        return f"{who}: only a closed connection tells the end, as it would a cut", "end_unsaid"
    return f"{who} after the end", "end_forgotten"


def _fate(reader: Recording) -> str:
    """Return what became of a reader."""
    had = count(len(reader.events), "event")
    if reader.ending == "waiting":
        waited = ms(reader.ended_ms - reader.opened_ms)
        return f"got {had} and waited in vain for {waited}"
    if reader.ending == "closed" and not reader.events:
        return f"got an empty answer with status {reader.status}"
    return f"got {had} and {ended_as(reader)}"
