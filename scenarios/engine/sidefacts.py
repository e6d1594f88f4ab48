"""What happened in a session beside its orders: runs of sub-agents, devices, pauses.

As all facts, they are told from the log alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from market.protocol.events import Event


@dataclass(kw_only=True)
class RunFacts:
    """One run of a sub-agent as its log tells it. ``attempts`` are counted by step.

    ``outcome`` is "" while it goes on.
    """

    run: str
    title: str
    actor_ids: set[str] = field(default_factory=set)
    attempts: dict[str, int] = field(default_factory=dict)
    outcome: str = ""
    detail: str = ""


def runs_of(events: Iterable[Event]) -> list[RunFacts]:
    """Return the runs of a session, in the order in which they began."""
    runs: dict[str, RunFacts] = {}
    for event in events:
        body = event.body
        if event.kind == "run.started":
            runs[body["run"]] = RunFacts(run=body["run"], title=body["title"])
        if not event.kind.startswith("run."):
            continue
        run = runs[body["run"]]
        run.actor_ids.add(event.actor_id)
        if event.kind == "run.step":
            run.attempts[body["step"]] = body["attempt"]
        elif event.kind == "run.ended":
            run.outcome, run.detail = body["outcome"], body["detail"]
    return list(runs.values())


def turns(events: Iterable[Event]) -> int:
    """Return how often a step of one run follows a step of another: work side by side."""
    steps = [event.body["run"] for event in events if event.kind == "run.step"]
    return sum(one != other for one, other in pairwise(steps))


def most_present(events: Iterable[Event]) -> int:
    """Return how many devices were present in a session at one time, at most."""
    most = 0
    present: set[tuple[str, str]] = set()
    for event in events:
        if event.kind == "presence.joined":
            present.add((event.body["agent_id"], event.body["device"]))
        elif event.kind == "presence.left":
            present.discard((event.body["agent_id"], event.body["device"]))
        most = max(most, len(present))
    return most


def chunks_in_pause(events: Iterable[Event]) -> int | None:
    """Return how many chunks were delivered to paused orders; None if none was ever paused."""
    paused: set[str | None] = set()
    count: int | None = None
    for event in events:
        said = (event.body.get("action"), event.body.get("answer"))
        if event.kind == "control.answered" and said == ("pause", "accepted"):
            paused.add(event.order_id)
            count = count or 0
        elif event.kind == "control.answered" and said == ("resume", "accepted"):
            paused.discard(event.order_id)
        elif event.kind == "delivery.chunk" and event.order_id in paused:
            count = (count or 0) + 1
    return count
