"""What can go wrong in a command: one line on stderr and an exit code that scripts can rely on."""

import functools
import os
import re
import sys
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn, ParamSpec, TypeVar

import click
import msgspec

from buyer_agents import BadAnswer, MarketUnreachable, NotAMarket, Refused
from market.base.errors import MarketError
from market.protocol.manifest import BadManifest
from market.protocol.signing import BadKey, BadSignature

USAGE: Final = 2
REFUSED: Final = 3
UNREACHABLE: Final = 4
BROKEN: Final = 5
WRONG_STATE: Final = 6
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141
"""What a shell says of a program whose reader has gone away (128 + SIGPIPE)."""

_PAYMENT_REQUIRED: Final = 402
_BY_STATUS: Final = {
    401: REFUSED,
    403: REFUSED,
    409: WRONG_STATE,
    410: WRONG_STATE,
    402: WRONG_STATE,
    429: UNREACHABLE,
    503: UNREACHABLE,
}
_HINTS: Final = {
    "insufficient_scope": "this key's agent may not; name another's with --key FILE",
    "invalid_client": "is this agent registered here? market identity new KEY --handle NAME",
}

_PATTERN: Final = re.compile(r"Expected `str` matching regex .*?(?: - at `\$\.?(.*?)`|$)")

P = ParamSpec("P")
T = TypeVar("T")


class Failure(Exception):
    """A command cannot do what it was asked for."""

    def __init__(
        self,
        detail: str,
        *,
        code: str = "usage",
        title: str = "The command cannot be carried out",
        hint: str = "",
        where: str = "",
        exit_code: int = USAGE,
    ) -> None:
        super().__init__(detail)
        self.report = Report(code, title, detail, hint, where)
        self.exit_code = exit_code


def broken_laws(count: int, first: str) -> Failure:
    """Return the failure of a market in which an audit found something; ``first``: of that."""
    return Failure(
        f"{count} findings; the first: {first}",
        code="invariant_broken",
        title="The market broke one of its laws",
        exit_code=BROKEN,
    )


class Report(NamedTuple):
    """A failure as ``--json`` writes it: ``code`` is that of the market's problem documents."""

    code: str
    title: str
    detail: str
    hint: str
    where: str

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.detail}{hint}"


class Explained(NamedTuple):
    """What is said about an exception, and the code to exit with."""

    reports: list[Report]
    exit_code: int


@functools.singledispatch
def explain(error: BaseException) -> Explained | None:
    """Return what an exception means to the user; None for a bug. Commands register theirs."""
    return None


@explain.register
def _(error: Failure) -> Explained:
    return Explained([error.report], error.exit_code)


@explain.register
def _(error: Refused) -> Explained:
    exit_code = _exit_code(error.status, error.code)
    hint = _HINTS.get(error.code, "")
    return Explained(
        [Report(error.code, error.problem.title, _plain(error.detail), hint, "")], exit_code
    )


@explain.register
def _(error: MarketError) -> Explained:
    exit_code = _exit_code(error.status, error.code)
    return Explained([Report(error.code, error.title, _plain(error.detail), "", "")], exit_code)


@explain.register
def _(error: MarketUnreachable) -> Explained:
    hint = "is it running? start one with: market serve"
    title = "The market cannot be reached"
    url = _url_given()
    detail = f"the market at {url} cannot be reached" if url else str(error)
    return Explained([Report("unreachable", title, detail, hint, "")], UNREACHABLE)


@explain.register
def _(error: BadAnswer) -> Explained:
    title = "The market's answer makes no sense"
    return Explained([Report("bad_answer", title, str(error), "", "")], BROKEN)


@explain.register
def _(error: NotAMarket) -> Explained:
    title = "There is no market under this address"
    detail = f"{_url_given() or 'what answers'} is no market"
    return Explained([Report("not_a_market", title, detail, "", "")], UNREACHABLE)


@explain.register
def _(error: BadSignature) -> Explained:
    return Explained(
        [Report("bad_signature", "The signature does not hold", str(error), "", "")], REFUSED
    )


@explain.register
def _(error: BadKey) -> Explained:
    return Explained([Report("bad_key", "That is no key", str(error), "", "")], REFUSED)


@explain.register
def _(error: BadManifest) -> Explained | None:
    if isinstance(error.__cause__, OSError):
        return explain(error.__cause__)
    report = Report(
        "bad_manifest",
        "The manifest is wrong",
        _plain(str(error)),
        "the form: market schema manifest",
        "",
    )
    return Explained([report], USAGE)


@explain.register
def _(error: OSError) -> Explained:
    title = "A file cannot be used"
    return Explained([Report("file", title, _file_trouble(error), "", "")], USAGE)


def _url_given() -> str | None:
    """Return the address of the market that the command was to speak to, if it says so."""
    context = click.get_current_context(silent=True)
    return context.params.get("url") if context else None


def _file_trouble(error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"the file {error.filename} does not exist"
    return f"{error.strerror or error}: {error.filename}" if error.filename else str(error)


def _plain(detail: str) -> str:
    """Return a market's words without the patterns that programs check texts with."""
    return _PATTERN.sub(lambda found: f"{found[1] or 'a text'} is not of its form", detail)


def _exit_code(status: int, code: str) -> int:
    """Return the exit code of a refusal, by its kind."""
    if status == _PAYMENT_REQUIRED and "mandate" in code:
        return REFUSED
    return _BY_STATUS.get(status, USAGE)


def reported(command: Callable[P, T]) -> Callable[P, T]:
    """Let a command's known failures end it with a line and a code; bugs keep their traceback."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        except (Exception, BaseExceptionGroup) as error:
            # The edge of a process: what is not explained goes on as it is.
            cause = _alone(error)
            if isinstance(cause, BrokenPipeError):
                _leave_quietly()
            explained = explain(cause)
            if explained is None:
                raise
            say_reports(explained.reports, as_json=bool(kwargs.get("as_json")))
            sys.exit(explained.exit_code)

    return run


def _alone(error: BaseException) -> BaseException:
    """Return what a task group wrapped, if that is one thing."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _leave_quietly() -> NoReturn:
    """End: who read what we write has gone away, and so nothing is left to say."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(PIPE_CLOSED)


def say_reports(reports: list[Report], *, as_json: bool) -> None:
    """Write what is wrong to stderr: a line for each, or one JSON object."""
    if not as_json:
        for report in reports:
            click.echo(f"market: {report}", err=True)
        return
    first, *more = reports
    detail = "; ".join([first.detail, *(str(report) for report in more)])
    error = {**first._asdict(), "detail": detail}
    click.echo(msgspec.json.encode({"error": error}), err=True)
