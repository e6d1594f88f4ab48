"""``market session snapshot`` and ``fork``: what a log comes to, and another way from there."""

from pathlib import Path

import rich_click as click

from buyer_agents import MarketClient
from market.cli.failures import reported
from market.cli.options import SESSION_ID, client_options, with_client
from market.cli.output import CLIENT, emit, facts, hint, say
from market.cli.reading import LogPrinter, newest_session, state_of
from market.protocol.folded import FoldedOrder, FoldedRun, SnapshotView
from market.protocol.money import decimal_text
from market.protocol.wire import SessionView


@click.command()
@click.argument("session_id", metavar="[SESSION]", type=SESSION_ID, required=False)
@client_options
@reported
def snapshot(session_id: str | None, url: str, key_file: Path | None, as_json: bool) -> None:
    """Show what the log of SESSION (or your newest) comes to: orders, runs, who is there."""

    async def act(market: MarketClient) -> SnapshotView:
        found = await market.snapshot(await newest_session(market, session_id))
        if not as_json:
            await print_folded(LogPrinter(market), found)
        return found

    found = with_client(url, key_file, act)
    if as_json:
        emit(found)
    else:
        again = f"market watch {found.session.id} --after {found.next_offset - 1}"
        hint(again, carry=CLIENT)


@click.command()
@click.argument("session_id", metavar="SESSION", type=SESSION_ID)
@click.option(
    "--at", "after", type=click.IntRange(0), required=True, help="The last offset that is shared."
)
@click.option("--need", help="What the fork is after. [default: as its source]")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=TEXT",
    help="A label in place of the source's.",
)
@client_options
@reported
def fork(
    session_id: str,
    after: int,
    need: str | None,
    labels: tuple[str, ...],
    url: str,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Open a session with the history of SESSION up to an offset, to replay what follows.

    Orders of that history stay where they are: nothing moves for them.
    """
    named = {}
    for label in labels:
        name, is_given, text = label.partition("=")
        if not is_given:
            raise click.UsageError(f"{label!r} is not of the form NAME=TEXT")
        named[name] = text

    async def act(market: MarketClient) -> SessionView:
        return await market.fork_session(session_id, after, need=need, labels=named or None)

    made = with_client(url, key_file, act)
    if as_json:
        emit(made)
        return
    facts(
        [
            ("session", f"{made.id}   {state_of(made)}"),
            ("fork of", f"{made.source_session_id}, up to #{made.source_offset}"),
            ("need", made.need),
        ]
    )
    hint(f"market watch {made.id} --after {after}", carry=CLIENT)


async def print_folded(printer: LogPrinter, folded: SnapshotView) -> None:
    """Print what a log comes to, for people."""
    session = folded.session
    await printer.learn([session.buyer_id, *[run.actor_id for run in folded.runs.values()]])
    await printer.learn(one.agent_id for one in folded.presence.values())
    name = printer.teller.name
    source = folded.forked_from
    waiting = [one.action for one in folded.controls.values() if one.answer is None]
    waiting += ["approve" for one in folded.approvals.values() if one.state == "waiting"]
    there = [
        f"{name(one.agent_id)} on {one.device} ({one.status})" for one in folded.presence.values()
    ]
    facts(
        [
            ("session", f"{session.id}   {state_of(session)}"),
            ("fork of", f"{source.session_id}, up to #{source.offset}" if source else ""),
            ("buyer", name(session.buyer_id)),
            ("need", session.need),
            ("log", f"{folded.next_offset} events, head {folded.head_hash}"),
            ("there", ", ".join(there)),
            ("waiting", ", ".join(waiting)),
        ]
    )
    for order in folded.orders.values():
        say(_order_line(order))
    for run_id, run in folded.runs.items():
        say(_run_line(run_id, run, name(run.actor_id)))


def _order_line(order: FoldedOrder) -> str:
    amounts = (order.amount_minor, order.captured_minor)
    price, paid = (decimal_text(one, order.currency) for one in amounts)
    flags = "".join(
        f", {flag}" for flag, is_so in (("paused", order.is_paused), ("stalled", order.is_stalled))
        if is_so
    )  # fmt: skip
    outputs = f"{order.chunks_delivered} chunks"
    if order.outputs is None:
        outputs += f" (too long: see the log from #{order.first_offset})"
    return (
        f"{order.id}   {order.state}{flags}   {order.slug}   {price} {order.currency}: {paid} paid,"
        f" {order.units_delivered} of {order.units} units, {outputs}"
    )


def _run_line(run_id: str, run: FoldedRun, actor: str) -> str:
    state = run.outcome or "at work"
    return f"{run_id}   {state}   {actor}: {run.title}   {len(run.steps)} steps"
