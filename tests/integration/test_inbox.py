"""The inbox: messages in order, kept until handled, live without gap."""

import asyncio
from contextlib import aclosing

import pytest

from market import inbox
from market.base.errors import InsufficientScope
from market.base.store import Store
from market.base.work import UnitOfWork
from market.protocol.wire import InboxView, MessageView
from tests.factories import Party, enter, race


@pytest.fixture
async def reader(store: Store) -> Party:
    return await enter(store, "reader", "buyer")


async def deliver(party: Party, number: int) -> int:
    body = {"number": number}
    return await party.store.write(
        inbox.deliver, agent_id=party.id, kind="receipt.issued", body=body
    )


async def read(party: Party, after: int = -1, limit: int = 100) -> InboxView:
    return await party.store.read(inbox.read, caller=party.caller, after=after, limit=limit)


def numbers(messages: list[MessageView]) -> list[int]:
    return [message.body["number"] for message in messages]


async def test_an_inbox_that_got_nothing_is_empty(reader: Party):
    assert await read(reader) == InboxView(items=[], next_offset=0, acknowledged=-1)


async def test_messages_are_read_in_order_from_any_offset(reader: Party):
    offsets = [await deliver(reader, number) for number in range(5)]

    view = await read(reader, after=1, limit=2)

    assert offsets == [0, 1, 2, 3, 4]
    assert [message.offset for message in view.items] == [2, 3]
    assert numbers(view.items) == [2, 3]
    assert view.next_offset == 5
    first = (await read(reader)).items[0]
    assert (first.kind, first.sent_at[-1]) == ("receipt.issued", "Z")


async def test_opening_an_inbox_again_changes_nothing(store: Store, reader: Party):
    await store.write(inbox.open_inbox, agent_id=reader.id)
    await deliver(reader, 1)

    await store.write(inbox.open_inbox, agent_id=reader.id)

    assert numbers((await read(reader)).items) == [1]


async def test_nobody_reads_the_inbox_of_another(store: Store, reader: Party):
    await deliver(reader, 1)

    stranger = await enter(store, "stranger", "buyer")

    assert (await read(stranger)).items == []


async def test_reading_needs_its_scope(reader: Party):
    blind = reader._replace(caller=reader.caller._replace(scopes=frozenset({"pay"})))

    with pytest.raises(InsufficientScope):
        await read(blind)


async def test_acknowledging_moves_forward_only(store: Store, reader: Party):
    for number in range(3):
        await deliver(reader, number)

    states = [
        await store.write(inbox.acknowledge, caller=reader.caller, offset=offset)
        for offset in (1, 0, 1, 2)
    ]

    assert [state.acknowledged for state in states] == [1, 1, 1, 2]
    assert (await read(reader)).acknowledged == 2
    assert len((await read(reader)).items) == 3


@pytest.mark.parametrize("delivered", [0, 2])
async def test_what_was_not_delivered_cannot_be_acknowledged(
    store: Store, reader: Party, delivered: int
):
    for number in range(delivered):
        await deliver(reader, number)

    with pytest.raises(inbox.OffsetAhead) as refusal:
        await store.write(inbox.acknowledge, caller=reader.caller, offset=delivered)

    assert refusal.value.facts == {"next_offset": delivered}
    assert (await read(reader)).acknowledged == -1


async def test_a_message_of_a_failed_work_is_never_delivered(store: Store, reader: Party):
    def deliver_and_break(uow: UnitOfWork) -> None:
        inbox.deliver(uow, agent_id=reader.id, kind="receipt.issued", body={"number": 0})
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(deliver_and_break)
    await deliver(reader, 1)

    view = await read(reader)
    assert [(message.offset, message.body["number"]) for message in view.items] == [(0, 1)]


async def test_first_messages_at_once_all_arrive(reader: Party):
    await race(20, lambda: deliver(reader, 1), collect=inbox.OffsetAhead)

    assert [message.offset for message in (await read(reader)).items] == list(range(20))


async def test_a_follower_gets_the_past_and_then_what_comes(reader: Party):
    await deliver(reader, 0)
    await deliver(reader, 1)
    heard: list[int] = []
    async with (
        asyncio.timeout(10),
        aclosing(inbox.follow(reader.store, caller=reader.caller, after=0)) as following,
    ):
        async for messages in following:
            heard += numbers(messages)
            if heard[-1:] == [3]:
                break
            await deliver(reader, heard[-1] + 1)

    assert heard == [1, 2, 3]


async def test_a_follower_may_come_before_the_first_message(reader: Party):
    async with (
        asyncio.timeout(10),
        aclosing(inbox.follow(reader.store, caller=reader.caller, after=-1)) as following,
    ):
        assert await anext(following) == []
        await deliver(reader, 7)
        messages: list[MessageView] = []
        while not messages:
            messages = await anext(following)

    assert numbers(messages) == [7]
