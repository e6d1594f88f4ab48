"""Memory: notes that an agent keeps between journeys, private to it.

A *note* is a JSON object under a *namespace* and a *key*. It has a *version* (from 1, one more
with each write), its *provenance* (the session and offset where it was learnt) and may have a time
to live, after which it is not there. Nobody but its agent can tell that a note exists.
"""

from market.memory.counting import count_notes, weigh_notes
from market.memory.errors import BadNote, MemoryFull, NoteChanged, NoteTooLarge
from market.memory.service import (
    MAX_NOTE,
    MAX_NOTES,
    MAX_SWEEP,
    forget,
    list_notes,
    read,
    search,
    sweep,
    write,
)

__all__ = [
    "MAX_NOTE",
    "MAX_NOTES",
    "MAX_SWEEP",
    "BadNote",
    "MemoryFull",
    "NoteChanged",
    "NoteTooLarge",
    "count_notes",
    "forget",
    "list_notes",
    "read",
    "search",
    "sweep",
    "weigh_notes",
    "write",
]
