"""The frame of decisions: what buyers weighed, decoded a batch at a time."""

from typing import Final

import msgspec
import polars as pl

from market.analytics.schema import ALTERNATIVE, DECISIONS, STAGE
from market.protocol.canonical import canonical

_DECIDED: Final = pl.Struct(
    {
        "stage": pl.String(),
        "outcome": pl.String(),
        "reason": pl.String(),
        "detail": pl.String(),
        "service_id": pl.String(),
        "order_id": pl.String(),
        "alternatives": pl.List(
            pl.Struct([field for field in ALTERNATIVE.fields if field.name != "parts"])
        ),
    }
)
_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_PART: Final = rf"{_STRING}:[-+.0-9eE]+"
_PARTS: Final = rf'"parts":\{{(?:{_PART},?)*\}}'
"""An open object, as text. In a text inside of JSON the quotes are escaped: it cannot look so."""

_MADE: Final = pl.Schema(
    {
        **{name: dtype for name, dtype in DECISIONS.schema.items() if name != "currency"},
        "stage": pl.String(),
        "priced_id": pl.String(),
    }
)
"""Decisions before the currency is known."""


def decisions(events: pl.LazyFrame, services: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``schema.DECISIONS`` from the frames of the same names."""
    made = events.filter(pl.col("kind") == "decision.made").select(
        "session_id",
        "offset",
        pl.col("recorded_at").alias("made_at"),
        pl.col("actor_id").alias("buyer_id"),
        "body",
    )
    decided = made.map_batches(_decoded, schema=_MADE, streamable=True)
    currencies = services.select(pl.col("service_id").alias("priced_id"), "currency")
    return (
        decided.join(currencies, on="priced_id", how="left", maintain_order="left")
        .with_columns(pl.col("stage").cast(STAGE))
        .select(pl.col(name).cast(dtype) for name, dtype in DECISIONS.schema.items())
    )


def _decoded(made: pl.DataFrame) -> pl.DataFrame:
    """Decode the bodies of decisions; amounts are of what was chosen, else of the best."""
    decided = _read(made)
    if (decided["alternatives"].list.len() != decided["parts"].list.len()).any():
        decided = _read(made.with_columns(body=pl.Series(map(_with_parts, made["body"]))))
    weighed = (
        decided.select(pl.row_index("row"), "alternatives", "parts", chosen="service_id")
        .filter(pl.col("alternatives").list.len() > 0)
        .explode("alternatives", "parts")
        .unnest("alternatives")
        .with_columns(_listed(pl.col("parts")))
    )
    is_chosen = (pl.col("service_id") == pl.col("chosen")).fill_null(value=False)
    priced = [
        pl.when(is_chosen.any()).then(pl.col(name).filter(is_chosen).first())
        .otherwise(pl.col(name).first()).alias(alias)
        for name, alias in (("amount_minor", "amount_minor"), ("service_id", "priced_id"))
    ]  # fmt: skip
    options = pl.struct(field.name for field in ALTERNATIVE.fields).alias("alternatives")
    grouped = weighed.group_by("row", maintain_order=True).agg(options, *priced)
    return (
        decided.drop("alternatives", "parts")
        .with_row_index("row")
        .join(grouped, on="row", how="left", maintain_order="left")
        .with_columns(pl.col("alternatives").fill_null([]))
        .select(pl.col(name).cast(dtype) for name, dtype in _MADE.items())
    )


def _read(made: pl.DataFrame) -> pl.DataFrame:
    return made.with_columns(
        pl.col("body").str.json_decode(_DECIDED),
        pl.col("body").str.extract_all(_PARTS).alias("parts"),
    ).unnest("body")


def _with_parts(body: str) -> str:
    """Give an empty object to alternatives without parts, as decisions of old may have them."""
    tree = msgspec.json.decode(body)
    tree["alternatives"] = [{"parts": {}, **one} for one in tree["alternatives"]]
    return canonical(tree).decode()


def _listed(parts: pl.Expr) -> pl.Expr:
    """Return the parts of a score as a list: a column cannot hold open objects."""
    one = pl.element()
    name = one.str.extract(rf"^({_STRING}):").str.json_decode(pl.String())
    value = one.str.extract(r":([^:]*)$").cast(pl.Float64())
    found = parts.str.slice(len('"parts":{')).str.extract_all(_PART)
    return found.list.eval(pl.struct(name.alias("part"), value.alias("value"))).alias("parts")
