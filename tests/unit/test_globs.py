"""Patterns of paths: one segment, any number of segments, and a star that means itself."""

import time

import pytest

from market.rawstreams import matches
from market.rawstreams.globs import fixed_part


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("events/a", "events/a"),
        ("events/*", "events/a"),
        ("*/a", "events/a"),
        ("**", "a"),
        ("**", "a/b/c"),
        ("events/**", "events"),
        ("events/**", "events/a/b"),
        ("**/a", "a"),
        ("**/a", "b/c/a"),
        ("a/**/b/**/c", "a/b/x/b/c"),
        ("a/**/b", "a/b/b"),
        ("%2A", "*"),
        ("a%2ab", "a*b"),
        ("/events/*/", "events/a"),
    ],
)
def test_a_path_is_of_its_pattern(pattern: str, path: str):
    assert matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("events/*", "events"),
        ("events/*", "events/a/b"),
        ("events/*", "other/a"),
        ("events", "events/a"),
        ("ev*", "events"),
        ("**/a", "a/b"),
        ("a/**/b/**/c", "a/c/b"),
        ("*", ""),
        ("Events/*", "events/a"),
        ("%2A", "a"),
    ],
)
def test_another_path_is_not(pattern: str, path: str):
    assert not matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "fixed"),
    [("a/b/*", "a/b"), ("**", ""), ("a/b", "a/b"), ("a/*/b", "a"), ("%2A/x/**", "*/x")],
)
def test_the_fixed_part_stands_before_the_first_wildcard(pattern: str, fixed: str):
    assert fixed_part(pattern) == fixed


def test_a_hostile_pattern_costs_little():
    began = time.perf_counter()

    assert not matches("**/a/" * 100 + "b", "a/" * 255 + "c")

    assert time.perf_counter() - began < 0.5
