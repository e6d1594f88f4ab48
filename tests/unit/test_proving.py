"""What a log's entries prove by themselves: every tampering shows, and where it was."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.protocol.chain import event_hash
from market.protocol.events import GENESIS, Event, Withheld
from market.protocol.logfile import checkpoint_in, log_lines, stored, text_of
from market.protocol.proving import Anchor, LogProof, LogReport

LENGTH = 12
SESSION = "ses_00000000000000000000000000"
OTHER = "ses_11111111111111111111111111"
Log = list[Event]
offsets = st.integers(0, LENGTH - 1)


def log_of(
    session_id: str = SESSION, length: int = LENGTH, start: Log | None = None, word: str = "word"
) -> Log:
    """A log as the market writes it, ``start`` and what follows it."""
    log = list(start or [])
    for offset in range(len(log), length):
        tree: dict[str, Any] = {
            "id": f"{session_id}:{offset}",
            "session_id": session_id,
            "offset": offset,
            "kind": "note.written",
            "stage": None,
            "actor_id": "A" * 43,
            "order_id": None,
            "audience": "owner",
            "recorded_at": "2026-11-22T12:00:00.000000Z",
            "body": {"text": f"{word} {offset}", "of": [1.5, offset, True]},
            "prev_hash": log[-1].hash if log else GENESIS,
        }
        log.append(msgspec.convert({**tree, "hash": event_hash(tree)}, Event))
    return log


LOG = log_of()
LINES = [line.rstrip(b"\n") for line in log_lines(LOG, [])]


def changed(event: Event, **members: Any) -> Event:
    """An event with other members, and its hash made anew."""
    other = msgspec.structs.replace(event, **members)
    return msgspec.structs.replace(other, hash=event_hash(msgspec.to_builtins(other)))


def written_anew(log: Log, place: int, until: int | None = None) -> Log:
    """A log whose event at ``place`` says something else, and all hashes up to ``until`` fit."""
    log = list(log)
    head = log[place - 1].hash if place else GENESIS
    for offset in range(place, len(log) if until is None else until):
        body = {"text": "forged"} if offset == place else log[offset].body
        log[offset] = changed(log[offset], body=body, prev_hash=head)
        head = log[offset].hash
    return log


def proven(entries: list[Any], *anchors: int, of: str | None = SESSION) -> LogReport:
    """What a log proves, with the true hashes at some offsets vouched for."""
    given_anchors = [Anchor(offset, LOG[offset].hash) for offset in anchors]
    proof = LogProof(of, wanted=anchors)
    for entry in entries:
        if isinstance(entry, bytes):
            proof.take_bytes(entry)
        else:
            proof.take(entry)
    return proof.report(given_anchors)


def first_bad(report: LogReport) -> int:
    """The first bad offset, where the report is sure of it."""
    assert report.flaws, "the log passed"
    assert report.flaws[0].since == report.flaws[0].offset, report.flaws
    return report.flaws[0].offset


def test_an_untouched_log_passes_as_one_piece():
    report = proven(LINES, 5, LENGTH - 1)

    assert report.flaws == []
    assert [(run.first, run.last) for run in report.intact] == [(0, LENGTH - 1)]
    assert (report.vouched_to, report.entries, report.withheld) == (LENGTH - 1, LENGTH, 0)


@given(place=offsets, data=st.data())
def test_any_changed_byte_shows_at_its_event(place: int, data: st.DataObject):
    at = data.draw(st.integers(0, len(LINES[place]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != LINES[place][at]))
    lines = list(LINES)
    lines[place] = lines[place][:at] + bytes([byte]) + lines[place][at + 1 :]

    proof = LogProof(SESSION)
    for line in lines:
        proof.take_bytes(line, is_stored=True)

    assert first_bad(proof.report()) == place


@given(place=offsets)
def test_a_dropped_event_shows_where_it_is_missing(place: int):
    report = proven(LINES[:place] + LINES[place + 1 :], LENGTH - 1)

    assert first_bad(report) == place
    assert len(report.flaws) == 1
    if place < LENGTH - 1:
        assert report.flaws[0].found == f"offset {place + 1}"
        assert (report.intact[-1].first, report.intact[-1].last) == (place + 1, LENGTH - 1)


@given(pair=st.tuples(offsets, offsets).filter(lambda pair: pair[0] < pair[1]))
def test_two_exchanged_events_show_at_the_first(pair: tuple[int, int]):
    first, second = pair
    log = list(LINES)
    log[first], log[second] = log[second], log[first]

    report = proven(log, LENGTH - 1)

    assert first_bad(report) == first
    assert {flaw.offset for flaw in report.flaws} <= {first, first + 1, second}


@given(place=offsets)
def test_a_doubled_event_shows_behind_the_first_of_the_two(place: int):
    report = proven([*LINES[: place + 1], *LINES[place:]], LENGTH - 1)

    assert first_bad(report) == place + 1
    assert len(report.flaws) == 1
    assert "twice" in report.flaws[0].detail


@given(place=offsets, moved=st.booleans())
def test_an_event_that_was_put_in_shows_though_its_hash_is_right(place: int, moved: bool):
    head = LOG[place - 1].hash if place else GENESIS
    extra = changed(LOG[place], body={"text": "put in"}, prev_hash=head)
    if moved:
        extra = LOG[(place + LENGTH // 2) % LENGTH]

    report = proven([*LOG[:place], extra, *LOG[place:]], LENGTH - 1)

    assert first_bad(report) == place


@given(place=offsets)
def test_a_tail_that_was_cut_shows_where_the_log_ends(place: int):
    report = proven(LINES[:place], LENGTH - 1)

    assert first_bad(report) == place
    assert proven(LINES[:place]).flaws == []


@given(place=offsets, anchor=offsets)
def test_a_log_written_anew_shows_between_two_checkpoints(place: int, anchor: int):
    forged = written_anew(LOG, place)

    report = proven(forged, anchor, LENGTH - 1)

    assert len(report.flaws) == 1
    [flaw] = report.flaws
    assert flaw.since <= place <= flaw.offset
    assert flaw.offset == (anchor if anchor >= place else LENGTH - 1)
    assert flaw.since == (anchor + 1 if anchor < place else 0)


@given(pair=st.tuples(offsets, offsets).filter(lambda pair: pair[0] < pair[1]))
def test_a_part_written_anew_shows_at_its_end(pair: tuple[int, int]):
    first, behind = pair
    report = proven(written_anew(LOG, first, behind), LENGTH - 1)

    assert len(report.flaws) == 1
    [flaw] = report.flaws
    assert flaw.since <= first <= flaw.offset == behind - 1


@given(place=st.integers(1, LENGTH - 1))
def test_the_log_of_another_session_shows(place: int):
    other = log_of(OTHER)

    assert first_bad(proven(other)) == 0
    assert first_bad(proven([*LOG[:place], *other[place:]])) == place
    assert first_bad(proven([*LOG[:place], *log_of(OTHER, start=LOG[:place])[place:]])) == place


def fork_of(log: Log, at: int, **changes: Any) -> Log:
    """A session that shares the events of ``log`` up to offset ``at``."""
    fork = log_of(OTHER, start=log[: at + 1], length=at + 2)
    branch = {"source_offset": at, "source_hash": log[at].hash, **changes}
    fork[-1] = changed(fork[-1], kind="session.forked", body=branch)
    return log_of(OTHER, start=fork, length=LENGTH + 2)


@given(at=offsets)
def test_a_fork_is_whole_with_the_events_of_its_source(at: int):
    assert proven(fork_of(LOG, at), of=OTHER).flaws == []
    assert proven(fork_of(LOG, at), of=None).session_id == OTHER
    assert first_bad(proven(fork_of(LOG, at, source_offset=at + 1), of=OTHER)) == at + 1
    assert first_bad(proven(fork_of(LOG, at, source_hash=""), of=OTHER)) == at + 1


def withheld(log: Log, hidden: Callable[[int], bool]) -> list[Event | Withheld]:
    return [
        Withheld(offset=one.offset, withheld=True, hash=one.hash) if hidden(one.offset) else one
        for one in log
    ]


def test_a_log_with_withheld_events_passes_and_says_what_it_takes_at_its_word():
    seen = withheld(LOG, lambda offset: offset in (2, 5, 6, 7, 11))

    report = proven(seen, 5)

    assert report.flaws == []
    assert [(run.first, run.last) for run in report.at_word] == [(6, 6), (11, 11)]
    assert (report.withheld, report.vouched_to) == (5, 5)


@given(place=offsets, data=st.data())
def test_a_withheld_event_that_was_dropped_or_changed_shows(place: int, data: st.DataObject):
    hidden = data.draw(st.sets(offsets))
    seen = withheld(LOG, lambda offset: offset in hidden)

    assert first_bad(proven(seen[:place] + seen[place + 1 :], LENGTH - 1)) == place

    log = list(seen)
    log[place] = Withheld(offset=place, withheld=True, hash="x" * 43)
    report = proven(log, place)
    assert report.flaws[0].since <= place <= report.flaws[0].offset


@pytest.mark.parametrize(
    "line",
    [
        LINES[3].replace(b'{"actor_id"', b'{"actor_id":"B","actor_id"'),
        LINES[3].replace(b'"kind"', b'"extra":1,"kind"'),
        LINES[3].replace(b'"offset":3', b'"offset":3.5'),
        LINES[3].replace(b"word", b"\xff"),
        LINES[3].replace(b'"of":[1.5,3,true]', b'"of":12345678901234567890'),
        b'{"offset":3,"withheld":true,"hash":"x","more":1}',
        b"[" * 2_000,
        b"",
    ],
)
def test_a_line_that_two_readers_may_read_differently_is_no_entry(line: bytes):
    assert first_bad(proven([*LINES[:3], line, *LINES[4:]], LENGTH - 1)) == 3


def test_a_file_may_write_the_same_event_in_another_way_and_a_store_may_not():
    spaced = msgspec.json.format(LINES[3], indent=0).replace(b":", b" :", 1)
    assert proven([*LINES[:3], spaced, *LINES[4:]]).flaws == []

    proof = LogProof(SESSION)
    for line in [*LINES[:3], spaced]:
        proof.take_bytes(line, is_stored=True)
    assert first_bad(proof.report()) == 3


def test_lines_of_a_file_are_what_the_market_stores():
    *entries, signed = log_lines([LOG[0], Withheld(offset=1, withheld=True, hash="h")], ["a.b.c"])

    assert entries[0] == stored(LOG[0], text_of(LOG[0])) + b"\n"
    assert entries[1] == b'{"offset":1,"withheld":true,"hash":"h"}\n'
    assert checkpoint_in(signed) == "a.b.c"
    assert [checkpoint_in(line) for line in entries] == [None, None]
