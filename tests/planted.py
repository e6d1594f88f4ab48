"""Facts planted by hand: rows that a test writes, everything else null or empty."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from market.analytics import FRAMES, Facts

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """A moment so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def planted(**frames: list[dict[str, Any]]) -> Facts:
    """Facts with these rows, by frame; a column that a row does not give is null."""
    return Facts({name: _frame(name, rows) for name, rows in frames.items()})


def _frame(name: str, rows: list[dict[str, Any]]) -> pl.LazyFrame:
    schema = FRAMES[name].schema
    for row in rows:
        assert row.keys() <= set(schema), row.keys() - set(schema)
    whole = [[row.get(column) for column in schema] for row in rows]
    return pl.LazyFrame(whole, schema, orient="row")
