"""Answers: what questions about a market give back, declared as the frames of facts are.

A function that ``gives`` an answer has its columns, types, units and order in its docstring, and
returns exactly these.
"""

from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Final, ParamSpec

import polars as pl

from market.analytics.schema import Column, Frame

P = ParamSpec("P")
Answering = Callable[P, pl.DataFrame]

ANSWERS: Final[dict[str, Frame]] = {}
"""Every answer by the name of the function that gives it."""


text = partial(Column, pl.String())
texts = partial(Column, pl.List(pl.String()))
whole = partial(Column, pl.Int64())
real = partial(Column, pl.Float64())
flag = partial(Column, pl.Boolean())
"""Columns with a meaning. Whole numbers are counts, and amounts of money in minor units; real ones
are shares, seconds, scores and estimates, never what was paid."""

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
