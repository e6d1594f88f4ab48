"""The audit of streams, without a stream: frames, comparisons, verdicts, steps, probe files."""

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from market.probe import CAPABILITIES, MODES, Finding, Probe, troubles
from market.probe.advice import migration
from market.probe.filling import Blanks, Secrets, places_in, variables_in
from market.probe.findings import conflicting, ending_lost, holds, modes_of, trapped
from market.probe.frames import (
    Decoder,
    EventDecoder,
    Frame,
    LineDecoder,
    TooLarge,
    WordDecoder,
)
from market.probe.interpreting import Interpreter
from market.probe.observed import After, Alone, Observed, Stopped, Together
from market.probe.recording import Ending, Place, Recording, Seen
from market.probe.sequences import is_anew, match, missed
from market.probe.verdicts import findings
from tests.shell import Market

PACE_MS = 20.0
WHOLE = 60


# Frames


def decoded(decoder: Decoder, *pieces: bytes) -> list[Frame]:
    frames = [frame for piece in pieces for frame in decoder.feed(piece)]
    return [*frames, *decoder.rest()]


EVENTS = b": hi\n\nid: 7\r\nevent: step\r\ndata: one\r\ndata: two\r\n\r\ndata:three\r\rid: 9\n\n"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_events_are_the_same_wherever_they_are_cut(size: int) -> None:
    pieces = [EVENTS[place : place + size] for place in range(0, len(EVENTS), size)]

    assert decoded(EventDecoder(100), *pieces) == [
        Frame(None),
        Frame(b"one\ntwo", "7", "step"),
        Frame(b"three"),
        Frame(None, "9"),
    ]


def test_an_event_that_the_connection_cut_is_none() -> None:
    assert decoded(EventDecoder(100), b"data: whole\n\ndata: half\n") == [Frame(b"whole")]


def test_lines_and_words_end_with_the_connection() -> None:
    assert decoded(LineDecoder(9), b"a\n\nb", b"c") == [Frame(b"a"), Frame(None), Frame(b"bc")]
    words = [frame.data for frame in decoded(WordDecoder(9), b"to b", b"e or ", b"not")]
    assert words == [b"to", b"be", b"or", b"not"]


@pytest.mark.parametrize(
    ("decoder", "pieces"),
    [
        (EventDecoder(10), [b"data: 345678901"]),
        (EventDecoder(10), [b"x" * 6, b"x" * 5]),
        (EventDecoder(10), [b"data:123\n", b"data:456\n", b"data:789\n", b"data:01\n"]),
        (LineDecoder(10), [b"x" * 11]),
        (WordDecoder(10), [b"x" * 6, b"x" * 5]),
    ],
)
def test_what_has_no_end_is_too_large(decoder: Decoder, pieces: list[bytes]) -> None:
    with pytest.raises(TooLarge):
        decoded(decoder, *pieces)


# What frames mean


def known(**tables: Any) -> Probe:
    return msgspec.convert({"probe": 1, **tables}, Probe)


def test_ids_types_authors_and_positions_come_from_where_the_file_says() -> None:
    reader = Interpreter(
        known(
            events={"id": "at.0", "type": "kind", "skip": ["ping"], "without": ["sent"]},
            workers={"author": "by"},
            resume={"query": "after", "take": "next"},
        )
    )

    [one] = reader.read(Frame(b'{"at":[5],"kind":"step","by":"left","next":6,"sent":1}', "9"))
    [again] = reader.read(Frame(b'{"at":[5],"kind":"step","by":"left","next":6,"sent":2}', "9"))
    [ping] = reader.read(Frame(b'{"kind":"ping"}'))

    assert (one.id, one.author, one.position, one.is_event) == ("5", "left", "6", True)
    assert one.key == again.key
    assert not ping.is_event


@pytest.mark.parametrize(
    ("frame", "label"),
    [
        (Frame(b"[DONE]"), "[DONE]"),
        (Frame(b"{}", "", "closed"), "closed"),
        (Frame(b'{"type":"Done"}'), "Done"),
        (Frame(b'{"closed":true,"next_offset":4}'), "closed"),
        (Frame(b'{"closed":1}'), ""),
        (Frame(b'{"type":"step.done"}'), ""),
        (Frame(b"\xff\xfe"), ""),
    ],
)
def test_the_usual_marks_of_the_end_are_known(frame: Frame, label: str) -> None:
    [one] = Interpreter(known()).read(frame)

    assert one.end == label


