"""Types as people read them: in docstrings and in the tables of the manual."""

import polars as pl

from market.protocol.events import STAGES


def type_text(dtype: pl.DataType) -> str:
    """Return a type as the tables of the manual name it."""
    if isinstance(dtype, pl.Datetime):
        return "datetime[us, UTC]"
    if isinstance(dtype, pl.Enum):
        return "enum[stage]" if dtype == pl.Enum(STAGES) else "enum"
    if isinstance(dtype, pl.List):
        inner = dtype.inner
        return "list[struct]" if isinstance(inner, pl.Struct) else "list[str]"
    return {"String": "str", "Int64": "i64", "Float64": "f64", "Boolean": "bool"}[str(dtype)]
