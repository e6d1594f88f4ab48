"""Events out of entries: the fast way and the one by hand agree, whatever a body holds."""

import json
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from market.analytics.deciding import decisions
from market.analytics.schema import EVENTS
from market.analytics.unpacking import ENTRIES, unpacked
from market.protocol.canonical import canonical

MEMBERS = ("actor_id", "audience", "kind", "order_id", "stage")
KNOWN = {"audience": "owner", "stage": "using", "kind": "note.written", "order_id": None}
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
trees = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner),
    max_leaves=8,
)
bodies = st.dictionaries(
    st.sampled_from(["id", "kind", "offset", "order_id", "stage", "hash", 'x","id":"y']), trees
)
names = st.text("abcXYZ019_-.:", max_size=12)
rows = st.fixed_dictionaries(
    {
        "actor_id": names,
        "audience": st.sampled_from(["owner", "all"]),
        "kind": st.sampled_from(["note.written", "run.step"]),
        "order_id": st.none() | names,
        "stage": st.none() | st.just("trust_checking"),
        "body": bodies,
    }
)


def entry(row: dict[str, Any]) -> bytes:
    """One as ``market.sessions.writing`` makes it: the hash stands last."""
    members = {"id": "ses_1:5", "offset": 5, "prev_hash": "a-_", "recorded_at": "2026-01-01T00Z"}
    text = canonical({**row, **members, "session_id": "ses_1"})
    return text[:-1] + b',"hash":"h-_"}'


def events_of(*data: bytes) -> pl.DataFrame:
    entries = pl.DataFrame([("ses_1", 5, 7, one) for one in data], ENTRIES, orient="row")
    return unpacked(entries.lazy()).collect()


@settings(max_examples=200, deadline=None)
@given(some=st.lists(rows, min_size=1, max_size=4))
def test_every_member_is_what_it_was(some: list[dict[str, Any]]):
    found = events_of(*map(entry, some))

    assert found.schema == EVENTS.schema
    for row, event in zip(some, found.iter_rows(named=True), strict=True):
        assert {name: event[name] for name in MEMBERS} == {name: row[name] for name in MEMBERS}
        assert event["body"].encode() == canonical(row["body"])
        assert event["hash"] == "h-_"


def test_an_entry_of_another_form_is_decoded_by_itself():
    row = {**KNOWN, "actor_id": 'a "name"', "body": {"text": "é"}}
    spaced = json.dumps({"hash": "h", **row, "actor_id": "b"}).encode()

    found = events_of(entry({**row, "actor_id": "a"}), entry(row), spaced)

    assert found["actor_id"].to_list() == ["a", 'a "name"', "b"]
    assert found["hash"].to_list() == ["h-_", "h-_", "h"]
    assert [json.loads(body) for body in found["body"]] == [{"text": "é"}] * 3


def decided(*alternatives: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"stage": "finding", "outcome": "advance", "alternatives": list(alternatives), **more}
    row = {**KNOWN, "kind": "decision.made", "actor_id": "b", "body": body}
    services = pl.LazyFrame([("svc", "XTS")], {"service_id": pl.String, "currency": pl.String},
                            orient="row")  # fmt: skip
    return decisions(events_of(entry(row)).lazy(), services).collect().row(0, named=True)


def test_parts_of_scores_are_read_whatever_the_texts_around_them_look_like():
    parts = {"price": 1e-7, "speed": -2, 'a":{"b}': 1e21, "\\": 0.5}
    option = {"service_id": "svc", "slug": '"parts":{"x":1}', "amount_minor": 5, "score": 1,
              "parts": parts, "reason": None, "limit_minor": None}  # fmt: skip
    other = {**option, "service_id": "other", "parts": {}, "amount_minor": None}

    made = decided(other, option, detail='"parts":{"y":2}', service_id="svc")

    read = [{one["part"]: one["value"] for one in each["parts"]} for each in made["alternatives"]]
    assert read == [{}, parts]
    assert (made["amount_minor"], made["currency"]) == (5, "XTS")
    assert made["alternatives"][1]["slug"] == option["slug"]


def test_alternatives_without_parts_have_none():
    made = decided({"service_id": "svc", "slug": "a", "amount_minor": 1, "score": 0.5})

    assert [one["parts"] for one in made["alternatives"]] == [[]]


def test_a_decision_that_weighed_nothing_has_no_price():
    made = decided()

    assert (made["alternatives"], made["amount_minor"], made["currency"]) == ([], None, None)
