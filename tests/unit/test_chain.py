from typing import Any

import msgspec
import pytest

from market.protocol.chain import BrokenChain, event_hash, link, read_entry, verify_chain
from market.protocol.events import GENESIS, Event, Withheld


def events(count: int, *, body: Any = None) -> list[Event]:
    made: list[Event] = []
    for offset in range(count):
        tree = {
            "id": f"ses_1:{offset}",
            "session_id": "ses_1",
            "offset": offset,
            "kind": "note.written",
            "stage": None,
            "actor_id": "market",
            "order_id": None,
            "audience": "owner",
            "recorded_at": "2026-11-22T12:00:00.000000Z",
            "body": body if body is not None else {"text": f"note {offset}"},
            "prev_hash": made[-1].hash if made else GENESIS,
        }
        made.append(Event(**tree, hash=event_hash(tree)))
    return made


def test_an_untouched_log_verifies_to_the_hash_of_its_last_event() -> None:
    log = events(3)

    assert verify_chain(log) == log[-1].hash


def test_an_empty_log_verifies_to_where_it_began() -> None:
    assert verify_chain([]) == GENESIS


def test_a_changed_body_is_found_at_its_offset() -> None:
    log = events(4)
    log[2] = msgspec.structs.replace(log[2], body={"text": "something else"})

    with pytest.raises(BrokenChain) as broken:
        verify_chain(log)

    assert broken.value.offset == 2


def test_a_changed_event_with_a_new_hash_is_found_at_the_next() -> None:
    log = events(4)
    tree = msgspec.to_builtins(msgspec.structs.replace(log[1], body={"text": "else"}))
    log[1] = read_entry(tree | {"hash": event_hash(tree)})  # type: ignore[call-overload]

    with pytest.raises(BrokenChain) as broken:
        verify_chain(log)

    assert broken.value.offset == 2


def test_a_missing_event_is_found_where_it_should_be() -> None:
    log = events(4)
    del log[1]

    with pytest.raises(BrokenChain) as broken:
        verify_chain(log)

    assert broken.value.offset == 1


def test_a_withheld_event_hides_its_body_and_keeps_the_chain() -> None:
    log: list[Event | Withheld] = [*events(3)]
    log[1] = read_entry({"offset": 1, "withheld": True, "hash": log[1].hash})

    assert verify_chain(log) == log[-1].hash


def test_a_forged_stub_is_found_at_the_event_behind_it() -> None:
    log: list[Event | Withheld] = [*events(3)]
    log[1] = read_entry({"offset": 1, "withheld": True, "hash": GENESIS})

    with pytest.raises(BrokenChain) as broken:
        verify_chain(log)

    assert broken.value.offset == 2


def test_a_reader_that_starts_midway_takes_the_first_hash_on_trust() -> None:
    log = events(3)

    assert link(log[2], offset=2, prev_hash=None) == log[2].hash
    assert verify_chain(log[1:], first_offset=1, prev_hash=None) == log[2].hash


def test_the_hash_survives_json_with_floats_and_foreign_letters() -> None:
    log = events(1, body={"share": 1.0, "small": 1e-7, "name": "Åland ☂", "é": 2})

    again = read_entry(msgspec.json.decode(msgspec.json.encode(log[0])))

    assert verify_chain([again]) == log[0].hash
