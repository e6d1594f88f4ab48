"""One page says every limit, and says what the code does."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from market.faces.http import limits

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return runpy.run_path(str(PROJECT / "docs" / "make_limits.py"))


def test_the_tables_are_what_the_code_says(made: dict[str, Any]):
    assert (PROJECT / "docs" / "limits.md").read_text("utf-8") == made["page"](), (
        "run `make reference`"
    )


def test_every_limit_of_the_http_face_is_in_a_table(made: dict[str, Any]):
    numbers = {
        f"market.faces.http.limits.{name}"
        for name, value in vars(limits).items()
        if name.isupper() and isinstance(value, int | float)
    }

    assert numbers <= set(made["names"]())
