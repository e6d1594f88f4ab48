"""What a report is made of: a head, and blocks with sentences, tables and what to draw."""

import re
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec

from market.analytics import ANSWERS, Facts
from market.report.runs import Check, Run, Sweep


class Material(NamedTuple):
    """What blocks are made of: facts, and who was who in them.

    ``truth`` is the frame that ``analytics.truth`` gives of a scenario's run, and ``run`` what the
    run says of itself; both are None of any other market. ``sweep`` are the runs that it is one of.
    """

    facts: Facts
    truth: Any = None
    run: Run | None = None
    sweep: Sweep | None = None


Form = Literal[
    "text",
    "name",
    "words",
    "count",
    "number",
    "share",
    "seconds",
    "money",
    "measure",
    "moment",
    "claim",
]
"""How a value is written. ``name`` and ``words`` are from outside, ``money`` is in minor units of
the row's ``currency``, ``share`` a part of one, ``measure`` a number in the row's ``unit``,
``claim`` a yes or no."""


class Column(msgspec.Struct, frozen=True):
    """A column of a table: the member of its rows, its heading, and how its values are written.

    ``meaning`` tells what it counts, where the heading and the block's definition do not.
    """

    field: str
    heading: str
    form: Form = "text"
    meaning: str = ""


NONE: Final = "-"
"""What stands in a table where there is no value."""

_FIELD: Final = re.compile(r"\b(?:[a-z]+(?:_[a-z]+)+|null)\b")
"""A name of a column, or of no value, as meanings have it."""


def columns_of(answer: str, **columns: tuple[str, Form]) -> list[Column]:
    """Return columns of a function of ``market.analytics``, with the meaning that it declares.

    Where a meaning names another column, it gets the heading that people see, and null is the sign
    that stands in a table for it.
    """
    declared = ANSWERS[answer].columns
    headings = {field: heading for field, (heading, _) in columns.items()}

    def readable(found: re.Match[str]) -> str:
        field = found[0]
        if field == "null":
            return f"“{NONE}”"
        if field in headings:
            return f"“{headings[field]}”"
        return field.removesuffix("_minor").replace("_", " ")

    return [
        Column(field, heading, form, _FIELD.sub(readable, declared[field].meaning))
        for field, (heading, form) in columns.items()
    ]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows as an analytics function gave them; ``columns`` are those that people are shown."""

    title: str
    columns: list[Column]
    rows: list[dict[str, Any]]

    @property
    def currency(self) -> str | None:
        """The currency of all its amounts; None if there are several, or none."""
        known = {row["currency"] for row in self.rows if row.get("currency")}
        return known.pop() if len(known) == 1 else None


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One question, answered.

    ``says`` are sentences on what was found, ``definition`` tells what is counted. ``missing`` is
    "" or tells why there is nothing to show; then there are no tables and there is no plot.
    """

    name: str
    title: str
    says: list[str]
    definition: str
    tables: list[Table] = []
    missing: str = ""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of its first table: what its plot shows."""
        return self.tables[0].rows if self.tables else []


class Topic(NamedTuple):
    """What a block is about, whatever is found: its name, its title, and what is counted."""

    name: str
    title: str
    definition: str

    def found(self, says: list[str], *tables: Table) -> Block:
        """Return the block with what was found."""
        return Block(
            name=self.name,
            title=self.title,
            definition=self.definition,
            says=says,
            tables=list(tables),
        )

    def nothing(self, missing: str) -> Block:
        """Return the block of facts that hold nothing about it; ``missing`` says so."""
        return Block(
            name=self.name, title=self.title, definition=self.definition, says=[], missing=missing
        )


class Plot(NamedTuple):
    """A drawn plot: what a screen reader says of it, and the picture (SVG) in the light colours."""

    name: str
    label: str
    svg: str


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit of the store found: nothing in ``findings``, or the market broke a law."""

    findings: list[str]
    postings: int
    events: int
    receipts: int


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Which market this is, and how far to trust what follows.

    ``settings`` are names and values of the market's set-up, as far as the source tells them;
    ``proof`` is None where there is no store to prove; ``note`` says what else is to be known.
    ``partial`` is "", or says why there is not all that there will be.
    """

    name: str
    source: str
    seed: int | None
    began_at: datetime | None
    ended_at: datetime | None
    counts: dict[str, int]
    settings: dict[str, str]
    partial: str
    note: str
    expectations: list[Check]
    proof: Proof | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole report: the same facts give the same one."""

    head: Head
    blocks: list[Block]
