"""Published facts and exports, read back into what a recount takes."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import polars as pl

from market.base.clock import to_micros
from market.trust.comparing import Gathered
from market.trust.recount import FACTS, Reference, frame_of
from market.trust.scoring import MICRO, Standing

_STANDINGS: Final = pl.Schema(
    {"seller_id": pl.String(), **dict.fromkeys(Standing._fields, pl.Int64())}
)
_BUYERS: Final = pl.Schema(
    {
        "buyer_id": pl.String(),
        "vouched_micro": pl.Int64(),
        "crowd_micro": pl.Int64(),
        "calibration_micro": pl.Int64(),
        "spend_micro": pl.Int64(),
        "is_anchor": pl.Int64(),
    }
)
_FLAGS: Final = ("is_on_time", "is_own")


def gathered_of(
    facts: Iterable[Mapping[str, Any]],
    standings: Iterable[Mapping[str, Any]],
    batch: Mapping[str, Any],
    *,
    has_weights: bool = False,
) -> Gathered:
    """Return what a recount takes.

    Each of ``facts`` has the members of ``FACTS``, ``recorded_at`` as a moment or its text; with
    ``has_weights`` the weight of its buyer stands beside. ``batch`` has reference_day, last_fact,
    anchors and, with ``has_weights``, typical; it is empty before the first.
    """
    reference = Reference(
        batch.get("reference_day", 0),
        batch.get("last_fact", 0),
        frozenset(batch.get("anchors", ())),
        batch.get("typical") if has_weights else None,
    )
    told = list(facts)
    plain = frame_of(_values(fact) for fact in told)
    rows = [[row[name] for name in _STANDINGS] for row in standings]
    kept = pl.DataFrame(rows, schema=_STANDINGS, orient="row").sort("seller_id")
    return Gathered(plain, reference, kept, _buyers(told) if has_weights else None)


def _values(fact: Mapping[str, Any]) -> list[Any]:
    moment = fact["recorded_at"]
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    known = {**fact, "recorded_at": to_micros(moment)}
    return [
        int(known[name]) if name in _FLAGS and known[name] is not None else known[name]
        for name in FACTS
    ]


def _buyers(facts: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """The weights that stand beside facts, once for each name of a buyer."""
    weights = {
        fact["buyer_id"]: (fact["vouched_micro"], fact["crowd_micro"])
        for fact in facts
        if fact["buyer_id"] is not None
    }
    rows = [(name, *weight, MICRO, 0, 0) for name, weight in weights.items()]
    return pl.DataFrame(rows, schema=_BUYERS, orient="row")
