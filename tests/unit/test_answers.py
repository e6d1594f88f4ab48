"""Every answer is as declared, in its docstring and in the manual; also the answer to nothing."""

import re
from pathlib import Path

import pytest

from market import analytics
from market.analytics import ANSWERS
from market.analytics.typenames import type_text
from tests.planted import planted

MANUAL = Path(__file__).parents[2] / "docs" / "analytics.md"
OF_FACTS = sorted(set(ANSWERS) - {"compare", "ring_accuracy", "truth"})


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_an_answer_names_every_column_and_type_in_its_docstring(name: str):
    doc = getattr(analytics, name).__doc__

    assert f"{ANSWERS[name].grain}, sorted by {', '.join(ANSWERS[name].key)}." in doc
    for column, (dtype, meaning) in ANSWERS[name].columns.items():
        assert re.search(rf"\n +{column} +{re.escape(type_text(dtype))}: ", doc), column
        assert meaning


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_the_manual_has_the_table_of_every_answer(name: str):
    answer = ANSWERS[name]
    rows = [
        f"| `{column}` | {type_text(dtype)} | {meaning} |"
        for column, (dtype, meaning) in answer.columns.items()
    ]
    keys = ", ".join(f"`{key}`" for key in answer.key)
    section = [f"{answer.grain}, sorted by {keys}.", "", "| column | type | meaning |"]

    manual = MANUAL.read_text("utf-8")

    assert f"### {name}\n" in manual
    assert "\n".join([*section, "| --- | --- | --- |", *rows, ""]) in manual


@pytest.mark.parametrize("name", OF_FACTS)
def test_of_an_empty_market_every_answer_is_empty_and_has_its_columns(name: str):
    found = getattr(analytics, name)(planted())

    assert found.schema == ANSWERS[name].schema
    assert found.is_empty()