def test_a_stated_mark_replaces_the_usual_ones() -> None:
    reader = Interpreter(known(end={"at": "state", "is": "over"}))

    marks = [b'{"state":"over"}', b'{"state":"open"}', b"[DONE]"]

    assert [bool(reader.read(Frame(data))[0].end) for data in marks] == [True, False, False]


def test_a_batch_is_as_many_events() -> None:
    reader = Interpreter(known(events={"batch": True}))

    read = reader.read(Frame(b'[{"n":1},{"n":2}]')) + reader.read(Frame(b'[{"n":2}]'))

    assert len(read) == 3
    assert read[1].key == read[2].key


# Recordings


def keys(numbers: Sequence[int]) -> list[bytes]:
    return [b"%d" % number for number in numbers]


def seen_at(numbers: Sequence[int], moments: Sequence[float], authors: str = "") -> list[Seen]:
    return [
        Seen(key, at_ms, str(number), authors[place % len(authors)] if authors else "")
        for place, (number, key, at_ms) in enumerate(
            zip(numbers, keys(numbers), moments, strict=True)
        )
    ]


def made_at(number: int) -> float:
    return (number + 1) * PACE_MS


def reading(
    numbers: Sequence[int],
    *,
    opened_ms: float = 0.0,
    ending: Ending = "said",
    label: str = "done",
    name: str = "",
    authors: str = "",
    **more: Any,
) -> Recording:
    """A reader of work that makes an event each 20 ms: the past at once, then as it comes."""
    moments = [max(made_at(number), opened_ms + 5) for number in numbers]
    last_ms = max([*moments, opened_ms])
    return Recording(
        name,
        opened_ms=opened_ms,
        ended_ms=last_ms + 1,
        status=200,
        events=seen_at(numbers, moments, authors),
        place=Place(str(numbers[-1]), len(numbers)) if numbers else None,
        ending=ending,
        end_label=label if ending in ("said", "refused", "broken") else "",
        **more,
    )


def anew(numbers: Sequence[int], *, opened_ms: float) -> Recording:
    """A reader for whom the work is made once more."""
    made = reading(numbers, opened_ms=opened_ms)
    made.events = seen_at(numbers, [opened_ms + made_at(number) for number in numbers])
    made.ended_ms = opened_ms + made_at(len(numbers))
    return made


def given_up(numbers: Sequence[int], *, opened_ms: float) -> Recording:
    """A reader that waited, long after the others had seen the end."""
    made = reading(numbers, opened_ms=opened_ms, ending="waiting")
    made.ended_ms = made_at(WHOLE) + 5_000
    return made


def whole(**changes: Any) -> Observed:
    """What is seen of a stream that has every capability, but for ``changes`` of its readers."""
    everything = range(WHOLE)
    readers = {
        "uncut": reading(everything, authors="ab", signs_of_life=1),
        "second": reading(everything, opened_ms=100),
        "slow": reading(everything, opened_ms=100),
        "torn": reading(range(20), opened_ms=100, ending="cut"),
        "resumed": reading(range(20, WHOLE), opened_ms=410),
        "late": reading(everything, opened_ms=420),
        "after": After(
            reading(everything, opened_ms=1_400),
            reading([], opened_ms=1_400, name="back after the end"),
        ),
    }
    seen = Observed(transport="SSE", way="Last-Event-ID", is_fresh=True)
    seen.stated = frozenset({"start", "cancel", "workers"})
    seen.workers = 2
    seen.alone = Alone(
        reading(range(20), ending="cut"),
        changes.pop("later", reading(everything, opened_ms=800)),
        400.0,
    )
    seen.stopped = changes.pop("stopped", cancelled())
    for name in ("way", "is_fresh", "workers"):
        if name in changes:
            setattr(seen, name, changes.pop(name))
    seen.together = Together(**(readers | changes))
    return seen


def cancelled(**changes: Any) -> Stopped:
    """A cancel that ends the work, and is told to whoever comes."""
    stop = {"label": "cancelled", "says_stop": True}
    parts: dict[str, Any] = {
        "watching": reading(range(21), **stop),
        "asked_ms": 405.0,
        "status": 200,
        "events_before": 20,
        "after": After(reading(range(21), opened_ms=600, **stop)),
    }
    return Stopped(**(parts | changes))


