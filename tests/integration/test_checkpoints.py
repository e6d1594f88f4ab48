"""Checkpoints: made in the commit that makes them due, once each, and found wherever they lack."""

import asyncio
import sqlite3
from typing import Any

import psycopg
import pytest
from sqlalchemy import bindparam, delete, update

from market import sessions
from market.audit import audit, prove_log
from market.base.database import StoreFailed
from market.base.errors import MarketError
from market.base.store import Store
from market.base.streams import entries
from market.chores import sign_logs
from market.protocol.commitments import CHECKPOINT, CheckpointClaims
from market.protocol.signing import SigningKey
from market.protocol.wire import CheckpointView, ForkSession, OrderView
from market.sessions.tables import checkpoints
from tests.factories import Town, enter
from tests.integration.test_audit import close, log_of, rewrite, spoil

EVERY = sessions.CHECKPOINT_EVERY


async def kept(store: Store, session_id: str) -> list[CheckpointView]:
    return await store.scan(sessions.checkpoints_kept, session_id=session_id)


async def write(town: Town, session_id: str, count: int) -> None:
    note = sessions.NewEvent("note.written", town.buyer.id, {"text": "x"})
    await town.store.write(sessions.append, session_id=session_id, events=[note] * count)


async def long_log(town: Town, length: int) -> OrderView:
    """An order in a session with so many events."""
    order = await town.place()
    await write(town, order.session_id, length - 2)
    return order


async def test_the_thousandth_event_is_signed_and_no_other(town: Town):
    order = await long_log(town, EVERY - 1)
    assert await kept(town.store, order.session_id) == []

    await write(town, order.session_id, 1)
    await write(town, order.session_id, 2 * EVERY + 1)

    signed = await kept(town.store, order.session_id)
    log = await log_of(town.store, order.session_id)
    assert [one.offset for one in signed] == [EVERY - 1, 2 * EVERY - 1, 3 * EVERY - 1]
    for one in signed:
        claims = town.store.signer.public.read(one.token, typ=CHECKPOINT, claims=CheckpointClaims)
        assert claims.session_id == order.session_id
        assert (claims.offset, claims.hash) == (one.offset, log[one.offset]["hash"])
        assert one.hash == claims.hash
    assert await town.store.scan(audit) == []


async def test_a_closed_session_ends_with_a_checkpoint_and_a_repeat_adds_none(town: Town):
    order = await town.settled()

    await close(town, order)
    await close(town, order)

    log = await log_of(town.store, order.session_id)
    [signed] = await kept(town.store, order.session_id)
    assert (signed.offset, signed.hash) == (len(log) - 1, log[-1]["hash"])
    assert log[-1]["kind"] == "session.closed"


async def test_an_append_that_fails_leaves_no_checkpoint(town: Town):
    order = await long_log(town, EVERY - 1)

    def append_and_refuse(uow: Any) -> None:
        note = sessions.NewEvent("note.written", town.buyer.id, {})
        sessions.append(uow, session_id=order.session_id, events=[note])
        raise MarketError("no")

    with pytest.raises(MarketError):
        await town.store.write(append_and_refuse)

    assert await kept(town.store, order.session_id) == []


async def test_racing_writers_leave_no_checkpoint_out(town: Town):
    order = await town.place()

    await asyncio.gather(*(write(town, order.session_id, 70) for _ in range(30)))

    assert [one.offset for one in await kept(town.store, order.session_id)] == [999, 1999]
    assert await town.store.scan(audit) == []


async def test_every_participant_fetches_checkpoints_by_page_and_a_stranger_none(town: Town):
    order = await long_log(town, 2 * EVERY)
    nosy = await enter(town.store, "nosy", "buyer")

    def page(snapshot: Any, caller: Any, cursor: str | None) -> Any:
        return sessions.checkpoints_of(
            snapshot, caller=caller, session_id=order.session_id, cursor=cursor, limit=1
        )

    first = await town.store.scan(page, town.seller.caller, None)
    second = await town.store.scan(page, town.buyer.caller, first.next)
    assert [one.offset for one in (*first.items, *second.items)] == [999, 1999]
    assert second.next is None
    with pytest.raises(sessions.SessionNotFound):
        await town.store.scan(page, nosy.caller, None)


async def test_two_readers_get_the_same_signature_of_a_kept_place(town: Town):
    order = await town.settled()

    def head(snapshot: Any, caller: Any) -> Any:
        return sessions.checkpoint(snapshot, caller=caller, session_id=order.session_id)

    ours = await town.store.scan(head, town.buyer.caller)
    theirs = await town.store.scan(head, town.seller.caller)
    assert (ours.offset, ours.hash) == (theirs.offset, theirs.hash)
    await close(town, order)

    ours = await town.store.scan(head, town.buyer.caller)
    assert ours == await town.store.scan(head, town.seller.caller)
    assert ours == (await kept(town.store, order.session_id))[-1]


async def forget(town: Town) -> None:
    """Make the store one of the time before checkpoints."""
    await spoil(town.store, checkpoints, delete(checkpoints))


