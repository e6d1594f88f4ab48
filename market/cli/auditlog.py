"""``market audit log``: what was altered in a session's log, and where."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import anyio
import rich_click as click
from click.core import ParameterSource

from buyer_agents import MarketClient
from market import audit as room
from market import sessions
from market.audit import Finding
from market.cli.failures import BROKEN, Failure, reported
from market.cli.keys import fetch_keys, keys_near, known_keys
from market.cli.local import looking, settings_of
from market.cli.options import SESSION_ID, client_options, with_client
from market.cli.output import CLIENT, emit, hint, marked, say
from market.protocol.logfile import checkpoint_in
from market.protocol.proving import Flaw, LogProof, LogReport, Run
from market.protocol.signing import BadSignature, VerifyingKey, read_header
from market.protocol.vouching import BadCheckpoint, Vouched, read_checkpoints

MAX_LINE: Final = 1024 * 1024
"""Bytes after which a line of a file is no entry any more."""

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


class Proven(NamedTuple):
    """What came of an audit. ``findings``: what else in a store disagrees with the log."""

    report: LogReport
    bad_checkpoints: list[BadCheckpoint]
    findings: list[Finding]
    notes: list[str]


@click.command("log")
@click.argument("session_id", metavar="[SESSION]", type=SESSION_ID, required=False)
@click.option("--file", "file", type=_FILE, help="A log that was kept: one JSON object a line.")
@click.option("--store", "store", help="A run's folder, a market's home, or postgresql://...")
@click.option(
    "--checkpoint", "kept", multiple=True, type=_FILE, help="Checkpoints, or a log with some, kept."
)
@click.option("--keys", "key_files", multiple=True, type=_FILE, help="The market's key, kept.")
@client_options
@reported
def audit_log(
    session_id: str | None,
    file: Path | None,
    store: str | None,
    kept: tuple[Path, ...],
    key_files: tuple[Path, ...],
    url: str,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Find what was altered, dropped, moved or put into the log of SESSION, and where.

    Reads it from a market (--url, --key), from a --store, or from a --file. Exit code 5: the log
    is not what it was. A tail that was cut shows against checkpoints: those that the market or the
    file keeps, and those that you kept yourself (--checkpoint).
    """
    tokens = [token for path in kept for token in _checkpoints_in(path)]
    if file is not None and store is not None:
        raise Failure("a log is read from --file or from --store, not from both")
    if file is not None:
        proven = _in_file(file, session_id, tokens, _keys_for(file, key_files, url))
    elif session_id is None:
        raise Failure("name a session, or a file that keeps its log", hint="--file FILE")
    elif store is not None:
        proven = _in_store(store, session_id, tokens)
    else:
        proven = with_client(
            url, key_file, lambda market: _live(market, session_id, tokens, key_files)
        )
    _tell(proven, as_json=as_json)
    if not as_json and file is None and store is None:
        hint(f"market session events {session_id} --out LOG.jsonl", carry=CLIENT)


def lines_in(file: Path) -> Iterator[bytes]:
    """Yield the lines of a file without their ends; blank ones are left out."""
    with file.open("rb") as opened:
        while line := opened.readline(MAX_LINE):
            if line.strip():
                yield line.rstrip(b"\r\n")


def tokens_in(file: Path) -> list[str]:
    """Return the checkpoints that a file keeps: in lines of their own, or bare."""
    found = []
    for line in lines_in(file):
        token = checkpoint_in(line)
        if token is None and line.count(b".") == 2 and not line.startswith(b"{"):
            token = line.decode("ascii", "replace").strip()
        if token is not None:
            found.append(token)
    return found


def _checkpoints_in(file: Path) -> list[str]:
    """Return the checkpoints that somebody kept.

    Raises:
        Failure: the file keeps none.
    """
    tokens = tokens_in(file)
    if not any(map(_is_signed, tokens)):
        raise Failure(f"{file} keeps no checkpoint: not one line of it is one", code="not_a_log")
    return tokens


def _is_signed(token: str) -> bool:
    try:
        read_header(token)
    except BadSignature:
        return False
    return True


def _keys_for(file: Path, key_files: Sequence[Path], url: str) -> Mapping[str, VerifyingKey]:
    """Return the keys to trust: given, left beside the file, or those of a market that is named."""
    context = click.get_current_context(silent=True)
    source = context.get_parameter_source("url") if context else None
    if not key_files and source is ParameterSource.COMMANDLINE:
        known = anyio.run(fetch_keys, url)
    else:
        known = known_keys(key_files or keys_near(file))
    return {kid: one.key for kid, one in known.items()}


