"""``market session audit``: is anybody's stream a durable session, and what if it is not."""

import os
import shlex
import sys
import textwrap
from pathlib import Path
from typing import Final

import anyio
import msgspec
import rich_click as click
from rich.markup import escape

from market import probe as room
from market.cli.failures import UNREACHABLE, Explained, Failure, Report, explain, reported
from market.cli.options import json_option
from market.cli.output import (
    STYLES,
    emit,
    hint,
    marked,
    say,
    silence,
    stderr,
    stdout,
    table,
)
from market.probe import CAPABILITIES, MODES, Finding, NoStream, Probe, Step, Verdict
from scenarios.engine import BadScenario
from scenarios.engine.places import Place, line_at
from scenarios.engine.reading import read_form

_FAILED: Final = 1
_SCHEMES: Final = ("http://", "https://", "ws://", "wss://")
_MARKS: Final[dict[Verdict, str]] = {"holds": "✓", "fails": "✗", "unclear": "●", "not tried": "·"}
_WIDTH: Final = 100
_LABEL: Final = 10


@explain.register
def _(error: NoStream) -> Explained:
    title = "There is no stream to audit"
    hint = "a probe file may say more: market schema probe" if error.is_reached else ""
    return Explained([Report("no_stream", title, str(error), hint, "")], UNREACHABLE)


def _address(_ctx: click.Context, _param: click.Parameter, url: str) -> str:
    """Let a stream's address through, or end with a usage error."""
    if not url.startswith(_SCHEMES):
        raise click.BadParameter(f"{url!r} is not an http(s):// or ws(s):// address")
    return url


@click.command()
@click.argument("url", callback=_address)
@click.option(
    "--probe",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file that says how the stream is opened, resumed, ended, cancelled.",
)
@json_option
@click.option(
    "--out",
    "written",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the report to this file, too, as JSON.",
)
@reported
def audit(url: str, file: Path | None, as_json: bool, written: Path | None) -> None:
    """Probe the stream at URL live: does it outlive its connections?

    URL is anybody's: server-sent events, chunked HTTP or a WebSocket. Its readers are cut, resume,
    come late and come in company; then the report says what holds, which failure mode it is where
    something does not, and how to migrate. Exit code 1: a failure mode was found.
    """
    probe = _read(file, url)
    silence()
    report = anyio.run(_audit, probe, url)
    if written is not None:
        written.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    if as_json:
        emit(report)
    else:
        _print(report, file)
    if report.modes:
        sys.exit(_FAILED)


async def _audit(probe: Probe, url: str) -> room.Report:
    console = stderr()
    if not console.is_terminal:
        return await room.audit(probe, url, environ=os.environ)
    with console.status("") as status:
        return await room.audit(probe, url, environ=os.environ, tell=status.update)


def _read(file: Path | None, url: str) -> Probe:
    """Return what is known of the stream.

    Raises:
        Failure: the file cannot be read, or is wrong.
    """
    probe, lines = (Probe(probe=1), {}) if file is None else _decoded(file)
    first = next(room.troubles(probe, url, os.environ), None)
    if first is not None:
        where = f"{file}:{line_at(lines, first.path)}" if first.path else "the URL"
        raise _wrong(where, first.detail, first.hint)
    return probe


def _decoded(file: Path) -> tuple[Probe, dict[Place, int]]:
    try:
        return read_form(file, Probe)
    except BadScenario as error:
        [trouble] = error.troubles
        raise _wrong(trouble.where, trouble.detail, trouble.hint) from error


def _wrong(where: str, detail: str, hint: str) -> Failure:
    title = "The probe file is wrong"
    return Failure(detail, code="bad_probe", title=title, hint=hint, where=where)


# The report


def _print(report: room.Report, file: Path | None) -> None:
    say(report.url)
    _print_summary(report)
    say()
    table(("  Capability", "Verdict", "What was seen"), map(_row, report.findings))
    say()
    command = f"market session audit {shlex.quote(report.url)}"
    if file is not None:
        command += f" --probe {shlex.quote(str(file))}"
    if report.modes:
        _print_modes(report)
        say("Migration to a durable session")
        for number, step in enumerate(report.steps, 1):
            _print_step(number, step)
        hint(command)
        return
    untried = [CAPABILITIES[one.capability] for one in report.findings if one.verdict != "holds"]
    marked("✓", "no failure mode" + (f"; not proven: {', '.join(untried)}" if untried else ""))
    if untried:
        say("  what each row needs: docs/session_audit.md")


def _print_summary(report: room.Report) -> None:
    resumes = f"resumed by {report.resumes_by}" if report.resumes_by else "no known way to resume"
    works = f" of {report.works} pieces of work" if report.works > 1 else ""
    say(
        f"{report.transport}, {resumes}; {report.readers} readers{works} saw"
        f" {report.events:,} events in {report.took_ms / 1_000:.1f} s"
    )


def _row(finding: Finding) -> tuple[str, str, str]:
    mark = _MARKS[finding.verdict]
    style = STYLES.get(mark, "dim")
    verdict = finding.mode if finding.verdict == "fails" else finding.verdict
    name = CAPABILITIES[finding.capability]
    return f"[{style}]{mark}[/{style}] {name}", verdict, escape(finding.seen)


def _print_modes(report: room.Report) -> None:
    for mode in report.modes:
        rows = sum(one.mode == mode for one in report.findings)
        lines = _wrapped(f"{mode} ({rows}): {MODES[mode]}", indent=2)
        marked("✗", lines[0].lstrip())
        for line in lines[1:]:
            say(line)
    say()


def _print_step(number: int, step: Step) -> None:
    say(f"{number}. {step.title}")
    known = f"{step.check}, and " if step.check else ""
    check = f"{known}run this command again; then holds: {', '.join(step.rows)}"
    for label, text in (("server", step.server), ("client", step.client), ("check", check)):
        first, *more = _wrapped(text, indent=_LABEL + 3)
        say(f"   {label:<{_LABEL}}{first.lstrip()}")
        for line in more:
            say(line)


def _wrapped(text: str, *, indent: int) -> list[str]:
    """Return a text as lines that fit, each indented."""
    width = min(stdout().width, _WIDTH)
    blank = " " * indent
    return textwrap.wrap(text, width, initial_indent=blank, subsequent_indent=blank)
