"""What the structs alone cannot say: that all that is named exists, and can be read."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from buyer_agents import BadParams, UnknownPolicy
from market.protocol.manifest import BadManifest
from market.protocol.money import NotMoney, parse_amount
from scenarios.engine import metrics
from scenarios.engine.breaks import is_own, told
from scenarios.engine.cues import bad_cues
from scenarios.engine.deciding import policy_for, reach
from scenarios.engine.expressions import BadExpression
from scenarios.engine.files import BadInput, read_input
from scenarios.engine.form import (
    BuyerPart,
    ClockPart,
    Scenario,
    SellerPart,
    names_of,
    principal_of,
    run_of,
    seconds,
)
from scenarios.engine.naming import Found, named, near, near_class
from scenarios.engine.places import Place
from scenarios.engine.services import UnknownService, seller_for
from scenarios.engine.story import BadScenario, Story, Trouble, dotted
from scenarios.engine.vouching import OVERSEER, SECOND
from seller_services.behaviours import UnknownBehaviour

AMOUNTS: Final = frozenset({"max_price", "budget", "approval_over", "wallet", "price", "bond"})
_WINDOWS: Final = frozenset(
    {"quote_ttl", "approval_ttl", "accept_window", "expires", "deliver_within"}
)


def check(story: Story) -> Story:
    """Return a story in which all that is named exists, and amounts and expressions can be read.

    Raises:
        BadScenario: every trouble that was found.
    """
    reach(story.folder)
    troubles = [
        Trouble(story.where(*path), detail, hint) for path, detail, hint in _troubles(story)
    ]
    if troubles:
        raise BadScenario(*troubles)
    return story


def _troubles(story: Story) -> Found:
    scenario = story.scenario
    buyers = [name for buyer in scenario.buyers for name in names_of(buyer)]
    sellers = [name for seller in scenario.sellers for name in names_of(seller)]
    yield from _doubles(scenario)
    yield from _amounts(scenario)
    yield from _times(scenario)
    for number, seller in enumerate(scenario.sellers):
        yield from _seller(("sellers", number), seller, story)
    for number in range(len(scenario.buyers)):
        yield from _buyer(story, number, buyers, sellers)
    yield from _inputs(story)
    yield from bad_cues(scenario, buyers, sellers)
    agents = {
        "agent": [*buyers, *sellers],
        "seller": sellers,
        "watcher": [watcher.name for watcher in scenario.watchers],
        "run": [run_of(sub_agent) for sub_agent in scenario.sub_agents],
    }
    for number, expectation in enumerate(scenario.expect):
        yield from _expression(("expect", number, "that"), expectation.that, agents)


def _seller(here: Place, seller: SellerPart, story: Story) -> Found:
    try:
        seller_for(seller, names_of(seller)[0], story.scenario.seed)
    except UnknownService as error:
        yield (*here, "service"), str(error), near_class(seller.service)
    except UnknownBehaviour as error:
        yield (*here, "behaviour"), str(error), near_class(seller.behaviour)
    except BadParams as error:
        yield (*here, "params", error.param), str(error), _without_params(story, here, seller)
    except BadManifest as error:
        yield here, str(error), ""
    except Exception as error:
        # The edge to code of the story's own, as in a run.
        if not (is_own(seller.behaviour) or is_own(seller.service)):
            raise
        member = "behaviour" if is_own(seller.behaviour) else "service"
        yield (*here, member), f"{getattr(seller, member)} broke at {told(error)}", ""


def _doubles(scenario: Scenario) -> Found:
    taken = {OVERSEER, SECOND}
    for number, seller in enumerate(scenario.sellers):
        yield from _double(("sellers", number, "name"), names_of(seller), taken)
    for number, buyer in enumerate(scenario.buyers):
        names = names_of(buyer)
        yield from _double(("buyers", number, "name"), [*names, *map(principal_of, names)], taken)
    for number, watcher in enumerate(scenario.watchers):
        yield from _double(("watchers", number, "name"), [watcher.name], taken)
    for number, sub_agent in enumerate(scenario.sub_agents):
        yield from _double(("sub_agents", number, "name"), [sub_agent.name], taken)


def _double(path: Place, names: list[str], taken: set[str]) -> Found:
    double = next((name for name in names if name in taken), None)
    if double is not None:
        yield path, f"the name {double!r} is taken", ""
    taken.update(names)


def _amounts(scenario: Scenario) -> Found:
    """Find amounts that are none in the market's currency, and windows below a second."""
    currency = scenario.market.currency
    tree: dict[str, Any] = msgspec.to_builtins(scenario)
    for path, value in _members(tree, ()):
        if path[-1] in AMOUNTS and isinstance(value, str):
            try:
                parse_amount(value, currency)
            except NotMoney as error:
                yield path, str(error), ""
        elif path[-1] in _WINDOWS and not _is_whole(seconds(value)):
            yield path, f"{dotted(path, tree)} is a whole number of seconds, at least 1", ""


