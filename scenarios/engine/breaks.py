"""Agents whose own code broke: they leave, the run goes on, and in the end it is told.

A policy, a behaviour or a service of one's own may raise anything. That is a mistake in the story
and not in the market: whose it was, where in that code, and what it raised.
"""

import inspect
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from buyer_agents import MarketClient, MarketUnreachable, Refused
from buyer_agents.journey import Diary, Left
from buyer_agents.returning import WrongReturn
from market.protocol.events import STAGES
from market.protocol.text import one_line
from scenarios.engine.acts import Log
from scenarios.engine.story import Trouble

MAX_MESSAGE: Final = 200
_ROOT: Final = Path(__file__).parents[2]
_FOREIGN: Final = (
    *(_ROOT / name for name in ("market", "buyer_agents", "seller_services", "scenarios/engine")),
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
)
"""Where the code of this project, of Python and of what is installed lies."""

_ENDED: Final = frozenset({"settled", "cancelled", "failed"})
_WORKING: Final = ("placed", "started")

log: Final = structlog.get_logger(__name__)


class Break(NamedTuple):
    """One agent's end: ``where`` in the story, and at which ``place`` of the code.

    ``kind`` is the type of what was raised, ``what`` that with its message.
    """

    where: str
    agent: str
    place: str
    kind: str
    what: str
    hint: str


class Breaks:
    """Every agent of a run that broke, in the order in which they did."""

    def __init__(self) -> None:
        self._found: list[Break] = []

    def note(self, where: str, agent: str, made_by: str, error: BaseException) -> str:
        """Take down what an agent's own code raised, and return it in a few words.

        ``made_by`` is the name of that code in the story. The whole traceback goes to the log.
        """
        log.error("agent.broke", agent=agent, made_by=made_by, exc_info=error)
        for one in _alone(error):
            self._found.append(_break(where, agent, made_by, one))
        return self._found[-1].what

    def troubles(self) -> list[Trouble]:
        """Return a trouble for each place of the code that broke, of each table of the story."""
        alike: dict[tuple[str, str, str], list[Break]] = {}
        for one in self._found:
            alike.setdefault((one.where, one.place, one.kind), []).append(one)
        return [
            Trouble(where, f"{_people(found)} broke at {place}: {found[0].what}", found[0].hint)
            for (where, place, _), found in alike.items()
        ]


def is_own(name: str) -> bool:
    """Whether a name of a policy, a behaviour or a service is that of code of one's own."""
    return ":" in name or "." in name


async def leave(client: MarketClient, buyer_log: Log, what: str) -> None:
    """Let a buyer that broke leave its open journey, with the reason.

    An order that it has still open goes on without it, as with a buyer that went away.
    """
    events = buyer_log.events
    decisions = [event for event in events if event.kind == "decision.made"]
    has_left = any(event.body["outcome"] == "leave" for event in decisions)
    if has_left or any(event.kind == "session.closed" for event in events):
        return
    passed = [event.body["stage"] for event in decisions]
    stage = next((stage for stage in STAGES if stage not in passed), None)
    diary = Diary(client, buyer_log.session_id, len(events), passed=passed)
    try:
        if stage is not None:
            diary.enter(stage)
            await diary.leave(Left("other", f"its own code broke: {what}"))
        placed = {event.order_id for event in events if event.kind == "order.placed"}
        states = [(await client.order(order)).state for order in placed if order]
        if all(state in _ENDED for state in states):
            await client.close_session(buyer_log.session_id)
    except (Refused, MarketUnreachable) as error:
        log.warning("agent.left_silently", session_id=buyer_log.session_id, why=str(error))


async def give_up(client: MarketClient, what: str) -> None:
    """Let a seller that broke give up the orders that it has, with the reason."""
    try:
        for state in _WORKING:
            for order in (await client.orders(state=state)).items:
                if order.seller_id == client.agent_id:
                    await client.fail(order.id, f"the seller's own code broke: {what}")
    except (Refused, MarketUnreachable) as error:
        log.warning("agent.left_silently", agent_id=client.agent_id, why=str(error))


def told(error: BaseException) -> str:
    """Return where an error was raised, in the code of one's own if it came by that, and what."""
    one = _alone(error)[0]
    return f"{_place(one)[0]}: {_described(one)}"


def _break(where: str, agent: str, made_by: str, error: BaseException) -> Break:
    """Return what broke; an error of ours over what code of one's own answered is that code's."""
    place, is_own = _place(error)
    hint = ""
    if not is_own:
        is_told = isinstance(error, WrongReturn)
        hint = "" if is_told else f"raised at {place}, over what {made_by} answered"
        place = _home(made_by)
    return Break(where, agent, place, type(error).__name__, _described(error), hint)


def _home(made_by: str) -> str:
    """Return the line in which a class of one's own begins; its name if that cannot be read."""
    module_name, _, name = made_by.partition(":")
    found = getattr(sys.modules.get(module_name), name, None)
    try:
        _, line = inspect.getsourcelines(found)  # type: ignore[arg-type]
        return f"{_short(inspect.getfile(found))}:{line}"  # type: ignore[arg-type]
    except (OSError, TypeError):
        return made_by


def _alone(error: BaseException) -> list[BaseException]:
    """Return what task groups wrapped: all but that the market could not be reached."""
    found = [one for one in _leaves(error) if not isinstance(one, MarketUnreachable)]
    return found or [error]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for one in error.exceptions:
        yield from _leaves(one)


def _place(error: BaseException) -> tuple[str, bool]:
    """Return the line of one's own code that raised, or let raise; else of ours, and False."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short(error.filename)}:{error.lineno}", True
    frames = [(one.filename, one.lineno) for one in traceback.extract_tb(error.__traceback__)]
    own = [frame for frame in frames if _is_own(frame[0])]
    filename, line = (own or frames or [("", 0)])[-1]
    return f"{_short(filename)}:{line}", bool(own)


def _is_own(filename: str) -> bool:
    """Whether a file is neither of this project, nor of Python, nor installed."""
    path = Path(filename)
    return path.is_absolute() and not any(path.is_relative_to(folder) for folder in _FOREIGN)


def _short(filename: str) -> str:
    """Return a file as people name it: from the working folder, or from ours, if it is in that."""
    for folder in (Path.cwd(), _ROOT):
        if Path(filename).is_relative_to(folder):
            return str(Path(filename).relative_to(folder))
    return filename


def _described(error: BaseException) -> str:
    message = one_line(str(error), MAX_MESSAGE)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _people(found: list[Break]) -> str:
    names = list(dict.fromkeys(one.agent for one in found))
    more = len(names) - 1
    return f"{names[0]} and {more} more" if more else names[0]