def test_a_whole_stream_has_every_capability() -> None:
    made = findings(whole())

    assert [one.capability for one in made] == list(CAPABILITIES)
    assert {one.verdict for one in made} == {"holds"}, made
    assert modes_of(made) == []
    assert migration(made, transport="SSE") == []


NOTHING = reading([], opened_ms=420, ending="waiting")
FAULTS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "a repeat": (
        {"resumed": reading(range(17, WHOLE), opened_ms=410)},
        "resume",
        "single-connection trap",
        "it went back: 3 events came twice",
    ),
    "a new start": (
        {"resumed": reading(range(WHOLE), opened_ms=410)},
        "resume",
        "single-connection trap",
        "all began again: 20 events came twice",
    ),
    "a gap": (
        {"resumed": reading(range(25, WHOLE), opened_ms=410)},
        "resume",
        "single-connection trap",
        "5 events were lost",
    ),
    "a hole": (
        {"resumed": reading([*range(20, 30), *range(31, WHOLE)], opened_ms=410)},
        "resume",
        "single-connection trap",
        "29 events differ from what others saw",
    ),
    "a lost tail": (
        {"resumed": given_up(range(20, 40), opened_ms=410)},
        "resume",
        "single-connection trap",
        "20 followed, and 20 never came",
    ),
    "no way": (
        {"way": "", "resumed": reading(range(WHOLE), opened_ms=410)},
        "resume",
        "single-connection trap",
        "nothing says how to resume ([resume] may say how): 20 events came twice",
    ),
    "one reader only": (
        {"second": reading([], ending="refused", label="status 409")},
        "devices",
        "single-connection trap",
        "the second got status 409",
    ),
    "work of its own": (
        {"second": reading(range(100, 160), opened_ms=100)},
        "devices",
        "single-connection trap",
        "shares no event with the first",
    ),
    "no history": (
        {"late": reading(range(21, WHOLE), opened_ms=420)},
        "late",
        "single-connection trap",
        "came at event 21; 21 of 21 past events never came",
    ),
    "work anew": (
        {"late": anew(range(WHOLE), opened_ms=420)},
        "late",
        "single-connection trap",
        "work begin anew",
    ),
    "an abort": (
        {"later": reading(range(21), opened_ms=800, label="aborted", says_stop=True)},
        "disconnect",
        "resume-cancel conflict",
        "the work had ended after 1 more: `aborted`",
    ),
    "a stand-still": (
        {"later": reading(range(20), opened_ms=800, ending="waiting")},
        "disconnect",
        "resume-cancel conflict",
        "nothing more came",
    ),
    "an early end": (
        {"later": reading(range(22), opened_ms=800)},
        "disconnect",
        "resume-cancel conflict",
        "the work had ended after 2 more: `done`",
    ),
    "gone": (
        {"later": reading([], opened_ms=800, ending="refused", label="status 404")},
        "disconnect",
        "resume-cancel conflict",
        "who came back got status 404",
    ),
    "a refused cancel": (
        {"stopped": cancelled(status=405, after=None)},
        "cancel",
        "resume-cancel conflict",
        "the request got status 405",
    ),
    "a cancel that nothing heeds": (
        {"stopped": cancelled(watching=reading(range(60), ending="waiting"), after=None)},
        "cancel",
        "resume-cancel conflict",
        "40 more events came, and no end",
    ),
    "a cancel without a word": (
        {"stopped": cancelled(watching=reading(range(21)))},
        "cancel",
        "resume-cancel conflict",
        "`done`: no word of a cancel",
    ),
    "a cancel that is forgotten": (
        {"stopped": cancelled(after=After(reading([], ending="refused", label="status 404")))},
        "apart",
        "resume-cancel conflict",
        "after the cancel a reader got 0 events and status 404",
    ),
    "an endless wait": (
        {"after": After(reading(range(WHOLE), opened_ms=1_400, ending="waiting"))},
        "end",
        "lost end",
        "a new reader got 60 events and waited in vain",
    ),
    "an empty answer": (
        {"after": After(reading([], opened_ms=1_400, ending="closed"))},
        "end",
        "lost end",
        "an empty answer with status 200",
    ),
    "an end that is a closed connection": (
        {
            "uncut": reading(range(WHOLE), authors="ab", ending="closed"),
            "after": After(reading(range(WHOLE), opened_ms=1_400, ending="closed")),
        },
        "end",
        "lost end",
        "only a closed connection tells the end",
    ),
    "a restart": (
        {"after": After(anew(range(WHOLE), opened_ms=1_400))},
        "end",
        "single-connection trap",
        "the work begins anew",
    ),
    "one who speaks for all": (
        {"uncut": reading(range(WHOLE), authors="o")},
        "workers",
        "orchestrator relay",
        "1 author of 2: o speaks for all",
    ),
    "a slow reader dropped": (
        {"slow": reading(range(30), opened_ms=100, ending="broken", label="reset")},
        "slow",
        "single-connection trap",
        "its connection was lost: reset",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_where_it_is_and_named(fault: str) -> None:
    changes, capability, mode, words = FAULTS[fault]

    made = {one.capability: one for one in findings(whole(**changes))}

    assert (made[capability].verdict, made[capability].mode) == ("fails", mode), made[capability]
    assert words in made[capability].seen


def test_bursts_of_parallel_workers_are_a_relay() -> None:
    moments = [600.0 + number for number in range(30)] + [1_200.0 + n for n in range(30)]
    relayed = reading(range(WHOLE))
    relayed.events = [
        seen._replace(author="ab"[place >= 30])
        for place, seen in enumerate(seen_at(range(WHOLE), moments))
    ]

    [finding] = [one for one in findings(whole(uncut=relayed)) if one.capability == "workers"]

    assert finding.mode == "orchestrator relay"
    assert "a's 30, b's 30 came in one burst each" in finding.seen


def test_one_worker_after_the_other_proves_nothing() -> None:
    uncut = reading(range(WHOLE))
    uncut.events = [
        seen._replace(author="ab"[place >= 30]) for place, seen in enumerate(uncut.events)
    ]

    [finding] = [one for one in findings(whole(uncut=uncut)) if one.capability == "workers"]

    assert finding.verdict == "unclear"


def test_a_snapshot_stands_for_the_past() -> None:
    late = reading([999, *range(20, WHOLE)], opened_ms=420)

    [finding] = [one for one in findings(whole(late=late)) if one.capability == "late"]

    assert finding.verdict == "holds"
    assert "a snapshot, then 40 live" in finding.seen


def test_nothing_is_concluded_from_what_was_not_tried() -> None:
    made = findings(Observed())

    assert {one.verdict for one in made} == {"not tried"}
    assert modes_of(made) == []


def idle(number: int, *, opened_ms: float = 0.0, ending: Ending = "waiting") -> Recording:
    """A reader of an open log in which nothing happens: the past at once, then silence."""
    made = reading(range(number), opened_ms=opened_ms, ending=ending)
    made.events = seen_at(range(number), [opened_ms + 5] * number)
    made.ended_ms = opened_ms + 5_000
    return made


@pytest.mark.parametrize("came_later", [0, 3, 5])
def test_silence_proves_nothing_where_nothing_was_under_way(came_later: int) -> None:
    unheeded = cancelled(watching=idle(3), events_before=3, after=None)
    seen = whole(
        uncut=idle(3),
        second=idle(3, opened_ms=100),
        slow=idle(3, opened_ms=100),
        torn=idle(3, opened_ms=100, ending="cut"),
        resumed=idle(0, opened_ms=5_100),
        late=idle(3, opened_ms=5_100),
        after=None,
        stopped=unheeded,
        is_fresh=False,
    )
    seen.alone = Alone(idle(3, ending="cut"), idle(came_later, opened_ms=8_000), 3_000.0)

    made = {one.capability: one for one in findings(seen)}

    under_way = "nothing was under way before the reader left; audit while work runs"
    assert modes_of(list(made.values())) == [], made
    for name in ("disconnect", "apart"):
        assert (made[name].verdict, made[name].seen) == ("unclear", under_way)
    assert made["cancel"].verdict == "unclear"
    assert made["late"].seen == "came at event 3; the past came in 5 ms, and nothing came live"


def test_silence_before_the_reader_left_excuses_no_stop_and_no_closed_door() -> None:
    for later, told in (
        (reading([], opened_ms=800, ending="refused", label="status 404"), "status 404"),
        (reading(range(4), opened_ms=800, label="aborted", says_stop=True), "`aborted`"),
    ):
        seen = whole()
        seen.alone = Alone(idle(3, ending="cut"), later, 300.0)

        [left] = [one for one in findings(seen) if one.capability == "disconnect"]

        assert left.mode == "resume-cancel conflict"
        assert told in left.seen


def test_a_past_that_is_stalled_is_not_made_anew() -> None:
    uncut = reading(range(WHOLE))
    stalled = reading(range(WHOLE), opened_ms=1_400)
    stalled.events = seen_at(
        range(WHOLE), [1_401.0 if number < 10 else 3_400.0 for number in range(WHOLE)]
    )

    assert not is_anew(uncut, stalled)
    assert is_anew(uncut, anew(range(WHOLE), opened_ms=1_400))


def test_a_past_that_trickles_in_is_not_made_anew_if_what_is_live_comes_at_once() -> None:
    opened_ms, past = made_at(30) + 1.0, 31
    uncut = reading(range(WHOLE))
    slow = anew(range(WHOLE), opened_ms=opened_ms)
    times = [opened_ms + made_at(number) * 0.8 for number in range(past)]
    live = [max(made_at(number), times[-1]) + 1.0 for number in range(past, WHOLE)]
    slow.events = seen_at(range(WHOLE), times + live)

    assert not is_anew(uncut, slow)
    assert is_anew(uncut, anew(range(WHOLE), opened_ms=opened_ms))


def test_sequences_match_at_the_place_that_is_expected() -> None:
    same = keys([0, 1, 1, 1, 2])

    assert match(same, keys([1, 1, 2]), 2) == (2, 3)
    assert match(same, keys([1]), 3) == (3, 1)
    assert match(same, keys([7]), 0) is None
    assert match(same, [], 0) is None


def test_what_is_still_on_its_way_is_not_missed() -> None:
    uncut = reading(range(WHOLE), ending="full")
    behind = reading(range(WHOLE - 3), ending="waiting")
    found = match(uncut.keys, behind.keys)
    assert found is not None

    assert missed(uncut, behind, found) == 0


# Steps


def test_steps_come_in_order_and_only_where_they_are_asked_for() -> None:
    found = [
        trapped("resume", "", "position_ignored"),
        ending_lost("end", "", "end_forgotten"),
        Finding("workers", "fails", "", "orchestrator relay", "relayed"),
        holds("late", ""),
    ]

    steps = migration(found, transport="WebSocket")

    assert [step.title for step in steps] == [
        "Resume behind the reader's last offset",
        "Make the end a fact of the log",
        "Let the workers write themselves",
    ]
    assert "of the socket's address" in steps[0].server
    assert "{" not in steps[0].server
    assert steps[0].rows == ("cut and resume",)


def test_a_cancel_that_works_is_not_asked_for_again() -> None:
    left = conflicting("disconnect", "", "dies")

    with_cancel = migration([left, holds("cancel", "")], transport="SSE")
    without = migration([left], transport="SSE", stated=frozenset({"start"}))

    assert [step.title for step in with_cancel] == ["Give the work a life of its own"]
    assert with_cancel[0].check == "name the request that starts the work in [start]"
    assert "Make a cancel a request of its own" in [step.title for step in without]
    assert [step.check for step in without] == ["", "name the request in [cancel]", ""]


def test_the_mode_with_most_findings_comes_first() -> None:
    found = [
        ending_lost("end", "", "end_unsaid"),
        trapped("late", "", "past_lost"),
        trapped("resume", "", "past_lost"),
    ]

    assert modes_of(found) == ["single-connection trap", "lost end"]
    assert set(modes_of(found)) <= MODES.keys()


# Probe files

MANUAL = Path(__file__).parents[2] / "docs" / "session_audit.md"


def test_every_key_of_a_probe_file_is_in_the_manual() -> None:
    text = MANUAL.read_text("utf-8")
    parts = msgspec.json.schema(Probe)["$defs"]
    tables = {
        name: parts[f"{name.capitalize()}Part"]["properties"]
        for name in parts["Probe"]["properties"]
        if name not in ("probe", "end")
    }

    missing = [
        f"{table}.{key}"
        for table, keys_of_it in tables.items()
        for key in keys_of_it
        if f"`{table}.{key}`" not in text
    ]

    assert missing == []
    assert all(name in text for name in (*CAPABILITIES.values(), *MODES))


def test_every_probe_file_in_the_manual_can_be_read() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", MANUAL.read_text("utf-8"), re.DOTALL)

    probes = [msgspec.convert(tomllib.loads(block), Probe, strict=True) for block in blocks]

    environ = {"API_TOKEN": "1", "TOKEN": "2", "SESSION": "3"}
    assert len(probes) == 4
    for probe in probes:
        assert list(troubles(probe, "https://api.example/", environ)) == []


def test_variables_and_places_are_filled_in_once() -> None:
    blanks = Blanks({"TOKEN": "${OTHER} {id}"}, {"id": "7"})

    assert blanks.tree({"a": ["Bearer ${TOKEN}", "{id}", "{other}", 3]}) == {
        "a": ["Bearer ${OTHER} {id}", "7", "{other}", 3]
    }
    assert set(variables_in({"a": ["${ONE}"], "b": "${TWO} {three}"})) == {"ONE", "TWO"}
    assert list(places_in("/runs/{id}?${ONE}")) == ["id"]


def test_secrets_are_covered_the_longer_first() -> None:
    secrets = Secrets(iter(["abcd", "abcdef", "x"]))

    assert secrets.hidden("abcdef abcd x") == "[secret] [secret] x"


def test_what_contradicts_itself_is_a_trouble() -> None:
    probe = known(
        stream={"headers": {"Authorization": "${NOT_SET}"}},
        resume={"query": "after", "header": "Last-Event-ID", "message": "x"},
        end={"is": True},
        cancel={"url": "/runs/{id}/cancel", "shows": {}},
    )

    found = [(one.path, one.detail) for one in troubles(probe, "http://a:b@host/{run}", {})]

    assert found == [
        ((), "the URL carries a password, which would be printed"),
        (("stream",), "the environment has no NOT_SET"),
        ((), "nothing says what {run} is"),
        (("cancel", "url"), "nothing says what {id} is"),
        (("resume",), "a reader resumes in one way"),
        (("resume", "message"), "resume.message has no {position} in it"),
        (("end",), "end marks nothing"),
        (("end",), "end.is is said of no member"),
        (("cancel", "shows"), "cancel.shows marks nothing"),
    ]


MISTAKES = [
    ("[resume]|headr = 'X'", "3: resume.headr is not known here (did you mean 'header'?)"),
    ("[limits]||cut_after = 0", "4: limits.cut_after: expected `int` >= 1"),
    ("[stream]|transport = 'ssee'", "3: stream.transport cannot be 'ssee' (did you mean 'sse'?)"),
    ("[cancel|x = 1", "2: not TOML"),
    ("[cancel]|method = 'POST'", "2: cancel.url is missing"),
    ("|[stream]|headers = { A = '${NOT_SET}' }", "3: the environment has no NOT_SET"),
    ("[cancel]|url = '/{run}'", "3: nothing says what {run} is"),
    ("[resume]|take = 'a b'", "3: resume.take must be the way to a member of JSON"),
]


@pytest.mark.parametrize(("lines", "said"), MISTAKES)
def test_a_mistake_in_a_probe_file_is_named_by_its_line(
    market: Market, lines: str, said: str
) -> None:
    Path("it.toml").write_text("\n".join(["probe = 1", *lines.split("|")]))

    told = market("session", "audit", "http://127.0.0.1:1/", "--probe", "it.toml")

    assert told.exit_code == 2
    assert told.out == ""
    assert told.err.startswith(f"market: it.toml:{said}")


def test_a_missing_probe_file_is_an_error_for_machines_too(market: Market) -> None:
    told = market("session", "audit", "http://127.0.0.1:1/", "--probe", "no.toml", "--json")

    assert told.exit_code == 2
    error = json.loads(told.err)["error"]
    assert (error["code"], error["where"]) == ("bad_probe", "no.toml")


def test_only_addresses_of_streams_are_audited(market: Market) -> None:
    told = market("session", "audit", "ftp://host/")

    assert told.exit_code == 2
    assert "is not an http(s):// or ws(s):// address" in told.err