async def test_a_chore_signs_what_an_older_store_lacks_and_then_has_nothing_to_do(town: Town):
    order = await long_log(town, 2 * EVERY + 5)
    other = await town.settled()
    await close(town, other)
    before = {
        session_id: [(one.offset, one.hash) for one in await kept(town.store, session_id)]
        for session_id in (order.session_id, other.session_id)
    }
    await forget(town)
    found = await town.store.scan(audit)
    assert {finding.rule for finding in found} == {"checkpoints"}
    assert len(found) == 3

    assert await sign_logs(town.store) == 3
    assert await sign_logs(town.store) == 0

    for session_id, places in before.items():
        assert [(one.offset, one.hash) for one in await kept(town.store, session_id)] == places
    assert await town.store.scan(audit) == []


async def test_the_chore_signs_no_log_that_does_not_hold_together(town: Town):
    order = await long_log(town, EVERY + 5)
    log = await log_of(town.store, order.session_id)
    await forget(town)
    await rewrite(town.store, log[7] | {"actor_id": "somebody"})

    assert await sign_logs(town.store) == 0
    assert await kept(town.store, order.session_id) == []


async def test_a_checkpoint_that_another_key_signed_is_named(town: Town):
    order = await town.settled()
    await close(town, order)
    [signed] = await kept(town.store, order.session_id)
    claims = town.store.signer.public.read(signed.token, typ=CHECKPOINT, claims=CheckpointClaims)
    forged = SigningKey.generate().sign(claims, typ=CHECKPOINT)

    await spoil(town.store, checkpoints, update(checkpoints).values(token=forged))

    found = await town.store.scan(audit)
    assert {finding.rule for finding in found} == {"checkpoints"}
    assert {finding.where for finding in found} == {
        f"checkpoint {order.session_id}:{signed.offset}"
    }
    assert "another key" in found[0].detail


async def test_a_tail_cut_from_every_table_shows_against_a_checkpoint_that_a_reader_kept(
    town: Town,
):
    order = await town.place()
    await write(town, order.session_id, 8)

    def head(snapshot: Any) -> Any:
        return sessions.checkpoint(snapshot, caller=town.buyer.caller, session_id=order.session_id)

    mine = await town.store.scan(head)
    log = await log_of(town.store, order.session_id)
    cut = delete(entries).where(
        entries.c.stream_id == bindparam("session_id"), entries.c.offset > 4
    )
    await spoil(town.store, entries, cut, session_id=order.session_id)

    def end_earlier(uow: Any) -> None:
        uow.connection.execute(
            f"UPDATE streams SET next_offset = 5, head = '{log[4]['hash']}' "
            f"WHERE id = '{order.session_id}'"
        )

    await town.store.write(end_earlier)

    def proven(snapshot: Any, tokens: list[str]) -> Any:
        return prove_log(snapshot, session_id=order.session_id, tokens=tokens)

    alone = await town.store.scan(proven, [])
    assert alone.findings == []
    against = await town.store.scan(proven, [mine.token])
    [flaw] = against.report.flaws
    assert (flaw.since, flaw.offset) == (5, 5)
    assert [finding.where for finding in against.findings] == [f"{order.session_id}:5"]


@pytest.mark.parametrize(
    "act", ["UPDATE session_checkpoints SET hash = ''", "DELETE FROM session_checkpoints"]
)
async def test_no_statement_changes_a_checkpoint(town: Town, act: str):
    order = await town.settled()
    await close(town, order)

    def verb(uow: Any) -> None:
        uow.connection.execute(act)

    with pytest.raises((sqlite3.Error, psycopg.Error, StoreFailed), match="append-only"):
        await town.store.write(verb)

    assert len(await kept(town.store, order.session_id)) == 1


async def test_a_fork_is_signed_for_itself_and_whole_with_what_it_shares(town: Town):
    order = await long_log(town, EVERY + 10)
    fork = await town.store.write(
        sessions.fork,
        caller=town.buyer.caller,
        session_id=order.session_id,
        request=ForkSession(after=EVERY + 4),
    )
    await write(town, fork.id, EVERY)
    assert await town.store.scan(audit) == []
    assert [one.offset for one in await kept(town.store, fork.id)] == [2 * EVERY - 1]

    assert await sign_logs(town.store) == 1
    assert [one.offset for one in await kept(town.store, fork.id)] == [EVERY - 1, 2 * EVERY - 1]
    assert await town.store.scan(audit) == []

    log = await log_of(town.store, order.session_id)
    await rewrite(town.store, log[7] | {"actor_id": "somebody"})
    assert {finding.where for finding in await town.store.scan(audit)} == {
        f"{order.session_id}:7",
        f"{fork.id}:7",
    }


async def test_what_a_fork_shares_is_signed_as_it_was_at_its_source_and_not_read_again(town: Town):
    order = await long_log(town, EVERY + 10)
    fork = await town.store.write(
        sessions.fork,
        caller=town.buyer.caller,
        session_id=order.session_id,
        request=ForkSession(after=EVERY + 4),
    )
    further = await town.store.write(
        sessions.fork,
        caller=town.buyer.caller,
        session_id=fork.id,
        request=ForkSession(after=EVERY + 5),
    )
    log = await log_of(town.store, order.session_id)
    await rewrite(town.store, log[7] | {"actor_id": "somebody"})

    assert await sign_logs(town.store) == 2

    assert [one.offset for one in await kept(town.store, further.id)] == [EVERY - 1]
    [of_source] = await kept(town.store, order.session_id)
    [of_fork] = await kept(town.store, fork.id)
    assert (of_fork.offset, of_fork.hash) == (of_source.offset, of_source.hash)
    assert (await town.store.scan(sessions.checkpoints_missing, after="")).last_id is None
