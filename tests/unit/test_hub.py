"""The hub: who waits for a stream is told of it in a fixed order."""

import asyncio
from dataclasses import dataclass

from market.base.hub import Hub
from market.base.work import Entry


@dataclass(eq=False)
class Named:
    """A listener that says that it heard something."""

    name: int
    told: list[int]
    loop: asyncio.AbstractEventLoop

    def hear(self, _: list[Entry]) -> None:
        self.told.append(self.name)

    def wake(self) -> None: ...

    def hint(self, last: int | None) -> None: ...


def test_readers_of_one_stream_are_told_in_the_order_in_which_they_came():
    hub, told, loop = Hub(), list[int](), asyncio.new_event_loop()
    listeners = [Named(number, told, loop) for number in range(100)]
    for listener in reversed(listeners):
        hub.join("a", listener)
    hub.leave("a", listeners[50])

    hub.ring(loop, [("a", [])])

    loop.close()
    assert told == [number for number in reversed(range(100)) if number != 50]
