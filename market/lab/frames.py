"""What was played, as polars frames."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from market.lab.measures import Day, Rank
from market.lab.play import Cell, Played


def days_frame(played: Sequence[Played]) -> pl.DataFrame:
    """Return one row per cell and day.

    ``orders``, ``failed``, ``ordered_minor`` and ``to_attackers_minor`` are of honest buyers;
    ``refused`` counts everybody's orders that the market did not take; ``share`` is the attackers'
    part of the money; ``victim`` the rank of the attacked sellers (0 best, 1 worst), if any.
    """
    rows = [_row(one.cell, day) for one in played for day in one.days]
    frame = pl.DataFrame(rows, schema=_schema(Day))
    share = pl.col("to_attackers_minor") / pl.col("ordered_minor")
    return frame.with_columns(share=share)


def ranks_frame(played: Sequence[Played]) -> pl.DataFrame:
    """Return one row per cell, day and seller: its true quality, its score, its place (0 best)."""
    rows = [_row(one.cell, rank) for one in played for rank in one.ranks]
    return pl.DataFrame(rows, schema=_schema(Rank))


_CELL: dict[str, Any] = {
    "attack": pl.String,
    "algorithm": pl.String,
    "seed": pl.Int64,
}
_TYPES: dict[Any, Any] = {
    int: pl.Int64,
    float: pl.Float64,
    bool: pl.Boolean,
    str: pl.String,
    float | None: pl.Float64,
}


def _schema(line: type[Day] | type[Rank]) -> dict[str, Any]:
    return _CELL | {name: _TYPES[kind] for name, kind in line.__annotations__.items()}


def _row(cell: Cell, line: Day | Rank) -> dict[str, Any]:
    head = {"attack": cell.attack, "algorithm": cell.algorithm, "seed": cell.seed}
    return head | line._asdict()
