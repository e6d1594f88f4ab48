"""Events out of the log's entries: the members of their JSON as columns, a batch at a time.

An entry is canonical JSON with its hash behind (``market.sessions.writing``), so its members stand
in one order, and only the body may hold anything. One pattern finds those before it, one those
behind it; the body is what lies between. Both begin or end where the text does, so nothing in a
body can pass for them. An entry of another form is decoded by itself.
"""

from typing import Any, Final

import msgspec
import polars as pl

from market.analytics.schema import EVENTS

ENTRIES: Final = pl.Schema(
    {
        "session_id": pl.String(),
        "offset": pl.Int64(),
        "recorded_at": pl.Int64(),
        "data": pl.Binary(),
    }
)
"""Entries as the database keeps them."""

_WORD: Final = "[0-9A-Za-z_:.-]"
_HEAD: Final = rf'^\{{"actor_id":"(?<actor_id>{_WORD}*)","audience":"(?<audience>{_WORD}*)","body":'
_TAIL: Final = (
    rf'(?<tail>,"id":"{_WORD}*","kind":"(?<kind>{_WORD}*)","offset":[0-9]+,'
    rf'"order_id":(?:null|"(?<order_id>{_WORD}*)"),"prev_hash":"{_WORD}*",'
    rf'"recorded_at":"{_WORD}*","session_id":"{_WORD}*",'
    rf'"stage":(?:null|"(?<stage>{_WORD}*)"),"hash":"(?<hash>{_WORD}*)"\}})$'
)
_HEAD_BYTES: Final = len('{"actor_id":"","audience":"","body":')


class _Members(msgspec.Struct):
    """The members of an entry that become columns."""

    kind: str | None = None
    stage: str | None = None
    actor_id: str | None = None
    order_id: str | None = None
    audience: str | None = None
    body: msgspec.Raw = msgspec.Raw()
    hash: str | None = None


_BY_HAND: Final = msgspec.json.Decoder(_Members)
_NAMES: Final = _Members.__struct_fields__


def unpacked(entries: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``schema.EVENTS`` from entries as the database keeps them, in their order."""
    return entries.map_batches(_unpack, schema=EVENTS.schema, streamable=True)


def _unpack(entries: pl.DataFrame) -> pl.DataFrame:
    text = pl.col("data").cast(pl.String)
    head = pl.col("actor_id").str.len_bytes() + pl.col("audience").str.len_bytes() + _HEAD_BYTES
    length = pl.col("data").bin.size() - head - pl.col("tail").str.len_bytes()
    body = pl.when(length.is_not_null()).then(pl.col("data").bin.slice(head, length))
    found = entries.with_columns(
        text.str.extract_groups(_HEAD).alias("head"), text.str.extract_groups(_TAIL).alias("tail")
    ).unnest("head", "tail")
    found = found.with_columns(body.cast(pl.String).alias("body"))
    if found["body"].has_nulls():
        found = _by_hand(found)
    return found.select(pl.col(name).cast(dtype) for name, dtype in EVENTS.schema.items())


def _by_hand(found: pl.DataFrame) -> pl.DataFrame:
    """Decode those entries one by one that have another form."""
    decoded = [
        _row(data) if body is None else dict.fromkeys(_NAMES)
        for data, body in found.select("data", "body").iter_rows()
    ]
    others = pl.DataFrame(decoded, schema=dict.fromkeys(_NAMES, pl.String()))
    is_other = found["body"].is_null()
    return found.with_columns(
        pl.when(is_other).then(others[name]).otherwise(pl.col(name)).alias(name) for name in _NAMES
    )


def _row(data: bytes) -> dict[str, Any]:
    members = _BY_HAND.decode(data)
    return msgspec.structs.asdict(members) | {"body": bytes(members.body).decode() or None}
