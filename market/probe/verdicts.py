"""Verdicts: what the recordings of a stream's readers prove. Nothing here waits or asks."""

from typing import Final

from market.probe.endings import apart, cancel, end
from market.probe.findings import (
    CAPABILITIES,
    Cause,
    Finding,
    conflicting,
    holds,
    trapped,
    unclear,
    untried,
)
from market.probe.observed import Alone, Observed, Together
from market.probe.pacing import alive, slow, workers
from market.probe.recording import Place, Recording
from market.probe.sequences import (
    Match,
    is_anew,
    lag_ms,
    match,
    missed,
    past_of,
    strays,
)
from market.probe.words import IDLE, count, ended_as, ms

_ON_THEIR_WAY: Final = 2
_PART_OF_IT: Final = 0.7


def findings(seen: Observed) -> list[Finding]:
    """Return one finding for each capability, in their order."""
    left = disconnect(seen)
    stop = cancel(seen)
    made = [left, resume(seen), devices(seen), late(seen), stop]
    made += [apart(seen, left, stop), end(seen), workers(seen), slow(seen), alive(seen)]
    assert [one.capability for one in made] == list(CAPABILITIES), "the report has an order"
    return made


# The only reader leaves


def disconnect(seen: Observed) -> Finding:
    """Judge whether the work went on without a reader."""
    trial = seen.alone
    if trial is None or trial.later is None:
        return untried("disconnect", _no_time(seen) or _short(trial.first if trial else None))
    first, later = trial.first, trial.later
    away = f"left at {count(len(first.events), 'event')}, away for {ms(trial.absent_ms)}"
    if later.is_turned_away:
        told = f"{away}; who came back got {ended_as(later)}"
        return conflicting("disconnect", told, "dies")
    if is_anew(first, later) or _is_another(first, later):
        told = f"{away}; the work began anew for who came back"
        return trapped("disconnect", told, "own_work")
    if not later.events and not later.is_over:
        if first.is_of_the_past:
            return unclear("disconnect", IDLE)
        return conflicting("disconnect", f"{away}; then nothing more came", "dies")
    return _gone_on(seen, trial, later, away)


def _is_another(first: Recording, later: Recording) -> bool:
    """Return whether a reader who came back got other work, and not what follows."""
    if not later.events or match(first.keys, later.keys):
        return False
    ids = (first.events[-1].id, later.events[0].id)
    return not (all(one.isdecimal() for one in ids) and int(ids[1]) > int(ids[0]))


def _gone_on(seen: Observed, trial: Alone, later: Recording, away: str) -> Finding:
    found = match(trial.first.keys, later.keys)
    had = len(trial.first.events) - found.start if found else 0
    more = len(later.events) - had
    if later.is_over and (later.says_stop or _is_too_short(seen, later, more)):
        told = f"the work had ended {f'after {more} more' if more > 0 else 'at once'}"
        return conflicting("disconnect", f"{away}; {told}: {ended_as(later)}", "dies")
    if trial.first.is_of_the_past:
        return unclear("disconnect", IDLE)
    if not later.is_over and more <= later.past_events - had:
        told = f"{count(more, 'more event')}, then nothing" if more > 0 else "nothing more came"
        return conflicting("disconnect", f"{away}; {told}", "dies")
    meanwhile = max(later.past_events - had, 0)
    return holds("disconnect", f"{away}; {meanwhile:,} were made meanwhile")


def _is_too_short(seen: Observed, later: Recording, more: int) -> bool:
    """Return whether the work ended when its reader left, and much too soon."""
    whole = seen.together.uncut if seen.together else None
    if whole is None or not seen.is_fresh or not whole.is_over:
        return False
    return more <= _ON_THEIR_WAY and len(later.events) < _PART_OF_IT * len(whole.events)


# One of several readers is cut, and resumes


def resume(seen: Observed) -> Finding:
    """Judge whether a reader that was cut goes on where it was."""
    trial = seen.together
    if trial is None or trial.resumed is None:
        return _unresumed(seen)
    uncut, torn, resumed = trial.uncut, trial.torn, trial.resumed
    begun = match(uncut.keys, torn.keys)
    cut_at = f"cut after {count(len(torn.events), 'event')}"
    if begun is None or is_anew(uncut, torn):
        told = f"{cut_at}; each connection has work of its own"
        return trapped("resume", told, "own_work")
    place = torn.place or Place("", len(torn.events))
    expected = begun.start + place.events
    if _is_ended_by_cut(seen, uncut, expected):
        told = f"{cut_at}: that ended the work for all, with {ended_as(uncut)}"
        return conflicting("resume", told, "dies")
    if resumed.is_turned_away:
        return trapped("resume", f"{cut_at}; resuming got {ended_as(resumed)}", "refused")
    can_say = torn.place is not None and bool(seen.way)
    found = match(uncut.keys, resumed.keys, expected)
    return (
        _resumed(trial, expected, found, f"{cut_at} at id {place.position}")
        if can_say
        else _not_told(trial, expected, found, cut_at)
    )


def _is_ended_by_cut(seen: Observed, uncut: Recording, expected: int) -> bool:
    """Return whether the work was stopped when one reader was cut, and by nobody else."""
    is_stopped = uncut.says_stop and (seen.stopped is None or seen.is_fresh)
    return is_stopped and len(uncut.events) - expected <= _ON_THEIR_WAY


def _unresumed(seen: Observed) -> Finding:
    trial = seen.together
    if trial is not None and trial.torn.is_turned_away:
        told = f"a connection beside the first got {ended_as(trial.torn)}"
        return trapped("resume", told, "refused")
    return untried("resume", _no_time(seen) or _short(trial.torn if trial else None))


