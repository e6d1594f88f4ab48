"""A plot as it goes into a page: known elements only, ids of its own, colours by variable.

A plot holds names from outside. Whatever they are, what is not on the lists below does not get
into a page: no script, no style, no link, no picture and no address.
"""

import re
from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree as ET

from market.report.html import Element, element
from market.report.theme import COLOURS

LEAST: Final = 0.9
"""The least size of a plot on a page, of its own: text of 12 pixels keeps 11. It scrolls then."""

_SVG: Final = "{http://www.w3.org/2000/svg}"
_TAGS: Final = frozenset(
    {"svg", "g", "path", "rect", "line", "circle", "text", "tspan", "defs", "clipPath"}
)
_ATTRIBUTES: Final = frozenset(
    {
        "viewBox", "transform", "d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "dx", "dy",
        "width", "height", "fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap",
        "stroke-miterlimit", "stroke-opacity", "fill-opacity", "opacity", "font-family",
        "font-size", "font-weight", "font-style", "text-anchor", "id", "clip-path",
    }
)  # fmt: skip
_CLIP: Final = re.compile(r"url\(#([\w-]+)\)")
_PAINT: Final = re.compile(r"#[0-9a-fA-F]{3,8}|[a-z]+|rgba?\([0-9., ]+\)")
_VARIABLES: Final = {pair.light: f"var(--{name})" for name, pair in COLOURS.items()}


def embedded(svg: str, *, name: str, label: str) -> Element:
    """Return an SVG picture as an element of a page; ``label`` is what a screen reader says.

    ``name`` sets its ids apart from those of other pictures of the page.
    """
    root = ET.fromstring(svg)  # noqa: S314 - our renderer wrote it, and expat loads nothing
    shown = dict(_attributes(root, name))
    width = shown.pop("width")
    shown.pop("height")
    children = _children(root, name)
    return element(
        "svg",
        *children,
        **{"role": "img", "aria-label": label, "style": _size(float(width))},
        **shown,
    )


def _size(width: float) -> str:
    """Return how far a plot may be scaled: never so small that nobody can read it."""
    return f"max-width:{width:.0f}px;min-width:{LEAST * width:.0f}px"


def _node(node: ET.Element, name: str) -> Element:
    tag = node.tag.removeprefix(_SVG)
    return element(tag, node.text or "", *_children(node, name), **dict(_attributes(node, name)))


def _children(node: ET.Element, name: str) -> list[str]:
    parts: list[str] = []
    for child in node:
        if child.tag.removeprefix(_SVG) in _TAGS:
            parts.append(_node(child, name))
        parts.append(child.tail or "")
    return parts


def _attributes(node: ET.Element, name: str) -> Iterator[tuple[str, str]]:
    for key, value in node.attrib.items():
        if key not in _ATTRIBUTES:
            continue
        match key:
            case "id":
                yield key, f"{name}-{value}"
            case "clip-path":
                if found := _CLIP.fullmatch(value):
                    yield key, f"url(#{name}-{found[1]})"
            case "fill" | "stroke":
                if _PAINT.fullmatch(value):
                    yield key, _VARIABLES.get(value.lower(), value)
            case _:
                yield key, value
