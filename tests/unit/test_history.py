from typing import Any

from market.protocol.events import GENESIS, Event, Withheld
from seller_services.history import History

ORDER = "ord_1"


def log(*steps: tuple[str, dict[str, Any]], order_id: str | None = ORDER) -> list[Event]:
    return [
        Event(
            id=f"ses_1:{offset}",
            session_id="ses_1",
            offset=offset,
            kind=kind,
            stage=None,
            actor_id="market",
            order_id=order_id,
            audience="order",
            recorded_at="2026-11-22T12:00:00.000000Z",
            body=body,
            prev_hash=GENESIS,
            hash=GENESIS,
        )
        for offset, (kind, body) in enumerate(steps)
    ]


def chunk(number: int) -> tuple[str, dict[str, Any]]:
    return "delivery.chunk", {"index": number, "digest": f"digest {number}"}


def steer(text: str) -> tuple[str, dict[str, Any]]:
    return "control.requested", {"action": "steer", "text": text}


def answered(offset: int, answer: str, action: str = "steer") -> tuple[str, dict[str, Any]]:
    return "control.answered", {"action": action, "answer": answer, "request_offset": offset}


def read(*steps: tuple[str, dict[str, Any]]) -> History:
    history = History()
    history.read(log(*steps), ORDER)
    return history


def test_the_past_of_an_order_is_its_chunks_and_the_last_digest() -> None:
    history = read(("order.started", {}), chunk(0), chunk(1))

    assert (history.chunks, history.digest, history.last_offset) == (2, "digest 1", 2)
    assert not history.has_ended


def test_what_was_consumed_is_kept_at_the_chunk_before_which_it_was() -> None:
    history = read(chunk(0), steer("louder"), answered(1, "consumed"), chunk(1), steer("softer"))

    assert history.steered == {1: ["louder"]}
    assert history.waiting == {4: "softer"}


def test_what_came_too_late_or_was_refused_is_dropped() -> None:
    history = read(steer("a"), steer("b"), answered(0, "too_late"), answered(1, "refused"))

    assert history.steered == {}
    assert history.waiting == {}


def test_a_pause_holds_until_it_is_resumed() -> None:
    pause = answered(0, "accepted", "pause")

    assert read(pause).is_paused
    assert not read(pause, answered(1, "accepted", "resume")).is_paused
    assert not read(answered(0, "too_late", "pause")).is_paused


def test_an_order_ends_by_any_end() -> None:
    for kind in ("order.cancelled", "order.failed", "order.settled", "delivery.completed"):
        assert read((kind, {})).has_ended


def test_other_orders_and_withheld_events_only_move_the_offset() -> None:
    history = History()
    history.read(log(chunk(0), order_id="ord_2"), ORDER)
    history.read([Withheld(offset=1, withheld=True, hash=GENESIS)], ORDER)

    assert history == History(last_offset=1)


def test_what_is_said_to_a_run_of_a_sub_agent_is_not_said_to_the_order() -> None:
    of_run = {"run": "left"}
    asked = [(kind, body | of_run) for kind, body in [steer("faster"), answered(0, "consumed")]]
    paused = ("control.answered", answered(0, "accepted", "pause")[1] | of_run)

    history = read(*asked, paused)

    assert (history.waiting, history.steered, history.is_paused) == ({}, {}, False)