def _resumed(trial: Together, expected: int, found: Match | None, cut_at: str) -> Finding:
    """Judge a reader that said where it was."""
    uncut, resumed = trial.uncut, trial.resumed
    assert resumed is not None, "it was opened"
    if found is None:
        return _nothing_followed(uncut, resumed, expected, cut_at)
    if found.start < expected:
        twice = count(expected - found.start, "event")
        again = "all began again" if found.start == 0 else "it went back"
        return trapped("resume", f"{cut_at}; {again}: {twice} came twice", "position_ignored")
    lost = found.start - expected
    if lost:
        return trapped("resume", f"{cut_at}; {count(lost, 'event')} were lost", "past_lost")
    if wrong := strays(uncut, resumed, found):
        told = f"{cut_at}; {count(wrong, 'event')} differ from what others saw"
        return trapped("resume", told, "past_lost")
    if behind := missed(uncut, resumed, found):
        told = f"{cut_at}; {found.length:,} followed, and {behind:,} never came"
        return trapped("resume", told, "past_lost")
    told = f"{cut_at}; {count(found.length, 'event')} followed: none lost, none twice"
    return holds("resume", told)


def _nothing_followed(uncut: Recording, resumed: Recording, expected: int, cut_at: str) -> Finding:
    if resumed.events:
        return trapped("resume", f"{cut_at}; what came is of another sequence", "own_work")
    due = len(uncut.events) - expected
    if due > 0:
        told = f"{cut_at}; none of the {due} that followed came"
        return trapped("resume", told, "past_lost")
    return unclear("resume", f"{cut_at}; nothing followed, for anybody")


def _not_told(trial: Together, expected: int, found: Match | None, cut_at: str) -> Finding:
    """Judge a reader that could not say where it was."""
    unsaid = "nothing says how to resume ([resume] may say how)"
    why = unsaid if trial.torn.place else "no event carries an id"
    start = found.start if found else len(trial.uncut.events)
    if start < expected:
        told = f"{count(expected - start, 'event')} came twice"
    elif start > expected:
        told = f"{count(start - expected, 'event')} were lost"
    else:
        told = "nothing was lost this time"
    return trapped("resume", f"{cut_at}; {why}: {told}", "no_position")


# Several readers of one stream


def devices(seen: Observed) -> Finding:
    """Judge whether two readers at the same time see the same."""
    trial = seen.together
    if trial is None or trial.second.ending is None:
        return untried("devices", _no_time(seen) or _short(trial.uncut if trial else None))
    uncut, second = trial.uncut, trial.second
    if alien := _alien(uncut, second):
        return trapped("devices", f"the second {alien[0]}", alien[1])
    found = match(uncut.keys, second.keys)
    if found is None:
        due = len(uncut.events) - past_of(uncut, second)
        if due <= 0:
            return untried("devices", _short(uncut))
        return trapped("devices", f"the second got none of {count(due, 'event')}", "refused")
    if wrong := strays(uncut, second, found) + missed(uncut, second, found):
        return trapped("devices", f"{count(wrong, 'event')} were not the same", "past_lost")
    lag = ms(lag_ms(uncut, second, found))
    return holds("devices", f"both saw the same {count(found.length, 'event')}, {lag} apart")


def late(seen: Observed) -> Finding:
    """Judge whether a reader that comes late gets the past, and then what comes."""
    trial = seen.together
    if trial is None or trial.late is None:
        return untried("late", _no_time(seen) or _short(trial.uncut if trial else None))
    uncut, reader = trial.uncut, trial.late
    past = past_of(uncut, reader)
    came = f"came at event {past}"
    found = match(uncut.keys, reader.keys)
    if found is None and reader.events:
        return _snapshot(uncut, reader, past, came)
    if alien := _alien(uncut, reader):
        return trapped("late", f"{came} and {alien[0]}", alien[1])
    if found is None or found.start > 0:
        lost = past if found is None else found.start
        return trapped("late", f"{came}; {lost} of {past} past events never came", "past_lost")
    if wrong := strays(uncut, reader, found) + missed(uncut, reader, found):
        told = f"{came}; {count(wrong, 'event')} differ or never came"
        return trapped("late", told, "past_lost")
    took = reader.events[min(past, found.length) - 1].at_ms - reader.opened_ms
    live = max(found.length - past, 0)
    then = f"then {live} live" if live else "and nothing came live"
    return holds("late", f"{came}; the past came in {ms(took)}, {then}")


def _alien(uncut: Recording, reader: Recording) -> tuple[str, Cause] | None:
    """Return why a reader has no part in the stream of the others; None if it has."""
    if reader.is_turned_away:
        return f"got {ended_as(reader)}", "refused"
    if reader.events and match(uncut.keys, reader.keys) is None:
        return "shares no event with the first: each connection has work of its own", "own_work"
    if is_anew(uncut, reader):
        return "saw the work begin anew: each connection has work of its own", "own_work"
    return None


def _snapshot(uncut: Recording, reader: Recording, past: int, came: str) -> Finding:
    """Judge a first event that nobody else had: it may stand for the past."""
    tail = match(uncut.keys, reader.keys[1:], past)
    if tail and abs(tail.start - past) <= 1:
        return holds("late", f"{came}; got a snapshot, then {tail.length} live")
    told = f"{came} and shares no event with the first: each connection has work of its own"
    return trapped("late", told, "own_work")


def _no_time(seen: Observed) -> str:
    return "the time of the audit was over" if seen.is_out_of_time else ""


def _short(reader: Recording | None) -> str:
    """Return why the work could not be caught in its middle."""
    if reader is not None and reader.ending == "full":
        return f"{reader.end_label} came before that: the bound of [limits]"
    return "the work was over before that; audit a longer one"
