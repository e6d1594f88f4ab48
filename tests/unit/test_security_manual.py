"""The page on security cannot rot: every threat has its row, and every test it names is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "security.md").read_text("utf-8")
THREATS = {"I": 16, "Z": 10, "M": 23, "L": 15, "S": 18, "T": 9, "C": 8, "D": 8, "X": 4}
"""How many threats each family has."""

EVERY_ROW = [
    f"{letter}{number}" for letter, most in THREATS.items() for number in range(1, most + 1)
]
PROMISES = [f"P{number}" for number in range(1, 9)]
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if re.match(r"\| [A-Z]\d+ \|", line)
]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


@cache
def defined_in(file: str) -> frozenset[str]:
    """The tests that a file defines."""
    tree = ast.parse((PROJECT / file).read_text("utf-8"))
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_every_threat_has_one_row():
    assert sorted(row[0] for row in ROWS) == sorted(EVERY_ROW)


def test_every_promise_says_what_keeps_it_and_what_shows_it():
    lines = re.findall(r"^\| (P\d) (.+) \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)

    assert [line[0] for line in lines] == PROMISES
    assert all(TEST.search(line[3]) for line in lines)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row_says_what_happens_and_names_its_tests(row: list[str]):
    _, attack, what_happens, tests = row

    assert len(attack.split()) >= 2
    assert len(what_happens.split()) >= 1
    assert TEST.search(tests) or what_happens.startswith("not built: ")
    assert TEST.sub("", tests).replace(",", "").strip() == "", "nothing but tests stands here"


def test_every_test_that_is_named_is_there():
    named = TEST.findall(PAGE)
    missing = [f"{file}::{name}" for file, name in named if name not in defined_in(file)]

    assert len(named) >= len(EVERY_ROW)
    assert missing == []


def test_every_link_leads_to_a_page():
    for page in re.findall(r"\]\(([\w./]+\.md)\)", PAGE):
        assert (PROJECT / "docs" / page).exists(), page
