"""What a session's log says of one order up to now: chunks, steering, pauses."""

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field

from buyer_agents import MarketClient
from market.protocol.chain import Entry
from market.protocol.events import Event
from seller_services.handling import Chunk


@dataclass
class History:
    """An order's past, as a worker needs it to go on where the last one stopped.

    ``digest`` chains the chunks that the market has. ``steered`` are the texts that were consumed
    before each chunk, by its index; ``waiting`` those that nobody answered, by their offset.
    """

    chunks: int = 0
    digest: str = ""
    is_paused: bool = False
    has_ended: bool = False
    last_offset: int = -1
    steered: dict[int, list[str]] = field(default_factory=dict)
    waiting: dict[int, str] = field(default_factory=dict)

    def read(self, entries: Iterable[Entry], order_id: str) -> None:
        """Take in the next entries of the log."""
        for entry in entries:
            self.last_offset = entry.offset
            if isinstance(entry, Event) and entry.order_id == order_id:
                self.take(entry)

    def take(self, event: Event) -> None:
        """Take in one event of the order."""
        body = event.body
        match event.kind:
            case "delivery.chunk":
                self.chunks, self.digest = self.chunks + 1, body["digest"]
            case "order.settled" | "order.cancelled" | "order.failed" | "delivery.completed":
                self.has_ended = True
            case "control.requested" if body["action"] == "steer" and "run" not in body:
                self.waiting[event.offset] = body["text"]
            case "control.answered" if "run" not in body:
                self._answered(body["action"], body["answer"], body["request_offset"])

    def _answered(self, action: str, answer: str, request_offset: int) -> None:
        if action == "steer":
            text = self.waiting.pop(request_offset, None)
            if text is not None and answer == "consumed":
                self.steered.setdefault(self.chunks, []).append(text)
        elif answer == "accepted" and action in ("pause", "resume"):
            self.is_paused = action == "pause"


async def delivered(
    market: MarketClient, session_id: str, order_id: str, count: int
) -> AsyncGenerator[Chunk, None]:
    """Yield the first ``count`` chunks of an order, as the market has them."""
    after, left = -1, count
    while left:
        page = await market.events(session_id, after=after)
        for entry in page.items:
            after = entry.offset
            if not isinstance(entry, Event) or entry.order_id != order_id:
                continue
            if left and entry.kind == "delivery.chunk":
                yield Chunk(entry.body["output"], entry.body["units"])
                left -= 1
        if not page.items:
            return
