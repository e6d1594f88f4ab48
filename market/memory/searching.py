"""What a note can be found by: pure text work."""

from typing import Any

_ESCAPES = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})


def searchable(key: str, value: Any) -> str:
    """Return everything in a note that a search looks through, case folded, a line each.

    That is its key, and of its value the names of members, texts and numbers.
    """
    return "\n".join([key, *_texts(value)]).casefold()


def pattern_of(text: str) -> str:
    r"""Return the ``LIKE`` pattern (escape ``\``) of what contains ``text``, in any case."""
    return f"%{text.casefold().translate(_ESCAPES)}%"


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for name, member in value.items() for text in (name, *_texts(member))]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [] if value is None or isinstance(value, bool) else [str(value)]
