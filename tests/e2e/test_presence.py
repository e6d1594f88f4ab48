"""Presence at a live market: who keeps it up is there, who falls silent has left."""

import anyio

from buyer_agents import Presence
from market.base.settings import Settings
from market.protocol.events import Event
from tests.town import of_kind, open_town, until


def told(log: list[Event], device: str) -> list[tuple[str, str]]:
    """What the log says of one device."""
    return [
        (event.kind, event.body.get("status") or event.body["reason"])
        for event in log
        if event.kind.startswith("presence.") and event.body["device"] == device
    ]


async def test_a_kept_presence_outlasts_a_silent_one_and_ends_with_its_task(
    sqlite_settings: Settings,
):
    async with open_town(sqlite_settings.with_(presence_seconds=1)) as town:
        buyer = await town.client("thrifty")
        session = await buyer.open_session("pages")
        phone = Presence(buyer, session.id, device="phone")
        async with anyio.create_task_group() as group:
            await group.start(phone.keep)
            await buyer.be_present(session.id, "idle", device="laptop")
            await until(buyer, session.id, of_kind("presence.left", device="laptop"))
            await phone.show("thinking")
            group.cancel_scope.cancel()
        log = await until(buyer, session.id, of_kind("presence.left", device="phone"))

    assert told(log, "laptop") == [("presence.joined", "idle"), ("presence.left", "lost")]
    assert told(log, "phone") == [
        ("presence.joined", "idle"),
        ("presence.changed", "thinking"),
        ("presence.left", "left"),
    ]


async def test_a_presence_ends_quietly_with_its_session(sqlite_settings: Settings):
    async with open_town(sqlite_settings.with_(presence_seconds=1)) as town:
        buyer = await town.client("thrifty")
        session = await buyer.open_session("pages")

        async with anyio.create_task_group() as group:
            await group.start(Presence(buyer, session.id, device="phone").keep)
            closed = await buyer.close_session(session.id)

        assert closed.state == "closed"
        assert (await buyer.session(session.id)).next_offset == closed.next_offset
