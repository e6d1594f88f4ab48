"""The best assignment, against all that there are."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from market.analytics.assignment import best_assignment

PLACES = st.sampled_from("abcd")


def total(worth: list[dict[str, int]], places: tuple[str | None, ...] | list[str | None]) -> int:
    return sum(row[place] for row, place in zip(worth, places, strict=True) if place is not None)


@given(
    worth=st.lists(st.dictionaries(PLACES, st.integers(-3, 12)), max_size=6),
    capacities=st.dictionaries(PLACES, st.integers(0, 2)),
)
def test_no_other_assignment_is_worth_more(worth: list[dict[str, int]], capacities: dict[str, int]):
    found = best_assignment(worth, capacities)

    allowed = [
        one
        for one in itertools.product(*[[None, *row] for row in worth])
        if all(one.count(place) <= capacity for place, capacity in capacities.items())
    ]
    assert tuple(found) in allowed
    assert total(worth, found) == max(total(worth, one) for one in allowed)


def test_who_has_another_choice_makes_room():
    worth = [{"a": 10, "b": 9}, {"a": 8}]

    assert best_assignment(worth, {"a": 1}) == ["b", "a"]


def test_what_is_worth_nothing_is_left_alone():
    assert best_assignment([{"a": 0}, {"a": -1}, {}], {}) == [None, None, None]
