"""A report as one HTML page: no script, nothing from any address, readable without its plots."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from market.report.forms import Block, Column, Head, Plot, Proof, Report, Table
from market.report.html import Element, element, joined
from market.report.runs import Check
from market.report.svg import embedded
from market.report.theme import variables
from market.report.words import MAX_WORDS, counted, moment, name, written

MAX_ROWS: Final = 25
"""Rows of a table that a page shows; ``--json`` has all of them."""

_STYLE: Final = (Path(__file__).parent / "page.css").read_text("utf-8")
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
"""What a browser may do with the page, whatever is in it (Content Security Policy, level 3)."""

_NUMBERS: Final = frozenset({"count", "number", "share", "seconds", "money", "measure"})
_MARKS: Final = {"passed": "✓ passed", "failed": "✗ failed", "warned": "! warned"}


def page(report: Report, plots: Mapping[str, Plot]) -> str:
    """Return the page; ``plots`` by the names of their blocks."""
    title = f"{name(report.head.name)}: report of a market"
    body = element(
        "main",
        _head(report.head),
        _contents(report.blocks),
        *[_section(block, plots.get(block.name)) for block in report.blocks],
    )
    return "<!DOCTYPE html>\n" + element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            element("meta", name="color-scheme", content="light dark"),
            element("title", title),
            element("style", Element(_style())),
        ),
        element("body", body),
        lang="en",
    )


def _style() -> str:
    dark = f"@media (prefers-color-scheme: dark) {{ :root {{{variables('dark')}}} }}"
    printed = f"@media print {{ :root {{{variables('light')}}} }}"
    return f":root {{{variables('light')}}}\n{dark}\n{printed}\n{_STYLE}"


def _head(head: Head) -> Element:
    period = ""
    if head.began_at and head.ended_at:
        period = f"{moment(head.began_at)} to {moment(head.ended_at)} UTC"
    facts = {
        "From": head.source,
        "Seed": "" if head.seed is None else str(head.seed),
        "Period": period,
        "Contains": ", ".join(f"{count:,} {what}" for what, count in head.counts.items()),
        **head.settings,
    }
    listed = [
        joined(element("dt", what), element("dd", name(value, MAX_WORDS)))
        for what, value in facts.items()
        if value
    ]
    parts = [
        element("p", "Report of a market", class_="soft"),
        element("h1", name(head.name)),
        element("dl", *listed, class_="facts"),
    ]
    if head.note:
        parts.append(element("p", name(head.note, MAX_WORDS)))
    if head.partial:
        parts.insert(2, element("p", head.partial, class_="partial"))
    return element("header", *parts, _proof(head.proof), *_expectations(head.expectations))


def _proof(proof: Proof | None) -> Element:
    if proof is None:
        return element("p", "Not proven: an export can be read, but not audited.", class_="soft")
    if proof.findings:
        found = [element("li", name(finding)) for finding in proof.findings[:MAX_ROWS]]
        return joined(
            element("p", f"✗ The audit found {counted(len(proof.findings), 'broken law')}:"),
            element("ul", *found),
        )
    went = ", ".join(
        (
            f"{proof.postings:,} postings sum to zero",
            f"{proof.events:,} log entries chain",
            f"{counted(proof.receipts, 'receipt holds', 'receipts hold')}",
        )
    )
    return element("p", element("b", "✓ proven", class_="passed"), f" from the store: {went}.")


def _expectations(checks: list[Check]) -> list[Element]:
    if not checks:
        return []
    counts = [
        f"{number} {status}"
        for status in _MARKS
        if (number := sum(check.status == status for check in checks))
    ]
    listed = [_check(check) for check in checks]
    return [
        element("h3", f"Expectations: {', '.join(counts)}"),
        element("ul", *listed, class_="checks"),
    ]


def _check(check: Check) -> Element:
    mark = element("b", _MARKS.get(check.status, name(check.status)), class_=check.status)
    parts: list[str] = [mark, name(check.title)]
    if check.status != "passed":
        found = ", ".join(
            f"{name(asked)} = {name(value)}" for asked, value in check.observed.items()
        )
        parts.append(element("small", f"{name(check.that)}: {found} ({name(check.where)})"))
    return element("li", *parts)


def _contents(blocks: list[Block]) -> Element:
    links = [element("li", element("a", block.title, href=f"#{block.name}")) for block in blocks]
    return element("nav", element("ul", *links), aria_label="Contents")


def _section(block: Block, plot: Plot | None) -> Element:
    heading = f"{block.name}-title"
    parts = [element("h2", block.title, id=heading)]
    if block.missing:
        parts.append(element("p", block.missing, class_="missing"))
    else:
        # No line ends between a number and its sign.
        says = [name(sentence, MAX_WORDS).replace(" %", "\u00a0%") for sentence in block.says]
        parts += [element("p", sentence) for sentence in says]
    if plot is not None:
        picture = embedded(plot.svg, name=plot.name, label=name(plot.label, MAX_WORDS))
        # As a table does, a plot wider than the screen scrolls by itself.
        label = f"{block.title}, plot"
        parts.append(element("figure", picture, role="group", aria_label=label, tabindex="0"))
    parts += [_table(table, f"{block.name}-{at}") for at, table in enumerate(block.tables)]
    parts.append(element("p", block.definition, class_="definition"))
    parts += _meanings(block.tables)
    return element("section", *parts, id=block.name, aria_labelledby=heading)


def _meanings(tables: list[Table]) -> list[Element]:
    """Tell what columns count, once for each heading."""
    told = {
        column.heading: column.meaning
        for table in tables
        for column in table.columns
        if column.meaning
    }
    if not told:
        return []
    pairs = [
        joined(element("dt", heading), element("dd", meaning)) for heading, meaning in told.items()
    ]
    summary = element("summary", "What the columns mean")
    return [element("details", summary, element("dl", *pairs, class_="facts"))]


def _table(table: Table, place: str) -> Element:
    headings = [
        element("th", column.heading, scope="col", class_=_class(column))
        for column in table.columns
    ]
    currency = table.currency
    rows = [_row(row, table.columns, currency) for row in table.rows[:MAX_ROWS]]
    caption = name(table.title)
    if currency and any(column.form == "money" for column in table.columns):
        caption += f", amounts in {name(currency)}"
    if len(table.rows) > MAX_ROWS:
        caption += f" (the first {MAX_ROWS} of {len(table.rows):,}; JSON has all)"
    made = element(
        "table",
        element("caption", caption, id=place),
        element("thead", element("tr", *headings)),
        element("tbody", *rows),
    )
    # A table wider than the screen scrolls by itself; with tabindex also for the keyboard.
    return element("div", made, class_="table", role="region", aria_labelledby=place, tabindex="0")


def _row(row: Mapping[str, Any], columns: list[Column], currency: str | None) -> Element:
    first, *rest = columns
    texts = {column.field: written(row, column, currency=currency) for column in columns}
    cells = [element("th", texts[first.field], scope="row", class_=_class(first))]
    cells += [element("td", texts[column.field], class_=_class(column)) for column in rest]
    return element("tr", *cells)


def _class(column: Column) -> str:
    return "number" if column.form in _NUMBERS else column.form
