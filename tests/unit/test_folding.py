"""Folding: what orders, runs, controls and presence come to."""

from typing import Any

import msgspec

from market.protocol.folded import Folded
from market.protocol.folding import fold
from market.protocol.keeping import MAX_HELD_BYTES
from tests.property.test_folding_laws import event


def log(*acts: tuple[str, dict[str, Any]], order_id: str | None = "ord") -> Folded:
    folded = Folded()
    for offset, (kind, body) in enumerate(acts):
        fold(folded, event(offset, kind, order_id, body))
    return folded


def chunk(output: dict[str, Any], units: int = 1) -> tuple[str, dict[str, Any]]:
    return "delivery.chunk", {"index": 0, "units": units, "output": output, "digest": "chained"}


PLACED = ("order.placed", {"slug": "acme-pdf", "amount_minor": 400, "currency": "XTS", "units": 4})


def test_a_finished_delivery_is_one_list_of_outputs_with_its_units_digest_and_money():
    order = log(
        PLACED,
        ("order.started", {}),
        *[chunk({"page": page}, units=2) for page in range(2)],
        ("delivery.completed", {"digest": "chained"}),
        ("order.settled", {"captured_minor": 400, "fee_minor": 8, "receipt_id": "rcp"}),
    ).orders["ord"]

    assert order.outputs == [{"page": 0}, {"page": 1}]
    assert (order.state, order.units_delivered, order.digest) == ("settled", 4, "chained")
    assert (order.captured_minor, order.fee_minor, order.receipt_id) == (400, 8, "rcp")
    assert (order.first_offset, order.last_offset) == (0, 5)


def test_an_output_too_long_to_be_carried_is_left_in_the_log():
    folded = log(PLACED, *[chunk({"text": "x" * 60_000})] * 10)

    order = folded.orders["ord"]
    assert order.outputs is None
    assert (order.chunks_delivered, order.units_delivered, order.last_offset) == (10, 10, 10)
    assert folded.held_bytes <= MAX_HELD_BYTES


def test_what_a_fold_keeps_of_an_endless_log_is_bounded():
    long = "ü" * 20_000
    folded = Folded()
    for offset in range(3_000):
        name = f"{offset}"
        body = {
            "run": name, "step": name, "title": long, "detail": long, "reason": long, "text": long,
            "agent_id": name, "device": name, "status": long, "output": {"text": long[:2_000]},
        }  # fmt: skip
        kinds = (
            "order.placed", "delivery.chunk", "approval.requested", "control.requested",
            "decision.made", "presence.joined", "run.started", "run.step",
        )  # fmt: skip
        order_id = f"ord_{offset - offset % 8}"
        body |= {"run": f"{offset - offset % 8}"}
        fold(folded, event(offset, kinds[offset % 8], order_id, body))

    assert len(msgspec.json.encode(folded)) < 2_000_000
    assert folded.left_out > 1_000


def test_a_retried_step_replaces_what_it_said_before_and_a_stale_attempt_does_not():
    def step(name: str, attempt: int, output: str) -> tuple[str, dict[str, Any]]:
        return "run.step", {"run": "r", "step": name, "attempt": attempt, "output": output}

    run = log(
        ("run.started", {"run": "r", "title": "Compare"}),
        step("read", 1, "half"),
        step("rank", 1, "ranked"),
        step("read", 2, "whole"),
        step("read", 1, "late"),
        ("run.ended", {"run": "r", "outcome": "done"}),
    ).runs["r"]

    assert (run.title, run.outcome) == ("Compare", "done")
    assert {name: step.output for name, step in run.steps.items()} == {
        "read": "whole",
        "rank": "ranked",
    }
    assert run.steps["read"].attempt == 2


def test_controls_are_open_until_they_are_answered():
    folded = log(
        PLACED,
        ("control.requested", {"action": "pause", "scope": "order"}),
        ("control.answered", {"action": "pause", "answer": "accepted", "request_offset": 1}),
        ("control.requested", {"action": "steer", "text": "in German"}),
    )

    assert folded.orders["ord"].is_paused
    assert [(one.action, one.answer) for one in folded.controls.values()] == [
        ("pause", "accepted"),
        ("steer", None),
    ]


def test_a_run_that_is_paused_does_not_pause_its_order():
    folded = log(
        ("order.placed", {}),
        ("control.requested", {"action": "pause", "scope": "run", "run": "left"}),
        ("control.answered", {"action": "pause", "run": "left", "answer": "accepted",
                              "request_offset": 1}),
    )  # fmt: skip

    assert not folded.orders["ord"].is_paused
    assert folded.controls[1].run == "left"


def test_nobody_waits_for_the_approval_of_an_order_that_was_cancelled():
    asked = ("approval.requested", {"amount_minor": 400, "expires_at": "soon"})
    folded = log(PLACED, asked, ("order.cancelled", {"reason": "too dear", "returned_minor": 400}))

    assert folded.orders["ord"].state == "cancelled"
    assert (folded.approvals["ord"].state, folded.approvals["ord"].reason) == (
        "cancelled",
        "too dear",
    )


def test_an_approval_waits_until_a_human_decides():
    asked = ("approval.requested", {"amount_minor": 400, "expires_at": "soon"})
    waiting = log(PLACED, asked)
    granted = log(PLACED, asked, ("approval.granted", {"reason": "fine"}))

    assert waiting.orders["ord"].state == "awaiting_approval"
    assert waiting.approvals["ord"].state == "waiting"
    assert granted.orders["ord"].state == "placed"
    assert granted.approvals["ord"].decided_by == "agent"


def test_only_who_is_there_is_present():
    def at(device: str, **more: str) -> dict[str, Any]:
        return {"agent_id": "buyer", "device": device, **more}

    folded = log(
        ("presence.joined", at("phone", status="idle")),
        ("presence.joined", at("laptop", status="idle")),
        ("presence.changed", at("laptop", status="thinking")),
        ("presence.left", at("phone", reason="lost")),
        order_id=None,
    )

    assert {place: one.status for place, one in folded.presence.items()} == {
        "buyer/laptop": "thinking"
    }


def test_a_worker_that_falls_silent_is_stalled_until_it_delivers_again():
    stalled = log(PLACED, ("order.stalled", {"fails_at": "soon"}))
    at_work = log(PLACED, ("order.stalled", {"fails_at": "soon"}), chunk({"page": 1}))

    assert stalled.orders["ord"].is_stalled
    assert not at_work.orders["ord"].is_stalled


def test_a_fork_leaves_what_waited_at_its_source_there():
    folded = log(
        PLACED,
        ("approval.requested", {"amount_minor": 400}),
        ("control.requested", {"action": "steer"}),
        ("presence.joined", {"agent_id": "buyer", "device": "phone"}),
        ("session.forked", {"source_session_id": "ses", "source_offset": 3, "source_hash": "3"}),
    )

    assert folded.forked_from is not None
    assert (folded.forked_from.session_id, folded.forked_from.offset) == ("ses", 3)
    assert (folded.controls, folded.approvals, folded.presence) == ({}, {}, {})
    assert folded.orders["ord"].session_id == "ses"
