"""Sections, sentences and words of a plain text: shared by the two services that pick sentences."""

import re
from typing import Final

MAX_SENTENCE: Final = 2_000

_GAP: Final = re.compile(r"\n[ \t]*\n")
_SPACE: Final = re.compile(r"\s+")
_WORD: Final = re.compile(r"[^\W\d_][\w'-]*")
_END: Final = re.compile(
    # A full stop, question or exclamation mark, perhaps closed by quotes or brackets, before the
    # start of something new; not after an initial or an abbreviation.
    r"(?<!\b[A-Z])(?<!\be\.g)(?<!\bi\.e)(?<!\bMr)(?<!\bDr)(?<!\bvs)(?<!\betc)"
    r"[.!?][\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])"
)

_COMMON: Final = """
a about all also an and any are as at be been but by can do for from had has have he her his if in
into is it its like may more most must new no nor not of on one only or other our out over she
should so some such than that the their them then there these they this those to under up upon was
we were what when where which who will with without would you your
"""
STOP_WORDS: Final = frozenset(_COMMON.split())
"""Words that say nothing of what a sentence is about."""


def sections(text: str) -> list[str]:
    """Return the parts of a text between blank lines, each in one line; empty ones left out."""
    parts = [_SPACE.sub(" ", part).strip() for part in _GAP.split(text)]
    return [part for part in parts if part]


def sentences(section: str) -> list[str]:
    """Return the sentences of a section, cut where they are very long."""
    found, start = [], 0
    for end in _END.finditer(section):
        found.append(section[start : end.end()].strip())
        start = end.end()
    found.append(section[start:].strip())
    return [sentence[:MAX_SENTENCE] for sentence in found if sentence]


def words(sentence: str) -> list[str]:
    """Return the words that carry meaning, in lower case."""
    return [word for word in map(str.lower, _WORD.findall(sentence)) if word not in STOP_WORDS]
