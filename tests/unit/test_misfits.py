"""What is wrong with a value: where and which rule first, the value last and shortened."""

from typing import Any

import pytest

from market.protocol.manifest import compile_schema, load_manifest
from market.protocol.misfits import MAX_PLACE, MAX_RULE, MAX_VALUE, explain
from seller_services.samples import SAMPLES

ROW = {
    "type": "object",
    "required": ["value"],
    "additionalProperties": False,
    "properties": {
        "value": {"type": "string", "maxLength": 400},
        "kind": {"enum": ["a", "b"]},
        "note": {"anyOf": [{"type": "string"}, {"properties": {"text": {"type": "string"}}}]},
    },
}
ROWS = compile_schema({"properties": {"rows": {"items": ROW}}}, "output")
LONG = "x" * 1_000


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"kind": "a"}, 'rows/0: "value" is a required property; got {"kind":"a"}'),
        ({"value": 7}, 'rows/0/value: it is not of type "string"; got 7'),
        ({"value": "1", "kind": "c"}, 'rows/0/kind: it is not one of "a" or "b"; got "c"'),
        (
            {"value": "1", "note": {"text": 1}},
            'rows/0/note: fits none of 2 forms (anyOf): it is not of type "string",'
            ' or text: it is not of type "string"; got {"text":1}',
        ),
    ],
)
def test_a_line_says_where_which_rule_and_what_is_there(row: dict[str, Any], line: str) -> None:
    assert explain(ROWS, {"rows": [row]}) == line


def test_what_fits_is_not_explained() -> None:
    assert explain(ROWS, {"rows": [{"value": "1"}]}) == ""


def test_a_long_value_is_cut_and_hides_nothing_before_it() -> None:
    line = explain(ROWS, {"rows": [{"value": LONG}]})

    assert line.startswith('rows/0/value: it is longer than 400 characters; got "xxx')
    assert line.endswith("x…")


def test_what_a_sample_leaves_out_is_named_within_two_hundred_letters() -> None:
    output = load_manifest(SAMPLES["convert-units"].manifest).output
    rates = [{"unit": "mile", "as_of": "1959-07-01", "source": LONG}]

    line = explain(compile_schema(output, "output"), {"exact": True, "item": 0, "rates": rates})

    told = 'the whole: fits none of 2 forms (oneOf): "value" is a required property, or "problem"'
    assert line[:200].startswith(told)


@pytest.mark.parametrize(
    "value",
    [
        {LONG: 1},
        {"rows": [{"value": "1", LONG: LONG}]},
        {"rows": [{"value": "1", "kind": LONG}]},
    ],
)
def test_no_name_or_value_of_others_makes_it_long(value: dict[str, Any]) -> None:
    checker = compile_schema(
        {
            "properties": {"rows": {"items": ROW}},
            "additionalProperties": {"enum": [LONG + str(number) for number in range(9)]},
        },
        "output",
    )

    line = explain(checker, value)

    assert line
    assert len(line) <= MAX_PLACE + MAX_RULE + MAX_VALUE + len(": ; got ")
    assert "\n" not in line


def test_of_many_forms_three_are_told() -> None:
    forms = [{"required": [name]} for name in "abcde"]

    line = explain(compile_schema({"oneOf": forms}, "output"), {})

    assert line == (
        'the whole: fits none of 5 forms (oneOf): "a" is a required property, or "b" is a required'
        ' property, or "c" is a required…; got {}'
    )
