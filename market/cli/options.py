"""Options that commands share, and the client that they open."""

import os
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import msgspec
import rich_click as click

from buyer_agents import MarketClient
from market.cli.failures import Failure
from market.cli.keyfile import Identity, load
from market.cli.output import silence
from market.protocol.ids import AgentId, DisputeId, MandateId, OrderId, SessionId
from market.protocol.money import NotMoney, parse_amount
from market.protocol.text import Slug
from market.protocol.wire import AgentView

URL: Final = "http://127.0.0.1:8700"
OVERSEER_KEY: Final = Path(os.environ.get("MARKET_HOME", ".market")) / "overseer.key"
"""The key that ``market serve`` makes for its operator; the default where it was served."""

HANDLE_FORM: Final = "2 to 48 lower case letters and digits, with single hyphens between them"
_ADDRESS: Final = re.compile(r"https?://[^/\s]+")

Command = TypeVar("Command", bound=Callable[..., Any])
Answer = TypeVar("Answer")


class IdParam(click.ParamType[str]):
    """An argument that is an id of one kind by its form; ``where`` says where ids are found."""

    def __init__(self, name: str, form: Any, where: str) -> None:
        self.name = name
        self._form = form
        self._where = where

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return str(msgspec.convert(value, self._form))
        except msgspec.ValidationError:
            self.fail(f"{value!r} is no {self.name} id; see {self._where}", param, ctx)


AGENT_ID: Final = IdParam("agent", AgentId, "market identity show --key FILE")
SESSION_ID: Final = IdParam("session", SessionId, "market session list")
ORDER_ID: Final = IdParam("order", OrderId, "market session events: it begins with ord_")
DISPUTE_ID: Final = IdParam("dispute", DisputeId, "market dispute list")
MANDATE_ID: Final = IdParam("mandate", MandateId, "market mandate list")


def http_address(_ctx: click.Context, _param: click.Parameter, given: str | None) -> str | None:
    """Let a market's address through, or end with a usage error."""
    if given and not _ADDRESS.match(given):
        raise click.BadParameter(f"{given!r} is not an http(s):// address")
    return given


url_option = click.option(
    "--url",
    envvar="MARKET_URL",
    default=URL,
    show_default=True,
    callback=http_address,
    help="The market's address.",
)
key_option = click.option(
    "--key",
    "key_file",
    envvar="MARKET_KEY",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The key of the agent that acts. [default: the overseer's that `market serve` makes]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
reason_option = click.option("--reason", default="", help="Why; it stands in the log.")
limit_option = click.option(
    "--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="How many at most."
)


def client_options(command: Command) -> Command:
    """Add what a command needs that speaks to a market."""
    for option in (json_option, key_option, url_option):
        command = option(command)
    return command


def confirm(question: str, *, is_sure: bool) -> None:
    """Go on only if the user wants it.

    Raises:
        Failure: nobody is there to ask, or the answer is no; nothing was done.
    """
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise Failure(f"{question} Nobody is there to ask", code="not_confirmed", hint="--yes")
    if not click.confirm(question, err=True):
        raise Failure("nothing was done", code="not_confirmed")


def key_path(key_file: Path | None) -> Path:
    """Return the key file of the agent that acts: the given one, or the market's operator's."""
    if key_file is not None:
        return key_file
    if not OVERSEER_KEY.exists():
        raise Failure(
            "no key was given",
            code="no_key",
            hint="--key FILE or MARKET_KEY; make one with: market identity new FILE --handle NAME",
        )
    return OVERSEER_KEY


def identity_in(key_file: Path | None) -> Identity:
    """Return the agent behind a key file."""
    return load(key_path(key_file))


def minor_of(text: str, currency: str, *, named: str = "", may_be_zero: bool = False) -> int:
    """Return an amount that a user typed in minor units; ``named`` is the option it was typed for.

    Raises:
        Failure: it is no amount of this currency, or zero where that means nothing.
    """
    before = f"{named}: " if named else ""
    try:
        amount_minor = parse_amount(text, currency)
    except NotMoney as error:
        raise Failure(f"{before}{error}", code="not_money") from error
    if not amount_minor and not may_be_zero:
        raise Failure(f"{before}the amount must be above zero", code="not_money")
    return amount_minor


def is_handle(name: str) -> bool:
    """Return whether an agent can be called so."""
    try:
        msgspec.convert(name, Slug)
    except msgspec.ValidationError:
        return False
    return True


async def agent_called(market: MarketClient, name: str) -> AgentView:
    """Return the agent with a handle.

    Raises:
        Failure: there is none.
    """
    found = await market.agent_by_handle(name) if is_handle(name) else None
    if found is None:
        raise Failure(f"no agent is called {name!r}", code="agent_not_found")
    return found


async def agent_known_as(market: MarketClient, name: str) -> AgentView:
    """Return the agent with a handle or an id.

    Raises:
        Failure: no agent has this handle.
        Refused: no agent has this id.
    """
    return await agent_called(market, name) if is_handle(name) else await market.agent(name)


def with_client(
    url: str, key_file: Path | None, act: Callable[[MarketClient], Awaitable[Answer]]
) -> Answer:
    """Run ``act`` with a client of the agent behind ``key_file``."""
    identity = identity_in(key_file)
    silence()

    async def run() -> Answer:
        client = MarketClient(url, identity.key, agent_id=identity.agent_id, patience_seconds=3.0)
        async with client:
            return await act(client)

    return anyio.run(run)
