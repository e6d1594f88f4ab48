"""Refusals of the memory room. What is another agent's is simply not there."""

from market.base.errors import Conflict, Invalid, Limited


class BadNote(Invalid):
    code = "bad_note"
    title = "The note cannot be kept in this form"


class NoteTooLarge(Invalid):
    code = "note_too_large"
    title = "The note is too large"


class NoteChanged(Conflict):
    """``version`` is the present one, 0 if there is no such note."""

    code = "note_changed"
    title = "The note is not at the version that was expected"


class MemoryFull(Limited):
    code = "memory_full"
    title = "The agent keeps as many notes as it may"
