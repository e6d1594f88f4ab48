"""``market check``: read scenarios, and print what would be played."""

import shlex
from pathlib import Path
from typing import Final

import rich_click as click
from msgspec import UNSET

from market.cli.failures import reported
from market.cli.options import json_option
from market.cli.output import emit, hint, say, table
from market.cli.playing import stage_all
from market.cli.sweepoptions import sweep_options
from market.cli.sweepreport import print_plan
from scenarios.engine import OverseerPart, Scenario, Story
from scenarios.engine.form import names_of
from scenarios.engine.metrics import METRICS
from scenarios.engine.sweeping import Options, Sweep, is_single, plan, read_options, typed

_FORCE: Final = {"fail": "must", "warn": "should"}


MAX_NAMES: Final = 4
"""Agents of one table that a plan names one by one."""


@click.command()
@click.argument("scenarios", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--metrics", is_flag=True, help="List the metrics that expectations may name.")
@sweep_options
@json_option
@reported
def check(
    scenarios: tuple[Path, ...],
    metrics: bool,
    replicas: int | None,
    sets: tuple[str, ...],
    matrix: tuple[str, ...],
    scale: str | None,
    as_json: bool,
) -> None:
    """Read SCENARIOS, name every mistake by its line, and print the plans. Nothing is run."""
    if metrics:
        _print_metrics(as_json=as_json)
        return
    if not scenarios:
        raise click.UsageError("Missing argument 'SCENARIOS...'.")
    options = read_options(replicas=replicas, sets=sets, matrix=matrix, scale=scale)
    staged = stage_all(scenarios, options)
    if as_json:
        plans = [_plan(stories, options) for stories in staged]
        emit(plans[0] if len(plans) == 1 else plans)
        return
    for stories in staged:
        _print_plan(stories[0].scenario)
        if isinstance(planned := _plan(stories, options), Sweep):
            print_plan(planned)
    hint(shlex.join(["market", "run", *map(str, scenarios), *typed(options)]))


def _plan(stories: list[Story], options: Options) -> Scenario | Sweep:
    """Return what would be played: the scenario itself, or the sweep of it."""
    scenarios = [story.scenario for story in stories]
    if is_single(options, scenarios[0]):
        return scenarios[0]
    return plan(scenarios, options, scenario=stories[0].place, digest=stories[0].digest)


def _print_metrics(*, as_json: bool) -> None:
    forms = {
        f"{name}({metric.signature.parameter}='name')" if metric.signature.parameter else name: (
            metric
        )
        for name, metric in METRICS.items()
    }
    if as_json:
        emit({form: metric.meaning for form, metric in forms.items()})
        return
    rows = [(form, metric.signature.kind, metric.meaning) for form, metric in forms.items()]
    table(("Metric", "Kind", "Meaning"), rows)


def _print_plan(scenario: Scenario) -> None:
    summary = "" if scenario.summary is UNSET else f"   {scenario.summary}"
    say(f"✓ {scenario.name}   seed {scenario.seed}{summary}")
    rows = []
    for seller in scenario.sellers:
        rows.append(("seller", _all(names_of(seller)), f"sells {seller.service}"))
    for buyer in scenario.buyers:
        mandate = "" if buyer.mandate is UNSET else ", under a mandate"
        what = f"{buyer.policy} with {buyer.wallet} {scenario.market.currency}{mandate}"
        rows.append(("buyer", _all(names_of(buyer)), f"{what}: {buyer.need.query}"))
    rows += [("watcher", one.name, f"over {one.over}, at {one.at}") for one in scenario.watchers]
    rows += [("sub-agent", one.name, f"{one.title}, at {one.at}") for one in scenario.sub_agents]
    rows += [("fault", one.kind, f"for {one.target}, at {one.at}") for one in scenario.faults]
    rows += [("overseer", one.do, f"{_by(one)}at {one.at}") for one in scenario.overseer]
    rows += [("expect", _FORCE[one.severity], one.title) for one in scenario.expect]
    table(("  what", "who", "how"), ((f"  {kind}", who, how) for kind, who, how in rows))
    say()


def _all(names: list[str]) -> str:
    """Return the names of one table; of many the first and the last, and how many they are."""
    if len(names) <= MAX_NAMES:
        return ", ".join(names)
    return f"{names[0]} to {names[-1]} ({len(names)})"


def _by(act: OverseerPart) -> str:
    """Return from which device a human acts, if it is said."""
    return "" if act.by is UNSET else f"by {act.by}, "
