"""The truth of a scenario run: who everybody was, as its story says, and no market could tell."""

from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from market.analytics.answers import flag, gives, text
from market.analytics.source import NoFacts

CAST_FILE: Final = "cast.json"
"""The file in a run's folder that the scenario engine writes it to."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """An agent of a story: one entry of ``cast.json``; its fields are told by ``truth``."""

    agent_id: str
    name: str
    kind: str
    part: str
    policy: str | None
    behaviour: str | None
    is_honest: bool
    ring: str | None


@gives(
    "One row per buyer and seller of a story",
    ("name",),
    {
        "agent_id": text("the agent"),
        "name": text("its name in the story, which is its handle"),
        "kind": text("buyer or seller"),
        "part": text("name of the table of the story that it stands in"),
        "policy": text("how a buyer chooses; null for sellers"),
        "behaviour": text("how a seller goes about its orders; null for buyers"),
        "is_honest": flag("whether it means well: neither an adversary's policy nor behaviour"),
        "ring": text("the seller that a closed group of buyers is made to praise; null for none"),
    },
)
def truth(run: Path | str) -> pl.DataFrame:
    """Return who was who in a run: ``run`` is its folder, or the folder ``facts`` in it.

    Raises:
        NoFacts: it is no run of a scenario, or one of an older version.
    """
    folder = Path(run)
    places = [folder / CAST_FILE, folder.parent / CAST_FILE]
    for place in places:
        if place.is_file():
            break
    else:
        raise NoFacts(f"{folder} has no {CAST_FILE}: it is no run of a scenario.")
    try:
        members = msgspec.json.decode(place.read_bytes(), type=list[Member])
    except msgspec.DecodeError as error:
        raise NoFacts(f"{place} cannot be read: {error}") from error
    return pl.DataFrame(
        [msgspec.to_builtins(member) for member in members],
        schema=dict.fromkeys(Member.__struct_fields__, pl.String()) | {"is_honest": pl.Boolean()},
    )
