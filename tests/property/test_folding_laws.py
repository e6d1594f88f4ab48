"""Folding: a snapshot and then the tail come to the same as the whole log, wherever it is cut.

The laws hold for every reader, for any log that participants could write, and within the bounds.
"""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.protocol import keeping
from market.protocol.chain import BrokenChain, Entry
from market.protocol.events import GENESIS, KINDS, Event, Withheld
from market.protocol.folded import Folded
from market.protocol.folding import fold

FEW = settings(max_examples=150, deadline=None)

names = st.sampled_from(["a", "b", "c", ""])
words = st.one_of(names, st.just("x" * 600), st.none(), st.integers(0, 3))
numbers = st.one_of(st.integers(0, 5), st.none(), st.just("four"), st.booleans())
outputs = st.one_of(
    st.dictionaries(names, st.one_of(st.integers(), st.text(max_size=8)), max_size=3),
    st.just({"text": "long" * 400}),
)
TEXTS = [
    "run", "step", "title", "outcome", "detail", "agent_id", "device", "status", "reason", "text",
    "scope", "stage", "answer_by", "service_id", "slug", "seller_id", "currency", "digest",
    "receipt_id", "expires_at", "source_session_id",
]  # fmt: skip
COUNTS = [
    "attempt", "request_offset", "units", "amount_minor", "captured_minor", "fee_minor",
    "returned_minor", "refunded_minor", "source_offset",
]  # fmt: skip
bodies = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(TEXTS, words),
        **dict.fromkeys(COUNTS, numbers),
        "action": st.sampled_from(["pause", "resume", "cancel", "steer"]),
        "answer": st.sampled_from(["accepted", "refused", "consumed"]),
        "output": outputs,
        "more": outputs,
    },
)
acts = st.tuples(
    st.sampled_from([*sorted(KINDS), "session.forked"] + ["delivery.chunk", "run.step"] * 5),
    names,
    bodies,
)


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Any log: what it says is not checked here, as it is not when a client folds it."""
    opening = [("order.placed", "a", {"amount_minor": 4}), ("run.started", "a", {"run": "a"})]
    return [
        event(offset, kind, order_id or None, body)
        for offset, (kind, order_id, body) in enumerate(
            [*opening, *draw(st.lists(acts, max_size=40))]
        )
    ]


def event(offset: int, kind: str, order_id: str | None, body: dict[str, Any]) -> Event:
    return Event(
        id=f"ses:{offset}",
        session_id="ses",
        offset=offset,
        kind=kind,
        stage=None,
        actor_id="agent",
        order_id=order_id,
        audience="owner",
        recorded_at="2026-11-22T12:00:00Z",
        body=body,
        prev_hash=GENESIS if offset == 0 else f"{offset - 1}",
        hash=f"{offset}",
    )


def seen_by_seller(log: list[Event]) -> list[Entry]:
    """The log as the seller of order ``a`` gets it."""
    return [
        one
        if one.order_id == "a" and KINDS.get(one.kind, KINDS["note.written"]).audience == "order"
        else Withheld(offset=one.offset, withheld=True, hash=one.hash)
        for one in log
    ]


def folded(entries: list[Entry], start: Folded | None = None) -> Folded:
    found = start or Folded()
    for entry in entries:
        fold(found, entry)
    return found


def sent(snapshot: Folded) -> Folded:
    """The snapshot as it arrives at a client."""
    return msgspec.json.decode(msgspec.json.encode(snapshot), type=Folded)


@FEW
@given(log=logs(), place=st.integers(0, 42), is_seller=st.booleans())
def test_a_snapshot_and_then_the_tail_come_to_what_the_whole_log_does(
    log: list[Event], place: int, is_seller: bool
):
    entries: list[Entry] = seen_by_seller(log) if is_seller else [*log]

    late = folded(entries[place:], sent(folded(entries[:place])))

    assert late == folded(entries)


@FEW
@given(log=logs())
def test_the_laws_hold_also_where_not_all_fits(log: list[Event]):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keeping, "MAX_HELD_BYTES", 1_500)
        patch.setattr(keeping, "MAX_ITEMS", 2)
        for place in range(0, len(log), 5):
            late = folded([*log[place:]], sent(folded([*log[:place]])))

            assert late == folded([*log])
            assert late.held_bytes <= 1_500
            held = [*late.orders.values(), *late.runs.values()]
            assert late.held_bytes == sum(one.held_bytes for one in held)
            sorts = (
                late.orders, late.runs, late.controls, late.approvals, late.presence,
                late.decisions,
            )  # fmt: skip
            assert max(map(len, sorts)) <= 2


@FEW
@given(log=logs())
def test_what_is_withheld_leaves_nothing_but_its_place(log: list[Event]):
    stubs: list[Entry] = [Withheld(offset=one.offset, withheld=True, hash=one.hash) for one in log]

    nothing = folded(stubs)

    assert nothing == Folded(next_offset=len(log), head_hash=log[-1].hash)


def test_an_entry_out_of_its_place_is_refused():
    with pytest.raises(BrokenChain) as broken:
        fold(Folded(), event(1, "note.written", None, {}))

    assert broken.value.offset == 0
