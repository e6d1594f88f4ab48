"""Counting what waits in an inbox, for its quota."""

from market.base import streams
from market.base.work import Snapshot
from market.inbox.service import acknowledged_by, stream_of


def count_waiting(snapshot: Snapshot, agent_id: str) -> int:
    """Return how many messages an agent has not acknowledged."""
    stream = streams.stream(snapshot, stream_id=stream_of(agent_id))
    return 0 if stream is None else stream.next_offset - 1 - acknowledged_by(snapshot, agent_id)
