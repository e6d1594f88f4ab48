"""Faults: how an agent's line to the market breaks, and how that is told."""

from collections.abc import Callable, Sequence
from functools import partial

from msgspec import UNSET

from scenarios.engine.cable import Cable
from scenarios.engine.form import FaultPart, seconds

Done = Callable[[bool, str], None]
"""Is told whether the fault happened, and how; for one that waits, when it does."""


def break_line(fault: FaultPart, lines: Sequence[tuple[str, Cable]], done: Done) -> None:
    """Let a fault happen to the lines of those whom it is about, now or when its moment comes."""
    dead_seconds = seconds(fault.reconnect_after)
    away = f", and dead for {fault.reconnect_after}" if dead_seconds else ""
    for name, line in lines:
        whose = "the" if fault.whose is UNSET else f"{name}'s"
        match fault.kind:
            case "disconnect":
                broke = line.cut(dead_seconds)
                what = f"{whose} connection is" if broke == 1 else f"{broke} connections are"
                done(broke > 0, f"{what} cut{away}")
            case "cut":
                assert fault.bytes is not UNSET, "bytes of a cut are checked when the file is read"
                told = f"{whose} connection is cut {fault.bytes} bytes later{away}"
                line.cut_after(fault.bytes, dead_seconds, partial(done, True, told))
            case "lost-acknowledgement":
                told = f"the market did what {name} asked; its answer is lost{away}"
                line.lose_answer(dead_seconds, partial(done, True, told))
