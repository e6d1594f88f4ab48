"""The director: follows every journey's log, and performs what the story says at each place.

Faults and overseer acts happen between two entries of a log, before the seller goes on: a seller
waits until the director has come to the entry that it just wrote. So no race decides a story.
"""

from contextlib import aclosing
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import anyio
from anyio.abc import TaskGroup
from msgspec import UNSET

from buyer_agents import MarketClient, Refused, follow_session
from market.protocol.events import Event
from scenarios.engine.agents import BuyersView
from scenarios.engine.form import FaultPart, OverseerPart, Trigger, seconds
from scenarios.engine.story import Story, Trouble
from scenarios.engine.telling import Acted, Logged, Tell


@dataclass
class Act:
    """A fault or overseer act, where it stands in the file, and what became of it so far."""

    part: FaultPart | OverseerPart
    where: str
    performed: int = 0
    refusal: str = ""
    left: dict[str, int] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What it does, and when."""
        name = self.part.kind if isinstance(self.part, FaultPart) else self.part.do
        return f"{name} at {self.part.at}"

    def is_due(self, log: "Log", event: Event) -> bool:
        """Whether it happens at this entry; several cuts in a row take the chunks that follow."""
        if not fnmatchcase(log.buyer, self.part.at.agent):
            return False
        times = self.part.times if isinstance(self.part, FaultPart) else 1
        left = self.left.setdefault(log.session_id, times)
        if left == 0:
            return False
        has_begun = left < times
        is_here = event.kind == "delivery.chunk" if has_begun else _meets(self.part.at, event)
        self.left[log.session_id] -= is_here
        return is_here


class Log:
    """One journey's log as the director has read it."""

    def __init__(self, buyer: str, session_id: str) -> None:
        self.buyer = buyer
        self.session_id = session_id
        self.events: list[Event] = []
        self.offset = -1
        self._moved = anyio.Event()

    def move(self, offset: int) -> None:
        """Everything up to ``offset`` is read, and what it triggers is done."""
        self.offset = offset
        self._moved.set()
        self._moved = anyio.Event()

    async def reaches(self, offset: int) -> None:
        """Wait until the log is read up to ``offset``."""
        while self.offset < offset:
            await self._moved.wait()


class Director:
    """Knows every journey of a run. ``views`` are the buyers' own, by their names."""

    def __init__(self, story: Story, overseer: MarketClient, tell: Tell) -> None:
        self.logs: dict[str, Log] = {}
        self.views: dict[str, BuyersView] = {}
        self._overseer = overseer
        self._tell = tell
        scenario = story.scenario
        faults = [
            Act(part, story.where("faults", number)) for number, part in enumerate(scenario.faults)
        ]
        interventions = [
            Act(part, story.where("overseer", number))
            for number, part in enumerate(scenario.overseer)
        ]
        self.acts = faults + interventions

    def may_cut(self, buyer: str) -> bool:
        """Whether some fault is about this buyer, so that it needs a cable of its own."""
        return any(
            isinstance(act.part, FaultPart) and fnmatchcase(buyer, act.part.at.agent)
            for act in self.acts
        )

    def watch(self, group: TaskGroup, buyer: str, session_id: str) -> None:
        """Follow a session from its first entry on."""
        self.logs[session_id] = Log(buyer, session_id)
        group.start_soon(self._follow, self.logs[session_id])

    async def reaches(self, session_id: str, offset: int | None) -> None:
        """Wait until a log is read up to ``offset`` (None: up to its present end)."""
        if offset is None:
            offset = (await self._overseer.session(session_id)).next_offset - 1
        await self.logs[session_id].reaches(offset)

    async def finish(self) -> None:
        """Wait until every log is read to its present end."""
        for session_id in self.logs:
            await self.reaches(session_id, None)

    def idle_acts(self) -> list[Trouble]:
        """Return a trouble for each act that never happened."""
        return [
            Trouble(act.where, f"{act.title} never happened", act.refusal)
            for act in self.acts
            if not act.performed
        ]

    async def _follow(self, log: Log) -> None:
        async with aclosing(follow_session(self._overseer, log.session_id)) as entries:
            async for entry in entries:
                assert isinstance(entry, Event), "an overseer sees everything"
                log.events.append(entry)
                self._tell(Logged(log.buyer, entry))
                for act in self.acts:
                    if act.is_due(log, entry):
                        await self._perform(act, log, entry)
                log.move(entry.offset)

    async def _perform(self, act: Act, log: Log, event: Event) -> None:
        part = act.part
        if isinstance(part, FaultPart):
            done, what, detail = await self._disconnect(part, log, event)
        else:
            done, what, detail = await self._intervene(part, log, event)
        act.performed += done
        act.refusal = "" if done else detail
        self._tell(Acted(log.buyer, event.offset, what, done, detail))

    async def _disconnect(self, part: FaultPart, log: Log, event: Event) -> tuple[bool, str, str]:
        view = self.views[log.buyer]
        if part.at.chunk is not UNSET:
            # Cut while the buyer reads, not before it has begun to.
            await view.reads(log.session_id, event.offset)
        dead_seconds = seconds(part.reconnect_after)
        broke = view.cut(dead_seconds)
        lines = "the connection is" if broke == 1 else f"{broke} connections are"
        away = f", and dead for {part.reconnect_after}" if dead_seconds else ""
        return broke > 0, part.kind, f"{lines} cut{away}"

    async def _intervene(self, part: OverseerPart, log: Log, event: Event) -> tuple[bool, str, str]:
        await anyio.sleep(seconds(part.after))
        try:
            views = await self._overseer.control(
                log.session_id,
                part.do,
                order_id=event.order_id,
                reason=part.reason,
                text=part.text,
            )
        except Refused as refused:
            return False, part.do, refused.detail
        answers = [f"{view.answer or 'asked'}: {view.detail}".rstrip(": ") for view in views]
        return True, part.do, "; ".join(answers)


def _meets(at: Trigger, event: Event) -> bool:
    if at.chunk is not UNSET:
        return event.kind == "delivery.chunk" and event.body["index"] == at.chunk
    return event.offset == at.offset if at.offset is not UNSET else event.kind == at.event
