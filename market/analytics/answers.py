"""Answers: what questions about a market give back, declared as the frames of facts are.

A function that ``gives`` an answer has its columns, types, units and order in its docstring, and
returns exactly these.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Final, ParamSpec

import polars as pl

from market.analytics.schema import Column, Frame

P = ParamSpec("P")
Answering = Callable[P, pl.DataFrame]

ANSWERS: Final[dict[str, Frame]] = {}
"""Every answer by the name of the function that gives it."""


def text(meaning: str) -> Column:
    """Return a column of texts."""
    return Column(pl.String(), meaning)


def texts(meaning: str) -> Column:
    """Return a column of lists of texts."""
    return Column(pl.List(pl.String()), meaning)


def whole(meaning: str) -> Column:
    """Return a column of whole numbers; amounts of money are such, in minor units."""
    return Column(pl.Int64(), meaning)


def real(meaning: str) -> Column:
    """Return a column of real numbers: shares, seconds, scores, estimates; never what was paid."""
    return Column(pl.Float64(), meaning)


def flag(meaning: str) -> Column:
    """Return a column of claims."""
    return Column(pl.Boolean(), meaning)


CURRENCY: Final = text("ISO 4217 code of the amounts; null where nothing has a price")


def gives(
    grain: str, key: tuple[str, ...], columns: Mapping[str, Column]
) -> Callable[[Answering[P]], Answering[P]]:
    """Declare what a function answers: its grain, the columns it is sorted by, and all columns.

    What the function returns is cut to these columns, cast to their types and sorted by the key.
    """

    def declare(function: Answering[P]) -> Answering[P]:
        frame = Frame(function.__name__, grain, key, columns)
        ANSWERS[frame.name] = frame

        @wraps(function)
        def answer(*args: P.args, **kwargs: P.kwargs) -> pl.DataFrame:
            found = function(*args, **kwargs)
            return found.select(
                pl.col(name).cast(column.dtype) for name, column in columns.items()
            ).sort(key, maintain_order=True)

        answer.__doc__ = f"{(function.__doc__ or '').rstrip()}\n\n    {_indented(frame)}\n    "
        return answer

    return declare


def _indented(frame: Frame) -> str:
    return "\n".join(f"    {line}".rstrip() for line in frame.describe().splitlines()).lstrip()
