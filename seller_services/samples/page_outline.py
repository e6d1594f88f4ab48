"""A sample seller: the outline of an HTML page, one chunk per section, with its links."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

from seller_services.handling import Chunk, Order
from seller_services.seller import Seller

SLICE: Final = 4_096
MAX_LINKS: Final = 60
MAX_TEXT: Final = 200
MAX_ADDRESS: Final = 300

_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_SILENT: Final = frozenset({"script", "style", "template", "title"})

seller = Seller(Path(__file__).with_suffix(".toml"), key="page-outline.key")


@seller.handle
def outline(order: Order) -> Iterator[Chunk]:
    """Yield each section when the page has been read to its end; its units are what was read."""
    html, reader = order.input["html"], OutlineReader()
    delivered = 0
    for start in range(0, len(html), SLICE):
        reader.feed(html[start : start + SLICE])
        reached = min(start + SLICE, len(html)) * order.units // len(html)
        for section in reader.done():
            # The last section takes what is left, so something must be left for it.
            units = max(min(reached, order.units - 1) - delivered, 0)
            delivered += units
            yield Chunk(section, units)
    reader.close()
    reader.end_section()
    rest = reader.done() or [OutlineReader.empty()]
    for number, section in enumerate(rest, 1):
        yield Chunk(section, order.units - delivered if number == len(rest) else 0)


class OutlineReader(HTMLParser):
    """Splits a page into sections, each from one heading to the next."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._done: list[dict[str, Any]] = []
        self._section = self.empty()
        self._silent = 0
        self._heading: list[str] | None = None
        self._link: tuple[str, list[str]] | None = None

    @staticmethod
    def empty() -> dict[str, Any]:
        """Return the section before any heading."""
        return {"level": 0, "heading": "", "words": 0, "links": [], "links_in_all": 0}

    def done(self) -> list[dict[str, Any]]:
        """Return the sections that are complete and were not returned before."""
        done, self._done = self._done, []
        return done

    def end_section(self) -> None:
        """Complete the present section, if there is anything in it."""
        section, self._section = self._section, self.empty()
        if section["level"] or section["words"] or section["links_in_all"]:
            self._done.append(section)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent += 1
        elif tag in _HEADINGS:
            self.end_section()
            self._section["level"] = _HEADINGS[tag]
            self._heading = []
        elif tag == "a":
            address = dict(attrs).get("href") or ""
            self._link = (address, []) if is_followable(address) else None

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in _HEADINGS and self._heading is not None:
            self._section["heading"] = tidy(self._heading)
            self._heading = None
        elif tag == "a" and self._link is not None:
            (address, words), self._link = self._link, None
            self._add_link(address, tidy(words))

    def _add_link(self, address: str, text: str) -> None:
        if not text and address.startswith("#"):
            return  # the mark beside a heading that gives its own address
        self._section["links_in_all"] += 1
        if len(self._section["links"]) < MAX_LINKS:
            self._section["links"].append({"text": text, "href": address[:MAX_ADDRESS]})

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._link is not None:
            self._link[1].append(data)
        if self._heading is not None:
            self._heading.append(data)
        else:
            self._section["words"] += len(data.split())


def is_followable(address: str) -> bool:
    """Whether an address leads somewhere: no script, no inline data, not just this page's top."""
    scheme = address.strip().lower().partition(":")[0]
    return address.strip() not in ("", "#") and scheme not in ("javascript", "data", "vbscript")


def tidy(parts: list[str]) -> str:
    """Return text in one line, without the sign that marks a permanent link."""
    return " ".join("".join(parts).replace("¶", " ").split())[:MAX_TEXT]


if __name__ == "__main__":
    seller.run()
