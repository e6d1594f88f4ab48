"""How numbers and endings are said in a report."""

from typing import Final

from market.probe.recording import Recording

IDLE: Final = "nothing was under way before the reader left; audit while work runs"
"""Why silence after a reader left proves nothing: there was silence before, too."""

_SECOND_MS: Final = 1_000.0


def ms(time_ms: float) -> str:
    """Return a time as people say it: ``8 ms``, ``1.2 s``."""
    if time_ms < 1.0:
        return "under 1 ms"
    return f"{time_ms:.0f} ms" if time_ms < _SECOND_MS else f"{time_ms / _SECOND_MS:.1f} s"


def count(number: int, thing: str) -> str:
    """Return so many things: ``1 event``, ``1,204 events``."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def ended_as(recording: Recording) -> str:
    """Return how a reading ended."""
    if recording.ending == "said" and not recording.end_label.startswith("status "):
        return f"`{recording.end_label}`"
    if recording.ending == "closed":
        return "a closed connection"
    return recording.end_label or "nothing more"
