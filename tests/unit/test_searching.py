"""What a note can be found by."""

import pytest

from market.memory.searching import pattern_of, searchable


def test_key_names_texts_and_numbers_are_searched() -> None:
    value = {"Seller": "Acme", "prices": [1.5, {"minor": 400}], "ok": True, "none": None}

    assert searchable("Best PDF", value).splitlines() == [
        "best pdf", "seller", "acme", "prices", "1.5", "minor", "400", "ok", "none",
    ]  # fmt: skip


def test_case_is_folded_beyond_ascii() -> None:
    assert searchable("STRASSE ÉTÉ", {}) == searchable("straße été", {})


@pytest.mark.parametrize(
    ("text", "pattern"),
    [("Acme", "%acme%"), ("100%", r"%100\%%"), ("a_b", r"%a\_b%"), ("\\", r"%\\%"), ("", "%%")],
)
def test_signs_of_the_pattern_language_are_plain_text(text: str, pattern: str) -> None:
    assert pattern_of(text) == pattern
