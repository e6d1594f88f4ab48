"""The director: follows every journey's log, and performs what the story says at each place.

Acts happen between two entries of a log, before a seller or sub-agent goes on: these wait until
the director has come to the entry that they just wrote. So no race decides a story.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from fnmatch import fnmatchcase
from typing import Final

import anyio
from anyio.abc import TaskGroup
from msgspec import UNSET

from buyer_agents import MarketClient, Refused, follow_session
from market.protocol.events import Event
from scenarios.engine.acts import Act, Log, acts_of, why_not
from scenarios.engine.agents import BuyersView
from scenarios.engine.faults import LINE_FAULTS, Breakables
from scenarios.engine.form import (
    FaultKind,
    FaultPart,
    OverseerPart,
    SubAgentPart,
    WatcherPart,
    seconds,
)
from scenarios.engine.helping import Helper
from scenarios.engine.stalls import MarketProgram
from scenarios.engine.story import Story, Trouble
from scenarios.engine.telling import Acted, Logged, Tell
from scenarios.engine.watchers import Watcher

PATIENCE_SECONDS: Final = 3_600.0
"""How long a market that crashed may stay away."""

END_SECONDS: Final = 10.0
"""How long a device may take to read the rest of a log that is complete."""


class Director:
    """Knows every journey of a run, and by their names all who take part in it.

    ``views`` are the buyers' own; to what is in ``breakables`` faults happen. ``happened`` counts
    them by their kind and by whom they happened to.
    """

    def __init__(
        self, story: Story, seed: int, overseer: MarketClient, market: MarketProgram, tell: Tell
    ) -> None:
        self.logs: dict[str, Log] = {}
        self.views: dict[str, BuyersView] = {}
        self.buyers: dict[str, MarketClient] = {}
        self.watchers: dict[str, Watcher] = {}
        self.helpers: dict[str, Helper] = {}
        self.breakables = Breakables(market=market)
        self.happened: Counter[tuple[FaultKind, str]] = Counter()
        self._overseer = overseer
        self._tell = tell
        self._acts = acts_of(story, seed)

    def watch(self, group: TaskGroup, buyer: str, session_id: str) -> None:
        """Follow a session from its first entry on."""
        self.logs[session_id] = Log(buyer, session_id)
        group.start_soon(self._follow, group, self.logs[session_id])

    def wait_for_moments(self, group: TaskGroup) -> None:
        """From now on, perform what is to happen at a time."""
        for act in self._acts:
            if act.part.at.time is not UNSET:
                group.start_soon(self._perform_at_time, group, act, seconds(act.part.at.time))

    async def reaches(self, session_id: str, offset: int | None) -> None:
        """Wait until a log is read up to ``offset`` (None: up to its present end)."""
        if offset is None:
            offset = (await self._overseer.session(session_id)).next_offset - 1
        await self.logs[session_id].reaches(offset)

    async def alone(self, buyer: str) -> None:
        """Wait until those sub-agents of a buyer that have begun are through."""
        for helper in self.helpers.values():
            if helper.part.at.agent == buyer:
                await helper.over()

    async def finish(self) -> None:
        """Wait until every log is read to its present end, by every device, too."""
        for session_id in self.logs:
            await self.reaches(session_id, None)
        with anyio.move_on_after(END_SECONDS):
            for watcher in self.watchers.values():
                if watcher.session_id:
                    await watcher.reads(self.logs[watcher.session_id].offset)

    def troubles(self) -> list[Trouble]:
        """Return a trouble for each act that never happened and had to, and for broken-off work."""
        idle = [one for act, one in self._idle() if not act.is_optional]
        broken = [
            Trouble(act.where, f"{act.title} broke off", helper.trouble)
            for act in self._acts
            if isinstance(act.part, SubAgentPart) and act.performed
            if (helper := self.helpers[act.part.name]).trouble
        ]
        return idle + broken

    def notes(self) -> list[str]:
        """Return a line for each act that never happened, and need not."""
        return [str(one) for act, one in self._idle() if act.is_optional]

    def _idle(self) -> list[tuple[Act, Trouble]]:
        """Return the acts that never happened, and why."""
        return [
            (
                act,
                Trouble(
                    act.where,
                    f"{act.title} never happened",
                    act.refusal or why_not(act, self.logs.values()),
                ),
            )
            for act in self._acts
            if not act.performed
        ]

    async def _follow(self, group: TaskGroup, log: Log) -> None:
        entries_of = follow_session(
            self._overseer, log.session_id, patience_seconds=PATIENCE_SECONDS
        )
        async with aclosing(entries_of) as entries:
            async for entry in entries:
                assert isinstance(entry, Event), "an overseer sees everything"
                log.events.append(entry)
                self._tell(Logged(log.buyer, entry))
                for act in self._acts:
                    if act.is_due(log, entry):
                        await self._perform(group, act, log, entry)
                log.move(entry.offset)

    async def _perform(self, group: TaskGroup, act: Act, log: Log, event: Event) -> None:
        match act.part:
            case FaultPart() as fault:
                await self._break(group, act, fault, log, event)
            case OverseerPart() as intervention:
                await self._intervene(act, intervention, log, event)
            case WatcherPart(name=name):
                await self.watchers[name].join(group, log.session_id, event.offset)
                act.performed += 1
            case SubAgentPart(name=name):
                helper = self.helpers[name]
                await group.start(helper.begin, self.buyers[log.buyer], log.session_id)
                act.refusal = helper.trouble
                act.performed += not helper.trouble

    async def _perform_at_time(self, group: TaskGroup, act: Act, moment: float) -> None:
        await anyio.sleep(moment)
        at, part = act.part.at, act.part
        act.came += 1
        if isinstance(part, FaultPart):
            if act.chance_has_it(at.agent):
                self._happen(group, act, part, at.agent, None)
            return
        for log in list(self.logs.values()):
            if fnmatchcase(log.buyer, at.agent) and log.events:
                await self._perform(group, act, log, log.events[-1])

    async def _break(
        self, group: TaskGroup, act: Act, fault: FaultPart, log: Log, event: Event
    ) -> None:
        if fault.at.chunk is not UNSET and fault.kind in LINE_FAULTS:
            await self._reads(fault, log, event.offset)
        self._happen(group, act, fault, log.buyer, log)

    def _happen(
        self, group: TaskGroup, act: Act, fault: FaultPart, agent: str, log: Log | None
    ) -> None:
        def done(happened: bool, whose: str, detail: str) -> None:
            act.performed += happened
            if happened:
                self.happened[fault.kind, whose] += 1
            self._note(act, fault.kind, happened, detail, log)

        def later(after: float, call: Callable[[], Awaitable[None] | None]) -> None:
            group.start_soon(_later, after, call)

        self.breakables.happen(fault, agent, done, later)

    async def _reads(self, fault: FaultPart, log: Log, offset: int) -> None:
        """Wait until those who are cut read, so that they are cut while they do."""
        if fault.whose is UNSET:
            await self.views[log.buyer].reads(log.session_id, offset)
        for name, watcher in self.watchers.items():
            is_here = watcher.session_id == log.session_id
            if is_here and fnmatchcase(name, fault.target):
                await watcher.reads(offset)

    async def _intervene(self, act: Act, part: OverseerPart, log: Log, event: Event) -> None:
        await anyio.sleep(seconds(part.after))
        human = self._overseer
        if part.by is not UNSET:
            watcher = self.watchers[part.by]
            if watcher.session_id != log.session_id:
                self._note(act, part.do, False, f"{part.by} does not watch this journey", log)
                return
            await watcher.reads(event.offset)
            human = watcher.market
        try:
            views = await human.control(
                log.session_id,
                part.do,
                order_id=event.order_id if part.run is UNSET else None,
                run=None if part.run is UNSET else part.run,
                reason=part.reason,
                text=part.text,
            )
        except Refused as refused:
            self._note(act, part.do, False, refused.detail, log)
            return
        answers = [f"{view.answer or 'asked'}: {view.detail}".rstrip(": ") for view in views]
        act.performed += 1
        self._note(act, part.do, True, "; ".join(answers), log)

    def _note(self, act: Act, what: str, done: bool, detail: str, log: Log | None) -> None:
        act.refusal = "" if done else detail
        if log is None:
            self._tell(Acted(act.part.at.agent, None, what, done, detail))
        else:
            self._tell(Acted(log.buyer, log.events[-1].offset, what, done, detail))


async def _later(after: float, call: Callable[[], Awaitable[None] | None]) -> None:
    await anyio.sleep(after)
    called = call()
    if called is not None:
        await called
