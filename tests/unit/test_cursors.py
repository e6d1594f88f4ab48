"""Cursors of a feed: short, and exact in every session, wherever a reader stopped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.faces.http.cursors import Cursors, Start, read_starts
from market.faces.http.problems import InvalidParameter

IDS = [f"ses_{number:026d}" for number in range(5)]

starts = st.lists(st.integers(-1, 2**53 - 1), min_size=5, max_size=5).map(
    lambda after: [Start(*one) for one in zip(IDS, after, strict=True)]
)
moves = st.lists(st.tuples(st.sampled_from(IDS), st.integers(0, 2**53 - 1), st.booleans()))


@given(asked=starts, made=st.lists(moves, max_size=4))
def test_a_reader_resumes_each_session_where_it_stopped(
    asked: list[Start], made: list[list[tuple[str, int, bool]]]
):
    expected = {start.session_id: start.after for start in asked}
    last = ""
    for moved in made:
        cursors = Cursors(asked)
        assert dict(cursors.resume(last)) == expected
        for session_id, offset, is_end in moved:
            if session_id not in expected:
                continue
            if is_end:
                del expected[session_id]
                last = cursors.closed(session_id, offset + 1).decode()
            else:
                expected[session_id] = offset
                last = cursors.moved(session_id, offset).decode()

    assert dict(Cursors(asked).resume(last)) == expected


def test_a_cursor_tells_only_of_sessions_that_moved():
    cursors = Cursors([Start(session_id, -1) for session_id in IDS])

    cursors.moved(IDS[3], 7)
    cursors.moved(IDS[0], 41)
    cursors.moved(IDS[3], 8)

    assert cursors.closed(IDS[1], 3) == b"3.8,0.41,1.2c"


@pytest.mark.parametrize("text", ["x", "0", "0.", ".1", "0.1,", "5.1", "0.-1", "0.1cc", "0.1 "])
def test_what_is_no_cursor_of_this_feed_is_refused(text: str):
    with pytest.raises(InvalidParameter):
        Cursors([Start(session_id, -1) for session_id in IDS]).resume(text)


def test_sessions_are_asked_for_with_or_without_an_offset():
    assert read_starts([IDS[0], f"{IDS[1]}:-1", f"{IDS[2]}:41"]) == [
        Start(IDS[0], -1),
        Start(IDS[1], -1),
        Start(IDS[2], 41),
    ]


@pytest.mark.parametrize("places", [["ses_1"], [f"{IDS[0]}:"], [f"{IDS[0]}:-2"], [IDS[0]] * 2])
def test_what_is_no_session_is_refused(places: list[str]):
    with pytest.raises(InvalidParameter):
        read_starts(places)
