"""Elements of a page. Text is escaped when it is put in; only elements are not."""

import html
from typing import Final

_ALONE: Final = frozenset({"meta", "hr", "br", "link"})


class Element(str):
    """Finished HTML: an element, with everything in it escaped where it had to be."""

    __slots__ = ()


def element(tag: str, /, *children: str, **attributes: str) -> Element:
    """Return an element. A child that is an ``Element`` goes in as it is, text is escaped.

    An attribute's name may end in "_" (``class_``), and "_" stands for "-" (``aria_label``).
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for name, value in attributes.items()
    )
    if tag in _ALONE:
        return Element(f"<{tag}{written}>")
    inner = "".join(
        child if isinstance(child, Element) else html.escape(child, quote=False)
        for child in children
    )
    return Element(f"<{tag}{written}>{inner}</{tag}>")


def joined(*children: Element) -> Element:
    """Return elements one after the other."""
    return Element("".join(children))
