"""A sample seller: profiles a CSV text with polars, one chunk per column."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import polars as pl

from market.protocol.canonical import MAX_INTEGER
from seller_services.handling import CannotDeliver, Chunk, Order
from seller_services.measure import share_of
from seller_services.seller import Seller

MOST_COMMON: Final = 3
MAX_TEXT: Final = 100

seller = Seller(Path(__file__).with_suffix(".toml"), key="profile-csv.key")


@seller.handle
def profile(order: Order) -> Iterator[Chunk]:
    """Yield the profile of each column, in the order of the header."""
    frame = read_csv(order.input["csv"], order.input.get("separator", ","))
    for number, column in enumerate(frame.iter_columns()):
        units = share_of(order.units, part=number, parts=frame.width)
        yield Chunk(profile_column(column), units)


def read_csv(text: str, separator: str) -> pl.DataFrame:
    """Return the table in ``text``, whose first line names the columns.

    Raises:
        CannotDeliver: it is no table.
    """
    try:
        frame = pl.read_csv(
            text.encode(), separator=separator, infer_schema_length=None, try_parse_dates=True
        )
    except pl.exceptions.PolarsError as error:
        raise CannotDeliver(f"the text is no CSV: {str(error).partition(chr(10))[0]}") from error
    if not frame.width or not frame.height:
        raise CannotDeliver("the CSV has no rows")
    return frame


def profile_column(column: pl.Series) -> dict[str, Any]:
    """Return the facts about one column; numbers also have a mean, rounded to six decimals."""
    present = column.drop_nulls()
    facts: dict[str, Any] = {
        "column": column.name,
        "type": type_name(column.dtype),
        "rows": len(column),
        "empty": column.null_count(),
        "distinct": present.n_unique(),
        "most_common": most_common(present),
    }
    if len(present):
        facts["lowest"], facts["highest"] = plain(present.min()), plain(present.max())
        if column.dtype.is_numeric():
            facts["mean"] = plain(present.mean())
    return facts


def most_common(present: pl.Series) -> list[dict[str, Any]]:
    """Return the values that occur most often, and how often; equals in the order of the values."""
    value, count = "value", "count"
    counted = (
        pl.DataFrame({value: present})
        .group_by(value)
        .len(count)
        .sort([count, value], descending=[True, False])
        .head(MOST_COMMON)
    )
    return [{"value": plain(row[0]), "count": row[1]} for row in counted.iter_rows()]


def type_name(dtype: pl.DataType) -> str:
    """Return a type as people call it."""
    if dtype.is_integer():
        return "whole number"
    if dtype.is_numeric():
        return "number"
    if dtype == pl.Boolean:
        return "yes or no"
    return "date or time" if dtype.is_temporal() else "text"


def plain(value: Any) -> Any:
    """Return a value as JSON has it; long texts are cut, and what JSON cannot hold is a text."""
    if isinstance(value, int | float) and abs(value) <= MAX_INTEGER:
        return round(value, 6)
    return str(value)[:MAX_TEXT]


if __name__ == "__main__":
    seller.run()
