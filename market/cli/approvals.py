"""``market mandate waiting``: the orders that wait for a human's approval."""

from pathlib import Path

import rich_click as click

from buyer_agents import MarketClient
from market.cli.failures import reported
from market.cli.options import client_options, limit_option, with_client
from market.cli.output import CLIENT, emit, hint, say, second, table
from market.cli.reading import LogPrinter
from market.protocol.money import Money
from market.protocol.wire import ApprovalView, Page


@click.command()
@click.option("--cursor", help="Go on with an earlier list.")
@limit_option
@client_options
@reported
def waiting(cursor: str | None, limit: int, url: str, key_file: Path | None, as_json: bool) -> None:
    """List the orders that wait for your approval, the oldest first; overseers see all."""

    async def act(market: MarketClient) -> tuple[Page[ApprovalView], LogPrinter]:
        page = await market.approvals(cursor=cursor, limit=limit)
        printer = LogPrinter(market)
        if not as_json:
            await printer.learn(one.buyer_id for one in page.items)
        return page, printer

    page, printer = with_client(url, key_file, act)
    if as_json:
        emit(page)
        return
    rows = [
        (
            one.order_id,
            one.session_id,
            printer.teller.name(one.buyer_id),
            str(Money(one.amount_minor, one.currency)),
            second(one.expires_at),
            f"{one.slug}, {one.units} {'unit' if one.units == 1 else 'units'}",
        )
        for one in page.items
    ]
    if not rows:
        say("Nothing waits for your approval.")
        return
    table(("Order", "Session", "Buyer", ">Price", "Until (UTC)", "What"), rows)
    first = page.items[0]
    hint(f"market session approve {first.session_id} --order {first.order_id}", carry=CLIENT)
    if page.next:
        hint(f"market mandate waiting --cursor {page.next}", carry=(*CLIENT, "--limit"))
