"""``market watch``: a session's log, live."""

from contextlib import aclosing
from pathlib import Path

import rich_click as click

from buyer_agents import MarketClient, follow_session
from market.cli.failures import reported
from market.cli.options import json_option, key_option, url_option, with_client
from market.cli.output import CLIENT, emit_line, hint
from market.cli.reading import LogPrinter, newest_session


@click.command()
@click.argument("session_id", metavar="[SESSION]", required=False)
@click.option("--after", type=click.IntRange(-1), default=-1, help="Begin behind this offset.")
@url_option
@key_option
@json_option
@reported
def watch(
    session_id: str | None, after: int, url: str, key_file: Path | None, as_json: bool
) -> None:
    """Follow SESSION (or your newest) until it is closed, through any disconnect.

    With --json, one event a line.
    """

    async def act(market: MarketClient) -> str:
        watched = await newest_session(market, session_id)
        printer = LogPrinter(market)
        async with aclosing(follow_session(market, watched, after)) as entries:
            async for entry in entries:
                if as_json:
                    emit_line(entry)
                else:
                    await printer.line(entry)
        return watched

    watched = with_client(url, key_file, act)
    if not as_json:
        hint(f"market session show {watched}", carry=CLIENT)
