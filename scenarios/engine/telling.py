"""What a run tells while it happens: to a progress line, a timeline, or nobody."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from market.protocol.events import Event
from market.protocol.folded import Folded


class Opened(NamedTuple):
    """The market is open, and everybody is registered. ``names`` are the agents by their ids."""

    url: str
    names: Mapping[str, str]


class Logged(NamedTuple):
    """An entry of a buyer's journey reached the log."""

    buyer: str
    event: Event


class Acted(NamedTuple):
    """A fault or an overseer's act was performed, or not, right after ``offset``.

    Of what happens at a time, ``buyer`` is the agent, and there is no offset.
    """

    buyer: str
    offset: int | None
    what: str
    done: bool
    detail: str


class Joined(NamedTuple):
    """A device joined a journey right after ``offset``: with every entry, or a snapshot first."""

    buyer: str
    device: str
    over: str
    offset: int
    snapshot: Folded | None


class Resumed(NamedTuple):
    """A live stream that was cut goes on behind ``after``: the buyer's, or that of a device."""

    buyer: str
    after: int
    device: str = ""


class Broke(NamedTuple):
    """The own code of an agent raised something, and the agent is gone."""

    agent: str
    detail: str


class JourneyOver(NamedTuple):
    """A buyer is through: ``over`` of ``all`` buyers are."""

    buyer: str
    over: int
    all: int


News = Opened | Logged | Acted | Joined | Resumed | Broke | JourneyOver
Tell = Callable[[News], None]


def nobody(news: News) -> None:
    """Listen to nothing."""
