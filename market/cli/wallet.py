"""``market wallet show``, ``fund`` and ``ledger``."""

import re
from pathlib import Path
from typing import Final

import rich_click as click

from buyer_agents import MarketClient
from market.cli.failures import reported
from market.cli.options import (
    agent_called,
    client_options,
    is_handle,
    limit_option,
    minor_of,
    with_client,
)
from market.cli.output import CLIENT, emit, hint, say, second, table
from market.protocol.money import Money, decimal_text
from market.protocol.wire import WalletView

_AGENT_ID: Final = re.compile(r"[\w-]{43}")


@click.command()
@client_options
@reported
def show(url: str, key_file: Path | None, as_json: bool) -> None:
    """Show what the agent can spend, and what its open orders hold."""
    wallet = with_client(url, key_file, lambda market: market.wallet())
    if as_json:
        emit(wallet)
        return
    rows = [
        (
            one.currency,
            decimal_text(one.available_minor, one.currency),
            decimal_text(one.held_minor, one.currency),
        )
        for one in wallet.balances
    ]
    if not rows:
        say("The wallet is empty.")
    else:
        table(("Currency", ">Available", ">Held"), rows)
    hint("market wallet ledger", carry=CLIENT)


@click.command()
@click.argument("agent")
@click.argument("amount")
@click.option("--currency", default="XTS", show_default=True)
@client_options
@reported
def fund(
    agent: str, amount: str, currency: str, url: str, key_file: Path | None, as_json: bool
) -> None:
    """Give AGENT (a name or an id) sandbox money, such as 25.00. Overseers only."""
    amount_minor = minor_of(amount, currency)

    async def act(market: MarketClient) -> WalletView:
        agent_id = agent
        if is_handle(agent) or not _AGENT_ID.fullmatch(agent):
            agent_id = (await agent_called(market, agent)).id
        return await market.fund(agent_id, amount_minor, currency)

    wallet = with_client(url, key_file, act)
    if as_json:
        emit(wallet)
        return
    say(f"✓ {agent} got {Money(amount_minor, currency)}")
    hint("market session list", carry=CLIENT)


@click.command()
@click.option("--cursor", help="Go on with an earlier list.")
@limit_option
@client_options
@reported
def ledger(cursor: str | None, limit: int, url: str, key_file: Path | None, as_json: bool) -> None:
    """List every change of the agent's wallet, newest first."""
    page = with_client(url, key_file, lambda market: market.statement(cursor=cursor, limit=limit))
    if as_json:
        emit(page)
        return
    rows = [
        (
            second(one.recorded_at),
            one.reason,
            decimal_text(one.amount_minor, one.currency),
            decimal_text(one.balance_minor, one.currency),
            one.currency,
            one.order_id or "",
        )
        for one in page.items
    ]
    table(("When (UTC)", "Why", ">Amount", ">Balance", "", "Order"), rows)
    if page.next:
        hint(f"market wallet ledger --cursor {page.next}", carry=(*CLIENT, "--limit"))
