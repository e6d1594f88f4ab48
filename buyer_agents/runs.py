"""Runs: work that an agent, or its sub-agent, reports step by step into a session's log.

::

    run = await begin_run(market, session_id, "search", "Search three catalogs")
    await run.step("page-3", "12 of 40 rows", {"rows": 12})
    await run.end("done")

Each run appends for itself, over its own connection: nobody relays. Whatever is sent again after
a lost answer lands once; a step that is done again replaces its earlier attempt.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal, NamedTuple

import anyio

from buyer_agents.errors import MarketTrouble, Refused
from buyer_agents.session_verbs import Producer, SessionVerbs
from buyer_agents.streams import follow_session
from market.protocol.events import Event
from market.protocol.wire import WriteEvent

Outcome = Literal["done", "failed", "cancelled"]


class RunStopped(MarketTrouble):
    """The run was cancelled, at ``offset`` of the log: stop working on it, and end it."""

    def __init__(self, run: str, offset: int) -> None:
        super().__init__(f"the run {run!r} was cancelled at offset {offset}")
        self.run = run
        self.offset = offset


class Steer(NamedTuple):
    """Words for a run's actor, asked for at ``offset``; answer them with ``Run.answer``."""

    offset: int
    text: str
    asked_by: str


class Run:
    """One piece of work under its name. ``begin_run`` makes it; one task at a time is at work."""

    def __init__(
        self, market: SessionVerbs, session_id: str, name: str, order_id: str | None
    ) -> None:
        self.session_id = session_id
        self.name = name
        self._market = market
        self._order_id = order_id
        self._producer = Producer(market.nonce(), 0, 0)
        self._turn = anyio.Lock()
        self._after = -1

    async def begin(self, title: str, parent: str | None) -> None:
        """Say that the run begins; one that an earlier life of this key began goes on.

        Raises:
            RunStopped: it was cancelled before it began.
        """
        try:
            members = {} if parent is None else {"parent": parent}
            self._after = await self._write("run.started", {"title": title, **members})
        except Refused as refused:
            if refused.code != "run_started":
                raise self._stopped(refused) from refused
            self._after = (await self._market.session(self.session_id)).next_offset - 1

    async def step(self, name: str, detail: str = "", output: dict[str, Any] | None = None) -> None:
        """Report a step; the same ``name`` again is a new attempt. Waits while the run is paused.

        Raises:
            RunStopped: the run was cancelled.
        """
        body = {"step": name, "detail": detail, "output": output}
        while True:
            try:
                await self._write("run.step", body)
            except Refused as refused:
                if refused.code != "run_paused":
                    raise self._stopped(refused) from refused
                await self._until_lifted(int(refused.facts["offset"]))
            else:
                return

    async def end(self, outcome: Outcome, detail: str = "") -> None:
        """Say how the run ended; a cancelled or paused one may end, too."""
        await self._write("run.ended", {"outcome": outcome, "detail": detail})

    async def steers(self) -> AsyncGenerator[Steer, None]:
        """Yield what is said to this run from its beginning in this life, until nothing can be.

        That is when it ended, was cancelled, or its session was closed.
        """
        async with aclosing(self._own_events(self._after)) as events:
            async for event in events:
                if event.kind == "run.ended" or self._is_answer(event, "cancel"):
                    return
                if event.kind == "control.requested" and event.body["action"] == "steer":
                    yield Steer(event.offset, event.body["text"], event.actor_id)

    async def answer(
        self, steer: Steer, answer: Literal["consumed", "refused"], detail: str = ""
    ) -> None:
        """Say what became of a steer, before its deadline."""
        await self._market.answer_control(self.session_id, steer.offset, answer, detail)

    async def _write(self, kind: str, body: dict[str, Any]) -> int:
        """Append one event of this run, once, and return its offset."""
        event = WriteEvent(kind=kind, body={"run": self.name, **body}, order_id=self._order_id)
        async with self._turn:
            sent = self._producer
            # Until this one is answered, what comes next must not pass for its repeat.
            self._producer = Producer(sent.id, sent.epoch + 1, 0)
            try:
                appended = await self._market.write_events(self.session_id, [event], producer=sent)
            except Refused:
                self._producer = sent
                raise
            self._producer = Producer(sent.id, sent.epoch, sent.sequence + 1)
        return appended.first_offset

    async def _until_lifted(self, after: int) -> None:
        """Wait behind the offset of a pause until the run is resumed, or cancelled."""
        async with aclosing(self._own_events(after)) as events:
            async for event in events:
                if self._is_answer(event, "resume") or self._is_answer(event, "cancel"):
                    return

    async def _own_events(self, after: int) -> AsyncGenerator[Event, None]:
        async with aclosing(follow_session(self._market, self.session_id, after)) as log:
            async for entry in log:
                if isinstance(entry, Event) and entry.body.get("run") == self.name:
                    yield entry

    def _is_answer(self, event: Event, action: str) -> bool:
        """Whether an event says that the market did ``action``."""
        said = (event.body.get("action"), event.body.get("answer"))
        return event.kind == "control.answered" and said == (action, "accepted")

    def _stopped(self, refused: Refused) -> MarketTrouble:
        if refused.code == "run_cancelled":
            return RunStopped(self.name, int(refused.facts["offset"]))
        return refused


async def begin_run(
    market: SessionVerbs,
    session_id: str,
    run: str,
    title: str,
    *,
    parent: str | None = None,
    order_id: str | None = None,
) -> Run:
    """Begin a run in a session, or go on with one that an earlier life of this key began.

    ``parent`` is a run that this one is part of. A seller's run names its ``order_id``.

    Raises:
        RunStopped: it was cancelled before it began.
        Refused: another actor has a run of this name, or the session takes no more.
    """
    made = Run(market, session_id, run, order_id)
    await made.begin(title, parent)
    return made
