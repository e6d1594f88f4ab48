"""Checking what happens in a story: watchers, sub-agents, faults and acts, and their moments."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from msgspec import UNSET

from market.protocol.events import KINDS
from scenarios.engine.form import (
    MOMENTS,
    SELLERS_FAULTS,
    FaultKind,
    FaultPart,
    OverseerPart,
    Scenario,
    Trigger,
    WatcherPart,
    names_of,
    principal_of,
    run_of,
)
from scenarios.engine.naming import Found, named, near
from scenarios.engine.places import Place


def bad_cues(scenario: Scenario, buyers: Sequence[str], sellers: Sequence[str]) -> Found:
    """Find what happens to nobody, at no moment, or by nobody."""
    watchers = [watcher.name for watcher in scenario.watchers]
    workers = [sub_agent.name for sub_agent in scenario.sub_agents]
    steps = _steps(scenario)
    for number, watcher in enumerate(scenario.watchers):
        yield from _watcher(("watchers", number), watcher, scenario, buyers, steps)
    for number, sub_agent in enumerate(scenario.sub_agents):
        yield from _single(("sub_agents", number, "at"), sub_agent.at, buyers, steps)
    yield from _doubled_runs(scenario)
    for number, fault in enumerate(scenario.faults):
        everybody = [*buyers, *sellers, *watchers, *workers]
        yield from _fault(("faults", number), fault, buyers, sellers, steps, everybody)
    for number, act in enumerate(scenario.overseer):
        yield from _act(("overseer", number), act, buyers, steps, watchers)


def _steps(scenario: Scenario) -> list[str]:
    """Return the steps of all runs, as triggers name them."""
    return [
        f"{run_of(part)}/{one.step}"
        for part in scenario.sub_agents
        for one in (*part.steps, *part.steered)
    ]


def _doubled_runs(scenario: Scenario) -> Found:
    """Find a run that two sub-agents would write in one session."""
    taken: Counter[tuple[str, str]] = Counter()
    for number, part in enumerate(scenario.sub_agents):
        taken[part.at.agent, run_of(part)] += 1
        if taken[part.at.agent, run_of(part)] > 1:
            path = ("sub_agents", number, "run")
            yield path, f"another sub-agent has the run {run_of(part)!r} there", ""


def _watcher(
    path: Place,
    watcher: WatcherPart,
    scenario: Scenario,
    buyers: Sequence[str],
    steps: Sequence[str],
) -> Found:
    yield from _single((*path, "at"), watcher.at, buyers, steps)
    if watcher.who is not UNSET:
        buyer = watcher.at.agent
        has_principal = any(
            buyer in names_of(part) for part in scenario.buyers if part.mandate is not UNSET
        )
        owners = [buyer, *([principal_of(buyer)] if has_principal else []), "overseer"]
        yield from named((*path, "who"), watcher.who, owners)


def _fault(
    path: Place,
    fault: FaultPart,
    buyers: Sequence[str],
    sellers: Sequence[str],
    steps: Sequence[str],
    everybody: Sequence[str],
) -> Found:
    is_timed = fault.at.time is not UNSET
    yield from _trigger((*path, "at"), fault.at, everybody if is_timed else buyers, steps)
    if fault.kind != "market-crash":
        known = sellers if fault.kind in SELLERS_FAULTS else everybody
        if fault.whose is not UNSET:
            yield from named((*path, "whose"), fault.whose, known)
        elif fault.kind in SELLERS_FAULTS:
            yield from named((*path, "at", "agent"), fault.at.agent, sellers, "seller")
    for member, kinds in _NEEDED.items():
        is_given = getattr(fault, member) is not UNSET
        if is_given and fault.kind not in kinds:
            yield (*path, member), f"{member} is for {_either(kinds)}, not for {fault.kind}", ""
        if not is_given and fault.kind in kinds and member != "lasts":
            yield path, f"{fault.kind} needs {member}", ""


_NEEDED: Final[dict[str, tuple[FaultKind, ...]]] = {
    "bytes": ("cut",),
    "delay": ("latency", "slow-chunks"),
    "skew": ("clock-skew",),
    "restart_after": ("seller-crash", "market-crash"),
    "lasts": ("latency", "slow-chunks", "clock-skew"),
}
"""Members that some kinds of fault have, and no other; ``lasts`` need not be given."""


def _either(kinds: Sequence[str]) -> str:
    return kinds[0] if len(kinds) == 1 else f"{', '.join(kinds[:-1])} and {kinds[-1]}"


def _act(
    path: Place,
    act: OverseerPart,
    buyers: Sequence[str],
    steps: Sequence[str],
    watchers: Sequence[str],
) -> Found:
    yield from _trigger((*path, "at"), act.at, buyers, steps)
    if act.by is not UNSET:
        yield from named((*path, "by"), act.by, watchers, "watcher")
    if act.run is not UNSET:
        runs = list(dict.fromkeys(step.partition("/")[0] for step in steps))
        yield from named((*path, "run"), act.run, runs, "run")


def _single(path: Place, at: Trigger, buyers: Sequence[str], steps: Sequence[str]) -> Found:
    """Check the moment of what happens once, in one journey."""
    yield from _trigger(path, at, buyers, steps)
    if any(letter in at.agent for letter in "*?"):
        yield (*path, "agent"), "give the name of one buyer", near(at.agent, buyers)


def _trigger(path: Place, at: Trigger, buyers: Sequence[str], steps: Sequence[str]) -> Found:
    given = [name for name in MOMENTS if getattr(at, name) is not UNSET]
    if len(given) != 1:
        yield path, f"give exactly one of {', '.join(MOMENTS[:-1])} and {MOMENTS[-1]}", ""
    yield from named((*path, "agent"), at.agent, buyers)
    if at.event is not UNSET and at.event not in KINDS:
        yield (*path, "event"), f"there is no kind of event {at.event!r}", near(at.event, [*KINDS])
    if at.step is not UNSET:
        yield from named((*path, "step"), at.step, steps, "step")
