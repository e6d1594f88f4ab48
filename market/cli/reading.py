"""What commands need of logs: the names behind ids, entries, and lines of a timeline."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from buyer_agents import MarketClient, Refused
from market.cli.failures import Failure
from market.cli.output import stdout
from market.cli.progress import line_text
from market.cli.timeline import Teller
from market.protocol.chain import Entry
from market.protocol.events import MARKET, Event
from market.protocol.wire import SessionView

_PAGE: Final = 100
_NAMED: Final = ("buyer_id", "principal_id", "seller_id", "agent_id", "delegate_id")


class LogPrinter:
    """Prints a log's entries as lines; the names of agents are asked for when they come up.

    ``label`` stands before each offset.
    """

    def __init__(self, market: MarketClient, *, label: str = "") -> None:
        self._market = market
        self._label = label
        self._names = {MARKET: MARKET}
        self._began_at: float | None = None
        self.teller = Teller(self._names)

    async def line(self, entry: Entry) -> None:
        """Print one entry."""
        if isinstance(entry, Event):
            await self.learn(ids_in(entry))
            moment = datetime.fromisoformat(entry.recorded_at).timestamp()
            if self._began_at is None:
                self._began_at = moment
            seconds = moment - self._began_at
        else:
            seconds = 0.0
        console = stdout()
        console.print(
            line_text(
                self.teller.line(entry),
                seconds=seconds,
                offset=f"{self._label}#{entry.offset}",
                width=console.width if console.is_terminal else 0,
            )
        )

    async def learn(self, agent_ids: Iterable[str]) -> None:
        """Ask for the handles of agents that have not come up yet."""
        for agent_id in agent_ids:
            if agent_id not in self._names:
                try:
                    self._names[agent_id] = (await self._market.agent(agent_id)).handle
                except Refused:
                    # Not everybody may look up everybody: the id is a name, too.
                    self._names[agent_id] = agent_id[:8]


def ids_in(event: Event) -> list[str]:
    """Return the agents that an event names."""
    body = event.body
    named = [body.get(name) for name in _NAMED]
    found = [event.actor_id, *named, *body.get("recipient_ids", ())]
    return [agent_id for agent_id in found if agent_id]


async def newest_session(market: MarketClient, session_id: str | None) -> str:
    """Return ``session_id``, or the newest session that the caller takes part in."""
    if session_id is not None:
        return session_id
    page = await market.sessions(limit=1)
    if not page.items:
        raise Failure("you take part in no session", code="no_session")
    return page.items[0].id


async def entries_of(market: MarketClient, session_id: str, after: int = -1) -> Sequence[Entry]:
    """Return a session's log behind ``after``, up to its present end."""
    entries: list[Entry] = []
    while (page := await market.events(session_id, after=after, limit=_PAGE)).items:
        entries += page.items
        after = page.items[-1].offset
    return entries


def state_of(session: SessionView) -> str:
    """Return whether a session goes on, with a symbol."""
    return "● open" if session.state == "open" else "■ closed"
