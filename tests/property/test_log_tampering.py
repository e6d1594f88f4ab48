"""Whoever has the disk may change a log in any way: the audit names the first bad offset (P8)."""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market import sessions
from market.audit import audit_log, prove_log
from market.base.clock import SystemClock
from market.base.keys import load_signer
from market.base.settings import Settings
from market.base.store import Store
from market.base.work import Snapshot
from market.protocol.chain import event_hash
from market.protocol.events import GENESIS, Event
from market.protocol.logfile import stored, text_of
from market.protocol.proving import LogReport
from tests.factories import build_town
from tests.integration.test_audit import close, log_of

EXAMPLES = 60
Row = tuple[int, bytes]


class Disk(NamedTuple):
    """A SQLite market that nobody serves: its folder, and two closed sessions in it."""

    home: Path
    session_id: str
    other_id: str
    length: int


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Disk:
    home = tmp_path_factory.mktemp("disk")
    shutil.copy(migrated_file, home / "market.db")
    made = asyncio.run(two_sessions(home))
    with closing(sqlite3.connect(home / "market.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return made


async def two_sessions(home: Path) -> Disk:
    store = Store.open(Settings(home=home, log_level="error"))
    try:
        town = await build_town(store)
        first, second = await town.settled(), await town.settled()
        note = sessions.NewEvent("note.written", town.buyer.id, {"text": "x", "of": [0.5, None]})
        for order in (first, second):
            await store.write(sessions.append, session_id=order.session_id, events=[note] * 9)
            await close(town, order)
        length = len(await log_of(store, first.session_id))
    finally:
        store.close()
    return Disk(home, first.session_id, second.session_id, length)


@contextmanager
def stolen(disk: Disk) -> Iterator[sqlite3.Connection]:
    """A copy of the disk in hands that keep to no rule of the database."""
    with (
        closing(sqlite3.connect(disk.home / "market.db")) as original,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as copy,
    ):
        original.backup(copy)
        triggers = copy.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            copy.execute(f"DROP TRIGGER {name}")
        yield copy


def rows_of(connection: sqlite3.Connection, session_id: str) -> list[Row]:
    asked = 'SELECT "offset", data FROM stream_entries WHERE stream_id = ? ORDER BY "offset"'
    return connection.execute(asked, (session_id,)).fetchall()


def put_rows(connection: sqlite3.Connection, session_id: str, rows: list[Row]) -> None:
    """Put these rows in the place of a log, with all that counts them in agreement."""
    connection.execute("DELETE FROM stream_entries WHERE stream_id = ?", (session_id,))
    connection.executemany(
        'INSERT INTO stream_entries (stream_id, "offset", recorded_at, data) VALUES (?, ?, 0, ?)',
        [(session_id, offset, data) for offset, data in rows],
    )
    try:
        head = msgspec.json.decode(rows[-1][1])["hash"] if rows else GENESIS
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        head = GENESIS
    connection.execute(
        "UPDATE streams SET next_offset = ?, head = ? WHERE id = ?", (len(rows), head, session_id)
    )


def renumbered(data: list[bytes]) -> list[Row]:
    return list(enumerate(data))


def proven(connection: sqlite3.Connection, disk: Disk) -> LogReport:
    config = Settings(home=disk.home)
    snapshot = Snapshot(connection, "sqlite", config, load_signer(disk.home), SystemClock().now())
    found = prove_log(snapshot, session_id=disk.session_id)
    assert found.report is not None
    assert bool(found.findings) >= bool(found.report.flaws)
    assert found.findings == audit_log(snapshot, session_id=disk.session_id)
    return found.report


def first_bad(report: LogReport) -> tuple[int, int]:
    assert report.flaws, "the tampered log passed"
    return report.flaws[0].since, report.flaws[0].offset


def tampered(disk: Disk, change: Any) -> LogReport:
    with stolen(disk) as connection:
        data = [data for _, data in rows_of(connection, disk.session_id)]
        put_rows(connection, disk.session_id, change(data))
        return proven(connection, disk)


def a_place(data: st.DataObject, disk: Disk) -> int:
    return data.draw(st.integers(0, disk.length - 1), label="place")


def test_an_untouched_log_passes(disk: Disk) -> None:
    report = tampered(disk, renumbered)

    assert report.flaws == []
    assert report.vouched_to == disk.length - 1


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(data=st.data())
def test_a_changed_byte_is_found(disk: Disk, data: st.DataObject) -> None:
    place = a_place(data, disk)

    def change(log: list[bytes]) -> list[Row]:
        at = data.draw(st.integers(0, len(log[place]) - 1), label="byte")
        byte = data.draw(st.integers(0, 255).filter(lambda it: it != log[place][at]))
        log[place] = log[place][:at] + bytes([byte]) + log[place][at + 1 :]
        return renumbered(log)

    assert first_bad(tampered(disk, change)) == (place, place)


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data(), hides=st.booleans())
def test_a_dropped_event_is_found(disk: Disk, data: st.DataObject, hides: bool) -> None:
    place = a_place(data, disk)

    def change(log: list[bytes]) -> list[Row]:
        rows = renumbered(log)
        del rows[place]
        return renumbered([one for _, one in rows]) if hides else rows

    assert first_bad(tampered(disk, change)) == (place, place)


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_two_exchanged_events_are_found(disk: Disk, data: st.DataObject) -> None:
    first, second = sorted(
        data.draw(st.sets(st.integers(0, disk.length - 1), min_size=2, max_size=2))
    )

    def change(log: list[bytes]) -> list[Row]:
        log[first], log[second] = log[second], log[first]
        return renumbered(log)

    assert first_bad(tampered(disk, change)) == (first, first)


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_a_doubled_event_is_found(disk: Disk, data: st.DataObject) -> None:
    place = a_place(data, disk)

    report = tampered(disk, lambda log: renumbered([*log[: place + 1], *log[place:]]))

    assert first_bad(report) == (place + 1, place + 1)


def forged(log: list[bytes], place: int, body: dict[str, Any]) -> bytes:
    """The event at a place with another body, chained to the one before, its hash made anew."""
    tree = msgspec.json.decode(log[place])
    tree["body"] = body
    tree["prev_hash"] = msgspec.json.decode(log[place - 1])["hash"] if place else GENESIS
    tree["hash"] = event_hash(tree)
    event = msgspec.convert(tree, Event)
    return stored(event, text_of(event))


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_an_event_that_was_put_in_is_found(disk: Disk, data: st.DataObject) -> None:
    place = a_place(data, disk)

    def change(log: list[bytes]) -> list[Row]:
        return renumbered([*log[:place], forged(log, place, {"text": "put in"}), *log[place:]])

    assert first_bad(tampered(disk, change)) == (place, place)


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_a_tail_that_was_cut_is_found(disk: Disk, data: st.DataObject) -> None:
    place = a_place(data, disk)

    assert first_bad(tampered(disk, lambda log: renumbered(log[:place]))) == (place, place)


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_a_chain_made_anew_from_any_event_on_is_found(disk: Disk, data: st.DataObject) -> None:
    place = a_place(data, disk)

    def change(log: list[bytes]) -> list[Row]:
        for offset in range(place, len(log)):
            body = msgspec.json.decode(log[offset])["body"]
            log[offset] = forged(log, offset, {"text": "forged"} if offset == place else body)
        return renumbered(log)

    since, offset = first_bad(tampered(disk, change))
    assert since <= place <= offset == disk.length - 1


def test_text_in_the_place_of_bytes_is_read_and_found(disk: Disk) -> None:
    with stolen(disk) as connection:
        connection.execute(
            'UPDATE stream_entries SET data = replace(data, \'"text":"x"\', \'"text":"y"\') '
            'WHERE stream_id = ? AND "offset" = ?',
            (disk.session_id, disk.length - 3),
        )

        assert first_bad(proven(connection, disk)) == (disk.length - 3, disk.length - 3)


def test_the_log_of_another_session_is_found(disk: Disk) -> None:
    with stolen(disk) as connection:
        theirs = rows_of(connection, disk.other_id)
        put_rows(connection, disk.other_id, rows_of(connection, disk.session_id))
        put_rows(connection, disk.session_id, theirs)

        assert first_bad(proven(connection, disk))[0] == 0
