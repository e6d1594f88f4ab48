"""Reads a report's page as a strict reader would, for tests."""

from html.parser import HTMLParser
from typing import NamedTuple

ALONE = {"meta", "hr", "br", "link"}
ADDRESSES = {"src", "href", "action", "data", "poster", "srcset", "background", "xlink:href"}


class Tag(NamedTuple):
    """One element as it opens."""

    name: str
    attributes: dict[str, str]


class Page(HTMLParser):
    """A page: its elements, and its tables by the ids of their blocks."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[Tag] = []
        self.tables: dict[str, list[list[list[str]]]] = {}
        self.text = ""
        self._open: list[str] = []
        self._section = ""
        self.feed(text)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        assert len(attributes) == len(attrs), f"an attribute twice in {tag}"
        self.tags.append(Tag(tag, attributes))
        if tag not in ALONE:
            self._open.append(tag)
        if tag == "section":
            self._section = attributes["id"]
            self.tables[self._section] = []
        elif tag == "table":
            self.tables[self._section].append([])
        elif tag == "tr":
            self.tables[self._section][-1].append([])
        elif tag in ("th", "td"):
            self.tables[self._section][-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open
        assert self._open.pop() == tag, f"{tag} closes something else"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data
        if self._open and self._open[-1] in ("th", "td"):
            self.tables[self._section][-1][-1][-1] += data

    def named(self, name: str) -> list[Tag]:
        """Return the elements of a name."""
        return [tag for tag in self.tags if tag.name == name]

    def loads(self) -> list[str]:
        """Return every address that the page names, but for places in itself."""
        return [
            value
            for tag in self.tags
            for name, value in tag.attributes.items()
            if name in ADDRESSES and not value.startswith("#")
        ]
