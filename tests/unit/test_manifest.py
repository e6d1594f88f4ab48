"""Manifests: what may be published, and what it makes of a request."""

from typing import Any

import pytest

from market.protocol.manifest import (
    MAX_MANIFEST,
    BadManifest,
    check_manifest,
    manifest_digest,
    read_manifest,
)
from market.protocol.manifest import compile_schema as compile_
from market.protocol.misfits import explain

TOML = """
manifest = 1
id = "acme-pdf"
summary = "Extract tables from a PDF as JSON rows."
tags = ["pdf", "table"]
price = { per = "call", amount = "0.40", currency = "XTS" }
input = { type = "object", required = ["pages"], properties = { pages = { type = "array" } } }
output = { type = "object", required = ["rows"] }
limits = { p95_ms = 900, max_chunks = 50 }
policies = { refund = "before-first-chunk" }
examples = [{ in = { pages = ["1"] }, out = { rows = ["row of 1"] } }]
"""


def tree(**changes: Any) -> dict[str, Any]:
    """The smallest manifest that can be published, with changes."""
    return {
        "manifest": 1,
        "id": "acme-pdf",
        "summary": "Extract tables.",
        "tags": ["pdf"],
        "price": {"per": "call", "amount": "0.40", "currency": "XTS"},
        "input": {"type": "object", "properties": {"pages": {"type": "array"}}},
        "output": {"type": "object"},
        **changes,
    }


def per_unit(counts: str, of: str, size: int = 1) -> dict[str, Any]:
    return tree(
        price={"per": "unit", "amount": "0.001", "currency": "XTS"},
        measure={"unit": "piece", "counts": counts, "of": of, "size": size},
    )


def test_a_manifest_written_by_people_is_read_with_its_defaults():
    manifest = read_manifest(TOML)

    assert manifest.price_minor(1) == 400_000
    assert (manifest.version, manifest.limits.p95_ms, manifest.limits.concurrency) == ("1", 900, 8)
    assert manifest.examples[0].output == {"rows": ["row of 1"]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"manifest": 2}, "manifest"),
        ({"id": "Acme PDF"}, "id"),
        ({"id": "a\u0441me"}, "id"),
        ({"summary": "price \u202e reversed"}, "summary"),
        ({"summary": "zero\u200bwidth"}, "summary"),
        ({"summary": "tag\U000e0041"}, "summary"),
        ({"summary": "cafe\u0301"}, "summary"),
        ({"description": "cafe\u0301"}, "NFC"),
        ({"summary": ""}, "summary"),
        ({"description": "x" * 2_001}, "description"),
        ({"tags": []}, "tags"),
        ({"tags": ["pdf"] * 13}, "tags"),
        ({"version": "1.0-beta"}, "version"),
        ({"version": "1.2.3.4"}, "version"),
        ({"trust": 1.0}, "trust"),
        ({"price": {"per": "call", "amount": "0", "currency": "XTS"}}, "above zero"),
        ({"price": {"per": "call", "amount": "-1", "currency": "XTS"}}, "amount"),
        ({"price": {"per": "call", "amount": 0.4, "currency": "XTS"}}, "amount"),
        ({"price": {"per": "call", "amount": "0.0000001", "currency": "XTS"}}, "amount"),
        ({"price": {"per": "call", "amount": "1", "currency": "ZZZ"}}, "currency"),
        ({"price": {"per": "unit", "amount": "1", "currency": "XTS"}}, "measure"),
        ({"input": {"type": "no-such-type"}}, "input"),
        ({"output": {"$ref": "https://elsewhere.test/schema"}}, "output"),
        ({"output": {"properties": {"a": {"$ref": "other.json"}}}}, "output"),
        ({"examples": [{"in": {"pages": 1}, "out": {}}]}, "examples[0]"),
        ({"input": {"maximum": 2**53}}, "2^53"),
        ({"description": "nul \0"}, "NUL"),
        ({"input": {"description": "x" * MAX_MANIFEST}}, "longer than"),
    ],
)
def test_what_cannot_be_published_is_refused_by_name(changes: dict[str, Any], words: str):
    """S14: hidden letters and other spellings among it."""
    with pytest.raises(BadManifest, match=words.replace("[", r"\[").replace("^", r"\^")):
        check_manifest(tree(**changes))


def test_a_reference_inside_the_schema_is_followed():
    schema = {"$defs": {"page": {"type": "string"}}, "items": {"$ref": "#/$defs/page"}}

    checker = compile_(schema, "input")

    assert checker.is_valid(["1"])
    assert explain(checker, ["1", 2]).startswith("1: ")


@pytest.mark.parametrize(
    ("counts", "request_", "units"),
    [
        ("items", {"rows": [1, 2, 3]}, 3),
        ("items", {"rows": {"a": 1, "b": 2}}, 2),
        ("characters", {"rows": "four"}, 4),
        ("lines", {"rows": "one\ntwo\nthree"}, 3),
        ("lines", {"rows": "one\ntwo\n"}, 2),
        ("items", {"rows": []}, 1),
        ("items", {}, 1),
        ("items", {"rows": "text"}, 1),
        ("lines", {"rows": 7}, 1),
    ],
)
def test_work_is_measured_in_the_input_and_is_at_least_one_unit(
    counts: str, request_: dict[str, Any], units: int
):
    manifest = check_manifest(per_unit(counts, "rows"))

    assert manifest.units_of(request_) == units


@pytest.mark.parametrize(("lines", "units"), [(1, 1), (99, 1), (100, 1), (101, 2), (250, 3)])
def test_a_begun_step_is_a_whole_unit(lines: int, units: int):
    manifest = check_manifest(per_unit("lines", "csv", size=100))

    counted = manifest.units_of({"csv": "line\n" * lines})

    assert counted == units
    assert manifest.price_minor(counted) == 1_000 * units


def test_a_call_costs_the_same_for_any_number_of_units():
    assert check_manifest(tree()).price_minor(1_000) == 400_000


def test_the_digest_does_not_depend_on_the_order_of_members():
    one = tree()
    other = dict(reversed(one.items()))

    assert manifest_digest(one) == manifest_digest(other)
    assert manifest_digest(one) != manifest_digest(tree(version="2"))


def test_a_text_that_is_not_toml_is_refused():
    with pytest.raises(BadManifest, match="not TOML"):
        read_manifest("manifest = ")
