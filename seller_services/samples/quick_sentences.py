"""A sample seller: the first sentences of each section; cheap, and blind to meaning."""

from collections.abc import Iterator
from pathlib import Path

from seller_services.handling import CannotDeliver, Chunk, Order
from seller_services.measure import share_of
from seller_services.samples.sentences import sections, sentences
from seller_services.seller import Seller

seller = Seller(Path(__file__).with_suffix(".toml"), key="quick-sentences.key")


@seller.handle
def lead(order: Order) -> Iterator[Chunk]:
    """Yield the leading sentences of each section."""
    parts = sections(order.input["text"])
    if not parts:
        raise CannotDeliver("the text is empty")
    wanted = order.input.get("sentences", 1)
    for number, part in enumerate(parts):
        found = sentences(part)
        output = {"section": number, "sentences": found[:wanted], "of": len(found)}
        yield Chunk(output, share_of(order.units, part=number, parts=len(parts)))


if __name__ == "__main__":
    seller.run()
