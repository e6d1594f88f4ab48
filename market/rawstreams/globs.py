"""Patterns of paths: ``*`` stands for one segment, ``**`` for any number of them, or none."""

from typing import Final

_ANY: Final = "**"
_ONE: Final = "*"


def plain(path: str) -> str:
    """Return a path or pattern without slashes at its ends, as links name it."""
    return path.strip("/")


def fixed_part(pattern: str) -> str:
    """Return the text with which every path that ``pattern`` matches begins."""
    fixed: list[str] = []
    for segment in _segments(pattern):
        if segment in (_ANY, _ONE):
            break
        fixed.append(_literal(segment))
    return "/".join(fixed)


def matches(pattern: str, path: str) -> bool:
    """Whether a path is of a pattern. At worst, time grows with the product of their lengths."""
    wanted, given = _segments(pattern), _segments(path)
    at = place = 0
    resume: tuple[int, int] | None = None
    while place < len(given):
        if at < len(wanted) and wanted[at] == _ANY:
            resume = (at, place)
            at += 1
        elif at < len(wanted) and _fits(wanted[at], given[place]):
            at, place = at + 1, place + 1
        elif resume is not None:
            # The last ** takes one segment more.
            resume = (resume[0], resume[1] + 1)
            at, place = resume[0] + 1, resume[1]
        else:
            return False
    return all(segment == _ANY for segment in wanted[at:])


def _fits(wanted: str, segment: str) -> bool:
    return wanted == _ONE or _literal(wanted) == segment


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def _literal(segment: str) -> str:
    """Return what a segment without a wildcard stands for: ``%2A`` is a plain star."""
    return segment.replace("%2A", "*").replace("%2a", "*")
