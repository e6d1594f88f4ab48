"""Acts of a story: what happens at a place of a log, and whether it did."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from random import Random
from typing import Final

import anyio
from msgspec import UNSET

from market.protocol.events import Event
from scenarios.engine.form import (
    MOMENTS,
    FaultPart,
    OverseerPart,
    SubAgentPart,
    Trigger,
    WatcherPart,
)
from scenarios.engine.seeds import chance_of
from scenarios.engine.story import Story

_CHUNK: Final = "delivery.chunk"
_STEP: Final = "run.step"


@dataclass
class Act:
    """A part of a story that happens, where its moment stands, and what became of it so far.

    ``came`` counts its moments, whether or not chance had it then.
    """

    part: FaultPart | OverseerPart | WatcherPart | SubAgentPart
    where: str
    chance_for: Callable[[str], Random]
    came: int = 0
    performed: int = 0
    refusal: str = ""
    left: dict[str, int] = field(default_factory=dict)
    chances: dict[str, Random] = field(default_factory=dict)

    @property
    def is_optional(self) -> bool:
        """Whether it need not happen."""
        return isinstance(self.part, FaultPart | OverseerPart) and self.part.optional

    @property
    def title(self) -> str:
        """What it does, and when."""
        match self.part:
            case WatcherPart(name=watcher):
                name = f"watcher {watcher}"
            case SubAgentPart(name=sub_agent):
                name = f"sub-agent {sub_agent}"
            case OverseerPart(do=action):
                name = action
            case fault:
                name = fault.kind
        return f"{name} at {self.part.at}"

    def is_due(self, log: "Log", event: Event) -> bool:
        """Whether it happens at this entry; of several times, the others take its like."""
        at = self.part.at
        if not fnmatchcase(log.buyer, at.agent):
            return False
        times = self.part.times if isinstance(self.part, FaultPart) else 1
        left = self.left.setdefault(log.session_id, times)
        if left == 0:
            return False
        is_here = _is_like(at, event) if left < times else _meets(at, event)
        self.came += is_here
        is_due = is_here and self.chance_has_it(log.buyer)
        self.left[log.session_id] -= is_due
        return is_due

    def chance_has_it(self, buyer: str) -> bool:
        """Draw whether it happens; each buyer has a chance of its own."""
        if not isinstance(self.part, FaultPart) or self.part.probability == 1:
            return True
        if buyer not in self.chances:
            self.chances[buyer] = self.chance_for(buyer)
        return self.chances[buyer].random() < self.part.probability


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


def acts_of(story: Story, seed: int) -> list[Act]:
    """Return all acts of a story. At one place they happen in this order."""
    scenario = story.scenario
    tables: dict[str, list[FaultPart | OverseerPart | WatcherPart | SubAgentPart]] = {
        "watchers": [*scenario.watchers],
        "sub_agents": [*scenario.sub_agents],
        "faults": [*scenario.faults],
        "overseer": [*scenario.overseer],
    }
    return [
        Act(
            part,
            story.where(table, number, "at", *given_moments(part.at)),
            chance_for=partial(_chance, f"{table} {number}", seed),
        )
        for table, parts in tables.items()
        for number, part in enumerate(parts)
    ]


def why_not(act: Act, logs: Iterable[Log]) -> str:
    """Return why an act never happened: what there was in place of its moment."""
    at = act.part.at
    if act.came:
        if isinstance(act.part, FaultPart) and act.part.probability < 1:
            rest = "" if act.is_optional else "; if it need not happen, set optional = true"
            return (
                f"its moment came {_times(act.came)}, and a probability of"
                f" {act.part.probability:g} never had it{rest}"
            )
        return "its moment came, and nothing after it that it could happen to"
    if at.time is not UNSET:
        return "everything was over before"
    theirs = [log.events for log in logs if fnmatchcase(log.buyer, at.agent) and log.events]
    if not theirs:
        return f"no journey of {at.agent} began"
    if at.chunk is not UNSET:
        chunks = [event.body["index"] for log in theirs for event in log if event.kind == _CHUNK]
        return f"the last chunk was {max(chunks)}" if chunks else "no chunk was delivered"
    last = max((log[-1] for log in theirs), key=lambda event: event.offset)
    return f"the log ended with {last.kind} at offset {last.offset}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _chance(act: str, seed: int, buyer: str) -> Random:
    return chance_of(seed, f"{act} at {buyer}")


def given_moments(at: Trigger) -> list[str]:
    """Return the members of a trigger that name its moment: one, in a story that was checked."""
    return [name for name in MOMENTS if getattr(at, name) is not UNSET]


def _meets(at: Trigger, event: Event) -> bool:
    """Whether an event is the moment of a trigger."""
    if at.time is not UNSET:
        return False
    if at.chunk is not UNSET:
        return event.kind == _CHUNK and event.body["index"] == at.chunk
    if at.step is not UNSET:
        return event.kind == _STEP and f"{event.body['run']}/{event.body['step']}" == at.step
    if at.action is not UNSET:
        return event.kind == "control.answered" and event.body["action"] == at.action
    return event.offset == at.offset if at.offset is not UNSET else event.kind == at.event


def _is_like(at: Trigger, event: Event) -> bool:
    """Whether an event is of the kind that followed moments of a trigger are of."""
    if at.step is not UNSET:
        return event.kind == _STEP and event.body["run"] == at.step.partition("/")[0]
    return event.kind == (_CHUNK if at.event is UNSET else at.event)