def _times(scenario: Scenario) -> Found:
    """Find what says how time passes, and cannot be so."""
    clock = scenario.market.clock
    if clock.mode == "real":
        for member in ("speed", "until"):
            if getattr(clock, member) != getattr(ClockPart(), member):
                path = ("market", "clock", member)
                yield path, f"{member} is for virtual time", 'set mode = "virtual"'
    for number, buyer in enumerate(scenario.buyers):
        here: Place = ("buyers", number)
        if buyer.arrive.jitter and not seconds(buyer.arrive.every):
            yield (*here, "arrive", "jitter"), "jitter is a share of every, which is not given", ""
        if seconds(buyer.rest) and buyer.journeys == 1:
            yield (*here, "rest"), "rest is between two journeys, and there is one", ""


def _is_whole(duration: float) -> bool:
    return duration >= 1 and duration.is_integer()


def _members(tree: Any, path: Place) -> Iterator[tuple[Place, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for step, value in items:
        if step in ("input", "params", "output"):
            continue
        if isinstance(value, dict | list | tuple):
            yield from _members(value, (*path, step))
        else:
            yield (*path, step), value


def _buyer(story: Story, number: int, buyers: list[str], sellers: list[str]) -> Found:
    buyer = story.scenario.buyers[number]
    here: Place = ("buyers", number)
    yield from _policy(here, buyer, story)
    for place, pattern in enumerate(buyer.recommend_to):
        yield from named((*here, "recommend_to", place), pattern, buyers)
    if buyer.arrive.after is not UNSET:
        others = [name for name in buyers if name not in names_of(buyer)]
        yield from named((*here, "arrive", "after"), buyer.arrive.after, others)
    if buyer.mandate is not UNSET:
        for member in ("sellers_allow", "sellers_deny"):
            patterns: list[str] | UnsetType = getattr(buyer.mandate, member)
            for place, pattern in enumerate(patterns or ()):
                yield from named((*here, "mandate", member, place), pattern, sellers)


def _inputs(story: Story) -> Found:
    """Find inputs that cannot be read; what is wrong with one file is said once."""
    known: set[str] = set()
    for number, buyer in enumerate(story.scenario.buyers):
        try:
            read_input(buyer.need.input, story.folder)
        except BadInput as error:
            if str(error) not in known:
                yield ("buyers", number, "need", "input"), str(error), ""
            known.add(str(error))


def _policy(here: Place, buyer: BuyerPart, story: Story) -> Found:
    try:
        policy_for(buyer, names_of(buyer)[0], story.scenario.seed)
    except UnknownPolicy as error:
        yield (*here, "policy"), str(error), near_class(buyer.policy)
    except BadParams as error:
        yield (*here, "params", error.param), str(error), _without_params(story, here, buyer)
    except Exception as error:
        # The edge to code of the story's own, as in a run.
        if not is_own(buyer.policy):
            raise
        yield (*here, "policy"), f"{buyer.policy} broke at {told(error)}", ""


def _without_params(story: Story, here: Place, part: BuyerPart | SellerPart) -> str:
    """Return a hint, if an option replaced a policy or a behaviour, and the params stayed."""
    replaced = any((*here, member) in story.given for member in ("policy", "behaviour"))
    is_stale = replaced and part.params and (*here, "params") not in story.given
    return f"--set {here[0]}.{part.name}.params={{}}" if is_stale else ""


def _expression(path: Place, source: str, agents: Mapping[str, list[str]]) -> Found:
    try:
        expression = metrics.read(source)
    except BadExpression as error:
        yield path, json.dumps(source) + f": {error}", ""
        return
    for use in expression.uses:
        parameter = metrics.SIGNATURES[use.metric].parameter
        if parameter:
            yield from named(path, use.argument, agents[parameter], parameter)
    values = {**metrics.VALUES, "seller": ("", *agents["seller"])}
    for use, text in expression.texts:
        known = values.get(use.metric)
        if known is not None and text not in known:
            yield path, f"{use.source} is never {text!r}", near(text, [one for one in known if one])
