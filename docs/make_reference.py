"""Write ``docs/reference.md`` from the code: ``make reference``.

Whatever has a name that people meet stands in it: settings, commands, refusals, kinds of event,
reasons, id prefixes, rules of the audit. ``tests/unit/test_manual.py`` fails when it is stale.
"""

import ast
import inspect
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

import market.app  # noqa: F401 - it loads every room, and so every refusal
from market.audit import RULES
from market.base.errors import every_refusal
from market.base.settings import PREFIX, RESERVED, Settings, variables
from market.cli.lazy import LazyGroup
from market.cli.tree import ROOT
from market.protocol.events import KINDS, REASONS, STAGES
from market.protocol.ids import PREFIXES

PAGE = Path(__file__).with_name("reference.md")
OPENING = """\
# Reference

Made from the code by `make reference`; do not edit. The HTTP operations are in the OpenAPI document
that a market serves at `/openapi.json`, and each refusal explains itself at `/problems/<code>`."""


def reference() -> str:
    """Return the page."""
    parts = [
        OPENING,
        section("Settings", settings_words(), ("variable", "default", "meaning"), settings_rows()),
        section("Commands", COMMAND_WORDS, ("command", "does", "options"), command_rows()),
        section("Refusals", REFUSAL_WORDS, ("code", "status", "title"), refusal_rows()),
        section("Events", EVENT_WORDS, ("kind", "stage", "audience", "writer", "body"), events()),
        section("Reasons to leave", REASON_WORDS, ("reason", "means"), coded(REASONS.items())),
        section("Ids", ID_WORDS, ("prefix", "names"), coded(PREFIXES.items())),
        section("Audit", AUDIT_WORDS, ("rule", "proves"), coded(RULES.items())),
    ]
    return "\n\n".join(parts) + "\n"


COMMAND_WORDS = (
    "Exit codes: 0 done, 1 an expectation failed, 2 usage or an invalid file, 3 identity, "
    "signature or mandate refused, 4 the market cannot be reached, 5 an invariant is broken, "
    "6 not allowed in this state, 130 interrupted."
)
REFUSAL_WORDS = (
    "An answer with one of these statuses is `application/problem+json` (RFC 9457); its type is "
    "`/problems/<code>`. A code keeps its meaning."
)
EVENT_WORDS = (
    f"Stages, in their order: {', '.join(f'`{stage}`' for stage in STAGES)}. Audiences: `owner` "
    "(buyer, principal, overseers), `order` (these and the order's seller), `all` (everyone in the "
    "session). Writers: `market` kinds are stamped by the server; `owner` and `participant` kinds "
    "are written by agents."
)
REASON_WORDS = "Why a buyer left a stage: `reason` of `decision.made`."
ID_WORDS = (
    "A prefix, an underscore and 26 characters (TypeID over UUIDv7): ids sort by their creation. "
    "An agent's id is the RFC 7638 thumbprint of its first key, 43 characters without a prefix."
)
AUDIT_WORDS = "What `market audit` proves when it finds nothing."


def section(title: str, words: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a heading, a paragraph and a table."""
    table = [head, ["---"] * len(head), *rows]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in table]
    return f"## {title}\n\n{words}\n\n" + "\n".join(lines)


def settings_words() -> str:
    """Return what is said of settings as a whole."""
    client = ", ".join(f"`{name}`" for name in sorted(RESERVED))
    return (
        "Read once, when a market starts; an unknown or malformed `MARKET_*` variable stops the "
        f"start. {client} belong to the commands that talk to a market."
    )


def settings_rows() -> Iterator[list[str]]:
    """One row per variable, with the words that stand under its field."""
    said = field_words()
    for variable, default in variables().items():
        words = said.get(variable.removeprefix(PREFIX).lower(), "")
        yield [f"`{variable}`", f"`{default}`" if default else "", words]


def field_words() -> dict[str, str]:
    """Return the text under each field of the settings."""
    [definition] = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(definition, ast.ClassDef)
    said: dict[str, str] = {}
    name = ""
    for part in definition.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            name = part.target.id
        elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) and name:
            said[name] = one_line(str(part.value.value))
    return said


def command_rows(group: LazyGroup = ROOT, path: str = "market") -> Iterator[list[str]]:
    """One row per command, with its arguments and options."""
    context = click.Context(group)
    for name in group.list_commands(context):
        _, command, _ = group.resolve_command(context, [name])
        summary = group.get_command(context, name)
        assert command is not None
        assert summary is not None
        if isinstance(command, LazyGroup):
            yield from command_rows(command, f"{path} {name}")
        else:
            call = f"{path} {name}{arguments(command)}"
            yield [f"`{call}`", summary.help or "", options(command)]


def arguments(command: click.Command) -> str:
    """Return a command's arguments as its usage line has them."""
    context = click.Context(command)
    made = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
    return "".join(f" {each}" for each in made)


def options(command: click.Command) -> str:
    """Return the long names of a command's options."""
    names = [p.opts[0] for p in command.params if isinstance(p, click.Option) and not p.hidden]
    return ", ".join(f"`{name}`" for name in names)


def refusal_rows() -> list[list[str]]:
    """One row per code that a refusal can carry, by status."""
    known = {(kind.status, kind.code): kind.title for kind in every_refusal()}
    return [[f"`{code}`", str(status), title] for (status, code), title in sorted(known.items())]


def events() -> Iterator[list[str]]:
    """One row per kind of event."""
    for name, kind in KINDS.items():
        yield [f"`{name}`", kind.stage or "any", kind.audience, kind.writer, kind.body]


def coded(pairs: Iterable[tuple[str, str]]) -> Iterator[list[str]]:
    """Rows of a name and what it means."""
    for name, meaning in pairs:
        yield [f"`{name}`", meaning]


def one_line(text: str) -> str:
    """Return a docstring as one line of Markdown."""
    return " ".join(text.split()).replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(reference(), "utf-8")
