"""How values are written in a report: money as decimals, shares in per cent, times with units."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from market.protocol.events import STAGES
from market.protocol.money import EXPONENTS, decimal_text
from market.protocol.text import one_line
from market.report.forms import NONE, Column, Form

MAX_NAME: Final = 200
MAX_WORDS: Final = 800
_STAGES: Final[Mapping[str, str]] = dict(
    zip(STAGES, ("Find", "Evaluate", "Trust", "Pay", "Use", "Recommend"), strict=True)
)
STAGE_ORDER: Final = tuple(_STAGES.values())
"""The stages as people read them, in the order of a journey."""


def written(row: Mapping[str, Any], column: Column, *, currency: str | None = None) -> str:
    """Return a value of a row as people read it; amounts of ``currency`` without its code."""
    value = row[column.field]
    if value is None:
        return NONE
    if column.form == "money":
        return money(value, row.get("currency"), is_bare=row.get("currency") == currency)
    if column.form == "measure":
        return measured(value, row["unit"], row.get("currency"))
    return _WAYS[column.form](value)


def measured(value: float, unit: str, currency: str | None) -> str:
    """Return a number in its unit; amounts here are means or differences, so not always whole."""
    match unit:
        case "share":
            return share(value)
        case "seconds":
            return f"-{duration(-value)}" if value < 0 else duration(value)
        case "minor" if currency in EXPONENTS:
            return f"{_number(value / 10 ** EXPONENTS[currency])} {currency}"
    return _number(value)


def plain(word: str) -> str:
    """Return a word of a closed list (a stage, a reason, a state) as people write it."""
    return _STAGES.get(word) or name(word).replace("_", " ")


def name(text: str, limit: int = MAX_NAME) -> str:
    """Return words from outside as one line, without signs that hide or reorder.

    What is longer than ``limit`` ends in an ellipsis.
    """
    line = one_line(text, limit + 1)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def money(amount_minor: int, currency: str | None, *, is_bare: bool = False) -> str:
    """Return an amount as a decimal with its currency, unless it is bare."""
    if currency is None:
        return NONE
    if currency not in EXPONENTS:
        return f"{amount_minor} {name(currency)} (minor units)"
    amount = decimal_text(amount_minor, currency)
    return amount if is_bare else f"{amount} {currency}"


def sums(rows: Sequence[Mapping[str, Any]], field: str) -> str:
    """Return the sum of a column of amounts, for each currency."""
    totals: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        if row["currency"] is not None:
            totals[row["currency"]] += row[field]
    return " and ".join(money(amount, code) for code, amount in sorted(totals.items())) or "nothing"


def share(part: float) -> str:
    """Return a part of one in per cent, with one decimal where it says something."""
    return f"{_settled(100 * part, 1):.1f}".removesuffix(".0") + " %"


def duration(seconds: float) -> str:
    """Return seconds with the unit that reads best."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3_600:.1f} h"


def moment(at: datetime) -> str:
    """Return a moment in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def counted(number: int, one: str, several: str = "") -> str:
    """Return a number with its noun: "1 journey", "2 journeys"."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def _number(value: float) -> str:
    decimals = 3 if abs(value) >= 1 else 6
    text = f"{_settled(value, decimals):,.{decimals}f}"
    return text.rstrip("0").rstrip(".")


def _settled(value: float, decimals: int) -> float:
    """Return a number rounded; a zero that has a sign loses it."""
    return round(value, decimals) + 0.0


def _named(value: str | Sequence[str]) -> str:
    return name(value) if isinstance(value, str) else ", ".join(map(name, value))


_WAYS: Final[Mapping[Form, Callable[[Any], str]]] = {
    "text": lambda value: plain(str(value)),
    "name": _named,
    "words": lambda value: name(value, MAX_WORDS),
    "count": "{:,}".format,
    "number": _number,
    "share": share,
    "seconds": duration,
    "moment": moment,
    "claim": lambda value: "yes" if value else "no",
}
"""How each form but money is written."""
