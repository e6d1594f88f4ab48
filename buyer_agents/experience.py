"""What a buyer remembers of sellers: one note each, in its private memory at the market."""

from typing import Any, Final

from buyer_agents.client import MarketClient, every
from buyer_agents.errors import Refused
from buyer_agents.needs import Experience, Memory
from market.protocol.wire import NoteView, WriteNote

NAMESPACE: Final = "sellers"

_TRIES: Final = 3
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409


async def recall(market: MarketClient) -> Memory:
    """Return this buyer's experience by seller id."""
    notes = every(lambda cursor: market.notes(NAMESPACE, cursor=cursor))
    return {str(note.value.get("seller_id")): _read(note) async for note in notes}


async def remember(
    market: MarketClient,
    *,
    seller_id: str,
    seller_handle: str,
    went_well: bool,
    session_id: str,
    offset: int,
) -> None:
    """Add one order to the experience with a seller, also if another journey does so now.

    ``session_id`` and ``offset`` say where it was learnt; the latest journey counts once.
    """
    for attempt in range(_TRIES):
        note = await _note(market, seller_handle)
        if note is not None and note.session_id == session_id:
            return
        known = _read(note) if note else Experience()
        value: dict[str, Any] = {
            "seller_id": seller_id,
            "good": known.good + went_well,
            "bad": known.bad + (not went_well),
        }
        write = WriteNote(
            value=value,
            session_id=session_id,
            offset=offset,
            if_version=note.version if note else 0,
        )
        try:
            await market.write_note(NAMESPACE, seller_handle, write)
        except Refused as refused:
            if refused.status != _CONFLICT or attempt == _TRIES - 1:
                raise
        else:
            return


async def _note(market: MarketClient, key: str) -> NoteView | None:
    try:
        return await market.note(NAMESPACE, key)
    except Refused as refused:
        if refused.status == _NOT_FOUND:
            return None
        raise


def _read(note: NoteView) -> Experience:
    good, bad = note.value.get("good"), note.value.get("bad")
    return Experience(
        good=good if isinstance(good, int) else 0, bad=bad if isinstance(bad, int) else 0
    )
