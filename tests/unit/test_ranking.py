"""How search reads words and ranks: pure."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from market.catalog.ranking import (
    MAX_WORDS,
    WEIGHTS,
    asked_words,
    index_words,
    match_texts,
    rank,
    words_of,
)
from market.protocol.manifest import check_manifest


def service(service_id: str, seller_id: str = "one", **changes: Any) -> Any:
    row = {
        "id": service_id,
        "seller_id": seller_id,
        "price_per": "call",
        "unit": None,
        "amount_minor": 100,
        "named_words": "pdf tables",
        "summary_words": "extract rows",
        "prose_words": "scanned",
    }
    return SimpleNamespace(**row | changes)


def ranked(*rows: Any, words: str = "", **trust: float) -> list[Any]:
    everyone = {row.seller_id: 0.5 for row in rows} | trust
    return rank(rows, words=asked_words(words), trust=everyone)


def test_words_lose_case_accents_and_signs():
    assert words_of("Straße, Café-ÉTÉ_x ½ ﬁne") == [
        "strasse", "cafe", "ete", "x", "1", "2", "fine"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "stems"),
    [
        ("Extract tables from the PDFs", ["extract", "table", "pdf"]),
        ("currencies currency", ["currenc"]),
        ("boxes classes status", ["box", "class", "status"]),
        ("to the", ["to", "the"]),
        ("", []),
        ("!!! -- *", []),
    ],
)
def test_a_query_is_read_as_stems(query: str, stems: list[str]):
    assert asked_words(query) == stems


def test_a_query_has_at_most_sixteen_words():
    words = asked_words(" ".join(f"word{number}x" for number in range(40)))

    assert len(words) == MAX_WORDS


def test_a_query_cannot_speak_the_databases_language():
    words = asked_words("pdf\" OR named_words:* NEAR(a b) 'x' | !y & z:*")

    assert match_texts("sqlite", words=words[:2], tag="a-b") == [
        '"pdf"* AND "named"* AND named_words : "a" AND named_words : "b"',
        '("pdf"* OR "named"*) AND named_words : "a" AND named_words : "b"',
    ]
    assert match_texts("postgresql", words=words[:1], tag=None) == ["'pdf':*"]
    assert all(word.isalnum() for word in words)


def test_the_score_is_the_weighted_sum_of_its_parts():
    cheap = service("svc_a", amount_minor=100)
    dear = service("svc_b", "two", amount_minor=400)

    first, second = ranked(dear, cheap, words="pdf row scan missing", one=0.9, two=0.1)

    assert first.parts == {"text": (1 + 0.7 + 0.2) / 4, "trust": 0.9, "price": 1.0}
    assert second.parts == {"text": (1 + 0.7 + 0.2) / 4, "trust": 0.1, "price": 0.25}
    for found in (first, second):
        parts = sum(WEIGHTS[name] * part for name, part in found.parts.items())
        assert found.score == round(parts, 4)


def test_ties_go_by_id():
    rows = [service(f"svc_{letter}", letter) for letter in "cab"]

    assert [found.row.id for found in ranked(*rows)] == ["svc_a", "svc_b", "svc_c"]


def test_a_price_without_comparison_is_neither_good_nor_bad():
    lonely = service("svc_a", price_per="unit", unit="page", amount_minor=1)
    same_seller = service("svc_b", price_per="unit", unit="page", amount_minor=2)
    other = service("svc_c", "two")

    assert {found.parts["price"] for found in ranked(lonely, same_seller, other)} == {0.5}


def test_saying_a_word_more_often_gains_nothing():
    """S17: stuffing a text."""
    honest = service("svc_a")
    stuffed = service("svc_b", named_words="pdf tables pdfs pdfx pdfy", prose_words="pdf " * 300)

    first, second = ranked(honest, stuffed, words="pdf")

    assert first.parts == second.parts


def test_perfect_words_do_not_outrank_trust_and_price():
    """S17: prose never outweighs."""
    stuffed = service("svc_a", "stuffer", amount_minor=1_000)
    proven = service("svc_b", "proven", named_words="documents", amount_minor=100)

    best, _ = ranked(stuffed, proven, words="pdf rows", stuffer=0.1, proven=0.95)

    assert best.row.seller_id == "proven"


def test_scores_fall_as_prices_rise():
    rows = [service(f"svc_{price}", str(price), amount_minor=price) for price in (1, 2, 5, 50)]

    assert all(a.score > b.score for a, b in pairwise(ranked(*rows)))


def test_a_manifest_is_found_by_its_names_its_summary_and_its_prose():
    manifest = check_manifest(
        {
            "manifest": 1,
            "id": "acme-pdf",
            "summary": "Extract tables.",
            "description": "Reads scanned pages.",
            "tags": ["pdf", "ocr"],
            "price": {"per": "call", "amount": "1", "currency": "XTS"},
            "input": {"type": "object", "properties": {"pages": {}, "dpi": {}}},
            "output": {"type": "object", "properties": {"rows": {}}},
        }
    )

    assert index_words(manifest) == (
        "acme pdf ocr", "extract tables", "reads scanned pages dpi rows"
    )  # fmt: skip
