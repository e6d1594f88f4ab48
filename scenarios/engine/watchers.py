"""Watchers: devices on which people follow a journey live, each over a transport of its own."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from typing import Final, NamedTuple
from urllib.parse import quote as url_part

import anyio
import msgspec
from anyio.abc import TaskGroup

from buyer_agents import MarketClient, MarketUnreachable, Presence, Refused
from buyer_agents.connection import Query
from buyer_agents.transports import Frame, frames_until, open_socket, open_sse
from market.protocol.folded import SnapshotView
from scenarios.engine.form import WatcherPart
from scenarios.engine.telling import Joined, Resumed, Tell

PATIENCE_SECONDS: Final = 30.0
_WAIT_SECONDS: Final = 20
_PAGE: Final = 100


class Seen(NamedTuple):
    """An entry as it came, byte for byte."""

    offset: int
    data: bytes


class _Place(msgspec.Struct, frozen=True):
    """The part of an entry that says where it stands."""

    offset: int


class _Page(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw]
    closed: bool


class Watcher:
    """One device. ``seen`` is what came, in the order in which it came.

    ``cuts`` are live readings that broke, ``resumes`` those that went on behind the last entry.
    """

    def __init__(self, part: WatcherPart, who: str, market: MarketClient, tell: Tell) -> None:
        self.part = part
        self.who = who
        self.market = market
        self.session_id = ""
        self.snapshot: SnapshotView | None = None
        self.seen: list[Seen] = []
        self.cuts = 0
        self.resumes = 0
        self._tell = tell
        self._after = -1
        self._moved = anyio.Event()
        self._over = anyio.Event()

    @property
    def is_over(self) -> bool:
        """Whether it reads no more: the log is complete, or the market stayed away."""
        return self._over.is_set()

    async def join(self, group: TaskGroup, session_id: str, offset: int) -> None:
        """Be present, and follow the session from now on; return when ``offset`` is read."""
        self.session_id = session_id
        group.start_soon(self._watch)
        await self.reads(offset)
        part = self.part
        self._tell(Joined(part.at.agent, part.name, part.over, offset, self.snapshot))

    async def reads(self, offset: int) -> None:
        """Wait until ``offset`` is read, or nothing more will be."""
        while self._after < offset and not self.is_over:
            await self._moved.wait()

    def was_cut(self) -> None:
        """Note that its line broke."""
        if self.session_id and not self.is_over:
            self.cuts += 1

    async def _watch(self) -> None:
        presence = Presence(self.market, self.session_id, device=self.part.name)
        try:
            # Nobody is present in a session that is complete; it can be read all the same.
            with suppress(Refused):
                await presence.show("streaming")
            async with anyio.create_task_group() as group:
                group.start_soon(presence.keep)
                with suppress(MarketUnreachable):
                    await (self._poll() if self.part.over == "poll" else self._follow())
                group.cancel_scope.cancel()
        finally:
            self._over.set()
            self._move()

    async def _follow(self) -> None:
        frames = frames_until("closed", self._open, patience_seconds=PATIENCE_SECONDS)
        async with aclosing(frames):
            async for frame in frames:
                if frame.kind == "snapshot":
                    tree = frame.tree.get("snapshot", frame.tree)
                    self._begin(msgspec.convert(tree, SnapshotView, strict=True, str_keys=True))
                elif not frame.kind:
                    data = frame.data
                    self._take(data.encode() if isinstance(data, str) else data)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[AsyncIterator[Frame]]:
        path = f"/v1/sessions/{url_part(self.session_id)}"
        query: Query = {"after": self._after}
        if self.part.begins == "snapshot" and self.snapshot is None:
            query = {"from": "snapshot"}
        opened: AbstractAsyncContextManager[AsyncIterator[Frame]]
        if self.part.over == "socket":
            opened = open_socket(self.market, f"{path}/socket", query)
        else:
            last_event_id = str(self._after) if self._after >= 0 else None
            opened = open_sse(self.market, f"{path}/stream", query, last_event_id=last_event_id)
        async with opened as frames:
            self._goes_on()
            yield frames

    async def _poll(self) -> None:
        if self.part.begins == "snapshot":
            self._begin(await self.market.snapshot(self.session_id))
        path = f"/v1/sessions/{url_part(self.session_id)}/events"
        while True:
            query = {"after": self._after, "limit": _PAGE, "wait_seconds": _WAIT_SECONDS}
            page = await self.market.call("GET", path, _Page, query=query)
            self._goes_on()
            for item in page.items:
                self._take(bytes(item))
            if page.closed:
                return

    def _begin(self, snapshot: SnapshotView) -> None:
        self.snapshot = snapshot
        self._after = snapshot.next_offset - 1
        self._move()

    def _take(self, data: bytes) -> None:
        self._after = msgspec.json.decode(data, type=_Place).offset
        self.seen.append(Seen(self._after, data))
        self._move()

    def _goes_on(self) -> None:
        if self.resumes < self.cuts:
            self.resumes += 1
            self._tell(Resumed(self.part.at.agent, self._after, self.part.name))

    def _move(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()
