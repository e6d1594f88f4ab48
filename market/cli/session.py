"""``market session list``, ``show``, ``events`` and ``presence``."""

import shlex
from collections import Counter
from contextlib import aclosing
from pathlib import Path

import msgspec
import rich_click as click

from buyer_agents import MarketClient, every
from market.cli.failures import reported
from market.cli.keys import keys_beside
from market.cli.options import SESSION_ID, client_options, limit_option, with_client
from market.cli.output import CLIENT, emit, emit_line, facts, hint, say, table
from market.cli.reading import LogPrinter, entries_of, ids_in, newest_session, state_of
from market.cli.timeline import ticks
from market.protocol.events import Event
from market.protocol.money import decimal_text
from market.protocol.wire import OrderView, Page, PresenceView, SessionView
from scenarios.engine.facts import journey_of


@click.command()
@click.option("--state", type=click.Choice(["open", "closed", "any"]), default="any")
@limit_option
@client_options
@reported
def list_sessions(state: str, limit: int, url: str, key_file: Path | None, as_json: bool) -> None:
    """List the sessions that you take part in, newest first."""

    async def act(market: MarketClient) -> tuple[Page[SessionView], LogPrinter, Counter[str]]:
        page = await market.sessions(state=state, limit=limit)
        printer = LogPrinter(market)
        waiting: Counter[str] = Counter()
        if not as_json:
            await printer.learn(session.buyer_id for session in page.items)
            waiting.update(one.session_id for one in (await market.approvals()).items)
        return page, printer, waiting

    page, printer, waiting = with_client(url, key_file, act)
    if as_json:
        emit(page)
        return
    rows = [
        (
            one.id,
            state_of(one),
            printer.teller.name(one.buyer_id),
            str(one.next_offset),
            str(len(one.orders) + waiting[one.id]),
            one.opened_at[11:19],
            one.need,
        )
        for one in page.items
    ]
    table(("Session", "State", "Buyer", ">Events", ">Orders", "Opened", "Need"), rows)
    if waiting:
        hint("market mandate waiting", carry=CLIENT)
    if rows:
        hint(f"market watch {rows[0][0]}", carry=CLIENT)


@click.command()
@click.argument("session_id", metavar="[SESSION]", type=SESSION_ID, required=False)
@client_options
@reported
def show(session_id: str | None, url: str, key_file: Path | None, as_json: bool) -> None:
    """Show where SESSION (or your newest) stands: its stages, its orders, its log."""

    async def act(market: MarketClient) -> tuple[SessionView, list[OrderView]]:
        session = await market.session(await newest_session(market, session_id))
        # Not the session's own list: nobody works yet on what waits for approval.
        listed = every(lambda cursor: market.orders(session_id=session.id, cursor=cursor))
        orders = [order async for order in listed][::-1]
        if not as_json:
            await _print_session(market, session, orders)
        return session, orders

    session, orders = with_client(url, key_file, act)
    if as_json:
        emit({"session": session, "orders": orders})
        return
    waiting = [order.id for order in orders if order.state == "awaiting_approval"]
    if waiting:
        hint(f"market session approve {session.id} --order {waiting[0]}", carry=CLIENT)
    hint(f"market watch {session.id}", carry=CLIENT)


def _source(session: SessionView) -> str:
    """Return where a fork branched off, "" for a session that is none."""
    source_id = session.source_session_id
    return f"{source_id}, up to #{session.source_offset}" if source_id else ""


async def _print_session(
    market: MarketClient, session: SessionView, orders: list[OrderView]
) -> None:
    events = [one for one in await entries_of(market, session.id) if isinstance(one, Event)]
    printer = LogPrinter(market)
    for event in events:
        await printer.learn(ids_in(event))
    facts(
        [
            ("session", f"{session.id}   {state_of(session)}"),
            ("fork of", _source(session)),
            ("paused", f"by the {session.paused_by}" if session.paused_by else ""),
            ("buyer", printer.teller.name(session.buyer_id)),
            ("for", printer.teller.name(session.principal_id) if session.principal_id else ""),
            ("need", session.need),
            ("log", f"{session.next_offset} events, head {session.head_hash}"),
        ]
    )
    if events and events[0].kind == "session.opened":
        journey = journey_of("", session.id, events)
        say(ticks((one.stage, one.outcome, one.seconds) for one in journey.stages))
    for order in orders:
        amounts = (order.amount_minor, order.captured_minor, order.returned_minor)
        price, paid, returned = (decimal_text(one, order.currency) for one in amounts)
        paused = ", paused" if order.is_paused else ""
        say(
            f"{order.id}   {order.state}{paused}   {order.slug}   {price} {order.currency}:"
            f" {paid} paid, {returned} returned,"
            f" {order.units_delivered} of {order.units} units delivered"
        )


@click.command()
@click.argument("session_id", metavar="[SESSION]", type=SESSION_ID, required=False)
@client_options
@reported
def presence(session_id: str | None, url: str, key_file: Path | None, as_json: bool) -> None:
    """Show who is in SESSION (or your newest) now, by device."""

    async def act(market: MarketClient) -> tuple[str, list[PresenceView], LogPrinter]:
        read = await newest_session(market, session_id)
        present = await market.presence(read)
        printer = LogPrinter(market)
        if not as_json:
            await printer.learn(one.agent_id for one in present)
        return read, present, printer

    read, present, printer = with_client(url, key_file, act)
    if as_json:
        emit(present)
        return
    rows = [
        (
            printer.teller.name(one.agent_id),
            one.device,
            one.status,
            one.joined_at[11:19],
            one.seen_at[11:19],
            one.order_id or "",
        )
        for one in present
    ]
    if rows:
        table(("Who", "Device", "Does", "Joined", "Seen", "Order"), rows)
    else:
        say("nobody says to be there")
    hint(f"market watch {read}", carry=CLIENT)


@click.command()
@click.argument("session_id", metavar="[SESSION]", type=SESSION_ID, required=False)
@click.option("--after", type=click.IntRange(-1), default=-1, help="Begin behind this offset.")
@click.option(
    "--out",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep the whole log, with its checkpoints, in this file.",
)
@client_options
@reported
def events(
    session_id: str | None,
    after: int,
    file: Path | None,
    url: str,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Print the log of SESSION (or your newest) up to now. With --json, one event a line.

    With --out FILE it is kept: entries and checkpoints as JSON lines, and beside it the market's
    keys. `market audit log --file FILE` proves it without the market.
    """

    async def act(market: MarketClient) -> str:
        read = await newest_session(market, session_id)
        if file is not None:
            await _keep(market, read, file)
            return read
        printer = LogPrinter(market)
        for entry in await entries_of(market, read, after):
            if as_json:
                emit_line(entry)
            else:
                await printer.line(entry)
        return read

    read = with_client(url, key_file, act)
    if file is not None:
        hint(shlex.join(["market", "audit", "log", "--file", str(file)]))
    elif not as_json:
        hint(f"market watch {read}", carry=CLIENT)


async def _keep(market: MarketClient, session_id: str, file: Path) -> None:
    """Write a log with its checkpoints to a file, and the keys that signed them beside it."""
    keys = await market.published_keys("/.well-known/jwks.json")
    with file.open("wb") as opened:
        async with aclosing(market.kept_log(session_id)) as lines:
            async for line in lines:
                opened.write(line)
    jwks = {"keys": [{**key.jwk, "name": "the market"} for key in keys.values()]}
    keys_beside(file).write_bytes(msgspec.json.format(msgspec.json.encode(jwks), indent=2) + b"\n")
