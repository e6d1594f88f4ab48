"""``market watch``: the logs of sessions, live."""

from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import rich_click as click

from buyer_agents import MarketClient, follow_feed, follow_session, follow_snapshot
from market.cli.failures import Failure, reported
from market.cli.options import SESSION_ID, json_option, key_option, url_option, with_client
from market.cli.output import CLIENT, emit_line, hint
from market.cli.reading import LogPrinter, newest_session
from market.cli.snapshots import print_folded
from market.protocol.chain import Entry
from market.protocol.folded import SnapshotView


@click.command()
@click.argument("session_ids", metavar="[SESSION]...", nargs=-1, type=SESSION_ID)
@click.option("--after", type=click.IntRange(-1), default=-1, help="Begin behind this offset.")
@click.option("--snapshot", is_flag=True, help="Begin with what the log comes to by now.")
@url_option
@key_option
@json_option
@reported
def watch(
    session_ids: tuple[str, ...],
    after: int,
    snapshot: bool,
    url: str,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Follow SESSION (or your newest) until it is closed, through any disconnect.

    Several are followed over one connection; lines begin with the end of the session's id. With
    --json, one event a line.
    """
    if (after >= 0 or snapshot) and len(session_ids) > 1:
        raise click.UsageError("--after and --snapshot are for one session")

    async def act(market: MarketClient) -> str:
        if len(session_ids) > 1:
            await _watch_all(market, session_ids, as_json=as_json)
            return session_ids[0]
        watched = await newest_session(market, session_ids[0] if session_ids else None)
        printer = LogPrinter(market)
        log = (
            follow_snapshot(market, watched)
            if snapshot and after < 0
            else follow_session(market, watched, after)
        )
        async with aclosing(log) as entries:
            async for entry in entries:
                await _tell(printer, entry, as_json=as_json)
        return watched

    watched = with_client(url, key_file, act)
    if not as_json:
        hint(f"market session show {watched}", carry=CLIENT)


async def _watch_all(market: MarketClient, session_ids: Sequence[str], *, as_json: bool) -> None:
    if len(set(session_ids)) < len(session_ids):
        raise Failure("a session stands twice", code="usage")
    printers = {one: LogPrinter(market, label=one[-4:]) for one in session_ids}
    async with aclosing(follow_feed(market, dict.fromkeys(session_ids, -1))) as feed:
        async for session_id, entry in feed:
            if entry is None:
                continue
            if as_json:
                emit_line({"session_id": session_id, "event": entry})
            else:
                await printers[session_id].line(entry)


async def _tell(printer: LogPrinter, entry: Entry | SnapshotView, *, as_json: bool) -> None:
    if as_json:
        emit_line({"snapshot": entry} if isinstance(entry, SnapshotView) else entry)
    elif isinstance(entry, SnapshotView):
        await print_folded(printer, entry)
    else:
        await printer.line(entry)
