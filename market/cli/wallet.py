"""``market wallet show`` and ``ledger``."""

from pathlib import Path

import rich_click as click

from market.cli.failures import reported
from market.cli.options import client_options, limit_option, with_client
from market.cli.output import emit, hint, say, table
from market.protocol.money import decimal_text


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
    hint("market wallet ledger")


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
            one.recorded_at[:19].replace("T", " "),
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
        hint(f"market wallet ledger --cursor {page.next}")