def _in_file(
    file: Path, session_id: str | None, tokens: list[str], keys: Mapping[str, VerifyingKey]
) -> Proven:
    tokens = tokens + tokens_in(file)
    vouched = read_checkpoints(tokens if keys else (), keys, session_id=session_id)
    proof = _proof(session_id, vouched)
    can_read = 0
    for line in lines_in(file):
        if checkpoint_in(line) is None:
            can_read += proof.take_bytes(line) is not None
    report = proof.report(vouched.anchors)
    if not can_read and not report.withheld:
        raise Failure(f"{file} keeps no log: not one line of it is an entry", code="not_a_log")
    return _proven(report, vouched, len(tokens) if not keys else 0)


def _in_store(place: str, session_id: str, tokens: list[str]) -> Proven:
    with looking(settings_of(place)) as snapshot:
        if not sessions.is_known(snapshot, session_id=session_id):
            raise Failure(
                f"there is no session {session_id} in this store", code="session_not_found"
            )
        found = room.prove_log(snapshot, session_id=session_id, tokens=tokens)
    if found.report is None:
        raise _altered(f"{session_id}: {found.findings[0].detail}")
    return Proven(found.report, [], found.findings, _notes(found.report, 0))


async def _live(
    market: MarketClient, session_id: str, tokens: list[str], key_files: Sequence[Path]
) -> Proven:
    keys = {kid: one.key for kid, one in known_keys(key_files).items()}
    if not keys:
        keys = await market.published_keys("/.well-known/jwks.json")
    signed = await market.every_checkpoint(session_id)
    tokens = tokens + [one.token for one in signed]
    vouched = read_checkpoints(tokens, keys, session_id=session_id)
    proof = _proof(session_id, vouched)
    after = -1
    while page := await market.raw_events(session_id, after=after):
        for entry in page:
            proof.take_bytes(entry)
        after += len(page)
    return _proven(proof.report(vouched.anchors), vouched, 0)


def _proof(session_id: str | None, vouched: Vouched) -> LogProof:
    of = session_id or vouched.session_id
    return LogProof(of, wanted=[anchor.offset for anchor in vouched.anchors])


def _proven(report: LogReport, vouched: Vouched, unread: int) -> Proven:
    return Proven(report, vouched.bad, [], _notes(report, unread))


def _notes(report: LogReport, unread: int) -> list[str]:
    """Return what could not be checked."""
    notes = []
    if unread:
        notes.append(
            f"{unread} checkpoints were not checked: give the market's --keys or its --url"
        )
    if report.vouched_to < 0:
        notes.append("no checkpoint vouches for it: if its end was cut or written anew, who knows")
    elif report.vouched_to < report.next_offset - 1:
        behind = _places(Run(first=report.vouched_to + 1, last=report.next_offset - 1))
        notes.append(f"{behind}: no checkpoint vouches for it yet")
    if report.withheld:
        notes.append(f"{report.withheld} events are withheld from this reader: only their hashes")
    if report.at_word:
        places = ", ".join(map(_places, report.at_word))
        notes.append(f"{places}: withheld, and their hashes taken at their word")
    return notes


def _tell(proven: Proven, *, as_json: bool) -> None:
    if as_json:
        emit(proven._asdict())
    else:
        _print(proven)
    report = proven.report
    if report.flaws:
        first = report.flaws[0]
        raise _altered(
            f"{report.session_id}: the first bad offset is {within(first)}: {first.detail}"
        )
    for bad in proven.bad_checkpoints:
        raise _altered(f"{report.session_id}: the checkpoint at #{bad.offset}: {bad.detail}")
    for finding in proven.findings:
        raise _altered(f"{finding.where}: {finding.detail}")


def _altered(detail: str) -> Failure:
    title = "The log is not what it was"
    return Failure(detail, code="log_altered", title=title, exit_code=BROKEN)


def _print(proven: Proven) -> None:
    report = proven.report
    say(f"{report.session_id}: {report.entries} entries")
    for flaw in report.flaws:
        marked("✗", f"#{within(flaw)}: {flaw.detail}")
        for name, value in (("expected", flaw.expected), ("found", flaw.found)):
            if value is not None:
                say(f"      {name:<8} {value}")
    for run in report.intact:
        if run.first <= report.vouched_to <= run.last:
            marked(
                "✓", f"{_places(run)} hold together; the market vouches up to #{report.vouched_to}"
            )
        else:
            marked("✓", f"{_places(run)} hold together")
    for bad in proven.bad_checkpoints:
        marked("✗", f"checkpoint at #{bad.offset}: {bad.detail}")
    for finding in proven.findings:
        if finding.rule != "log" or not report.flaws:
            marked("✗", f"{finding.where}: {finding.detail}")
    for note in proven.notes:
        marked("!", note)


def _places(run: Run) -> str:
    return f"#{run.first}" if run.first == run.last else f"#{run.first} to #{run.last}"


def within(flaw: Flaw) -> str:
    """Return the offset of a flaw, or the offsets that come into question."""
    if flaw.since == flaw.offset:
        return str(flaw.offset)
    return f"one from {flaw.since} to {flaw.offset}"
