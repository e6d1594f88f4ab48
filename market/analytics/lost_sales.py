"""Lost sales of one seller: from frames to journeys, and back to a frame."""

import difflib
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
import polars as pl

from market.analytics.facts import Facts
from market.analytics.fates import Fate, Loss, fate_of
from market.analytics.journeys import Decided, Journey, Ordered, Sighted
from market.analytics.schema import STAGE

LOSSES: Final = pl.Schema(
    {
        "session_id": pl.String(),
        "buyer_id": pl.String(),
        "stage": STAGE,
        "reason": pl.String(),
        "to_service_id": pl.String(),
        "to_slug": pl.String(),
        "amount_minor": pl.Int64(),
        "currency": pl.String(),
        "winning_minor": pl.Int64(),
        "basis": pl.String(),
        "trust": pl.Float64(),
        "to_trust": pl.Float64(),
        "detail": pl.String(),
        "cause": pl.String(),
        "paid_minor": pl.Int64(),
    }
)
"""The columns of ``losses``."""


BATCH: Final = 2_000
"""Journeys that are held in memory at once."""

_JOURNEY: Final = msgspec.json.Decoder(Journey)


class UnknownSeller(ValueError):
    """No seller or service goes by that name in these facts; the message names the nearest."""


class Seller(NamedTuple):
    """Whose sales are asked about: all services of a seller, or one of them."""

    name: str
    services: frozenset[str]


def losses(facts: Facts, seller: str) -> pl.DataFrame:
    """Return one row per journey that saw a seller's services and ended, or went on, without it.

    session_id, buyer_id str; stage enum: the last in which the buyer looked at it; reason str of
    the closed list (null: another was ranked above it); to_service_id, to_slug str: what was
    taken instead (null: nothing); amount_minor i64: its price, currency str; winning_minor i64: the
    highest price that would have kept it in, by basis str (``limit``: the buyer said so;
    ``rescored``: by the recorded scores, see ``rescoring``; ``gap``: the price of the service
    that was taken), null where price is not what lost it; trust, to_trust f64: scores reported to
    the buyer of it and of what was taken; detail str: the buyer's words; cause str: the reason, or
    what put the others ahead, which is the part of the scores by which it fell behind most
    (``reputation`` for the part ``trust``), ``unsaid`` where nothing tells; of the reason ``other``
    the gate of the market that let it have no such order (``order_cap_exceeded``,
    ``seller_frozen``), where the words tell of one; paid_minor i64: what was paid for its order all
    the same, less refunds: a buyer that paid and was not content.

    Raises:
        UnknownSeller: nobody goes by this handle, agent id, slug or service id.
    """
    return frame_of([fate for fate in fates(facts, seller) if isinstance(fate, Loss)])


def frame_of(found: list[Loss]) -> pl.DataFrame:
    """Return losses as a frame."""
    return pl.DataFrame([msgspec.structs.astuple(one) for one in found], LOSSES, orient="row")


def fates(facts: Facts, seller: str) -> Iterator[Fate]:
    """Give what became of a seller in each journey that saw it, in the order of their ids.

    Raises:
        UnknownSeller: nobody goes by this handle, agent id, slug or service id.
    """
    services = seller_of(facts, seller).services
    return (fate_of(journey, services) for journey in _journeys(facts, services))


def seller_of(facts: Facts, name: str) -> Seller:
    """Return the seller with this handle or agent id, or else the service of this slug or id.

    Raises:
        UnknownSeller: there is neither.
    """
    known = facts.services.select("service_id", "slug", "seller_id", "seller_handle").collect()
    for column in ("seller_handle", "seller_id", "slug", "service_id"):
        found = known.filter(pl.col(column) == name)
        if not found.is_empty():
            of_seller = column in ("seller_handle", "seller_id")
            shown = found["seller_handle" if of_seller else "slug"][0]
            return Seller(shown, frozenset(found["service_id"]))
    names = sorted({*known["seller_handle"], *known["slug"]})
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else f" Known are: {', '.join(names[:20])}."
    raise UnknownSeller(f"No seller or service is called {name!r}.{hint}")


def _journeys(facts: Facts, services: frozenset[str]) -> Iterator[Journey]:
    """Give every journey in which one of these services was shown or weighed."""
    ids = sorted(services)
    weighed = pl.element().struct.field("service_id").is_in(ids)
    seen = pl.concat(
        [
            facts.sightings.filter(pl.col("service_id").is_in(ids)).select("session_id"),
            facts.decisions.filter(pl.col("alternatives").list.eval(weighed).list.any()).select(
                "session_id"
            ),
        ]
    )
    sessions = seen.unique().sort("session_id").collect(engine="streaming")
    for part in sessions.iter_slices(BATCH):
        whole = _whole_journeys(facts, part["session_id"]).collect(engine="streaming")
        for text in whole.select(pl.struct(pl.all()).struct.json_encode()).to_series():
            yield _JOURNEY.decode(text)


def _whole_journeys(facts: Facts, session_ids: pl.Series) -> pl.LazyFrame:
    """One row per session, with the fields of ``Journey``; by id, as the frames are sorted."""
    # The range lets the reader skip most of a file; the ids pick what is asked for.
    first, last = pl.lit(session_ids[0]), pl.lit(session_ids[-1])
    is_near = pl.col("session_id").is_between(first, last)
    is_asked = is_near & pl.col("session_id").is_in(session_ids.implode())
    left = facts.stages.filter(is_asked, pl.col("outcome") == "left").select(
        "session_id", left_stage="stage", left_reason="reason"
    )
    rows = facts.sessions.filter(is_asked).select(
        "session_id", "buyer_id", is_closed=pl.col("closed_at").is_not_null()
    )
    rows = rows.join(left, "session_id", "left")
    for name, frame, form in (
        ("decisions", facts.decisions.filter(is_asked).sort("offset"), Decided),
        ("sightings", facts.sightings.filter(is_asked).sort("offset"), Sighted),
        ("orders", facts.orders.filter(is_asked).sort("order_id"), Ordered),
    ):
        fields = [field.name for field in msgspec.structs.fields(form)]
        grouped = frame.group_by("session_id", maintain_order=True)
        listed = grouped.agg(pl.struct(fields).alias(name))
        rows = rows.join(listed, "session_id", "left").with_columns(pl.col(name).fill_null([]))
    return rows.sort("session_id")
