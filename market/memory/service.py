"""Verbs of the memory room: write, read, list, search, forget."""

import re
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, or_, select, tuple_, update

from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.errors import NotFound
from market.base.paging import decode_cursor, page_of
from market.base.sql import Sql, insert_ignore
from market.base.tables import JsonText, UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.memory.counting import count_notes
from market.memory.errors import BadNote, MemoryFull, NoteChanged, NoteTooLarge
from market.memory.searching import pattern_of, searchable
from market.memory.tables import notes
from market.protocol.canonical import NotCanonical, canonical
from market.protocol.text import PLAIN_LINE
from market.protocol.wire import NoteView, Page, WriteNote

MAX_NOTE: Final = 64 * 1024
"""The longest value of a note, in bytes of canonical JSON."""

MAX_NOTES: Final = 10_000
"""Notes that one agent may keep."""

MAX_SWEEP: Final = 1_000
"""Expired notes that one sweep removes, at most."""

MAX_QUERY: Final = 200
"""The longest text that is searched for, in characters."""

_NAMESPACE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_LINE: Final = re.compile(PLAIN_LINE)

_IS_LIVE = or_(
    notes.c.expires_at.is_(None), notes.c.expires_at > bindparam("now", type_=UtcDateTime())
)
_IS_NOTE = (
    notes.c.agent_id == bindparam("by_agent"),
    notes.c.namespace == bindparam("in_namespace"),
    notes.c.key == bindparam("at_key"),
)
_NOTE = select(
    notes.c.namespace,
    notes.c.key,
    notes.c.value,
    notes.c.version,
    notes.c.session_id,
    notes.c.offset,
    notes.c.written_at,
    notes.c.expires_at,
)
_FIND = Sql(_NOTE.where(*_IS_NOTE, _IS_LIVE))
_VERSION = Sql(select(notes.c.version, notes.c.expires_at).where(*_IS_NOTE).with_for_update())
_ADD = Sql(insert_ignore(notes))
_REPLACE = Sql(
    update(notes)
    .where(*_IS_NOTE)
    .values(
        value=bindparam("new_value", type_=JsonText()),
        searchable=bindparam("new_searchable"),
        version=notes.c.version + 1,
        session_id=bindparam("new_session_id"),
        offset=bindparam("new_offset"),
        written_at=bindparam("new_written_at", type_=UtcDateTime()),
        expires_at=bindparam("new_expires_at", type_=UtcDateTime()),
    )
)
_FORGET = Sql(delete(notes).where(*_IS_NOTE, _IS_LIVE))
_COUNT_LIVE = Sql(
    select(func.count().label("notes"))
    .select_from(notes)
    .where(notes.c.agent_id == bindparam("agent_id"), _IS_LIVE)
)
_SEARCH = Sql(
    _NOTE.where(
        notes.c.agent_id == bindparam("agent_id"),
        tuple_(notes.c.namespace, notes.c.key)
        > tuple_(bindparam("after_namespace"), bindparam("after_key")),
        or_(bindparam("namespace") == "", notes.c.namespace == bindparam("namespace")),
        notes.c.searchable.like(bindparam("pattern"), escape="\\"),
        _IS_LIVE,
    )
    .order_by(notes.c.namespace, notes.c.key)
    .limit(bindparam("limit"))
)
_SWEEP = Sql(
    delete(notes).where(
        tuple_(notes.c.agent_id, notes.c.namespace, notes.c.key).in_(
            select(notes.c.agent_id, notes.c.namespace, notes.c.key)
            .where(notes.c.expires_at <= bindparam("now", type_=UtcDateTime()))
            .limit(bindparam("limit"))
        )
    )
)


def write(
    uow: UnitOfWork, *, caller: Caller, namespace: str, key: str, note: WriteNote
) -> NoteView:
    """Keep a note for the caller alone, in place of the one under the same key.

    Versions count from 1; ``if_version`` makes the write conditional, with 0 for "not there yet".
    A note whose time to live is over is not there; if it comes back, its versions count on.

    Raises:
        BadNote: namespace, key, value or provenance has no acceptable form.
        NoteTooLarge: the value is longer than ``MAX_NOTE``.
        NoteChanged: the note is not at ``if_version``.
        MemoryFull: the caller keeps ``MAX_NOTES``.
    """
    caller.need("read")
    place = _place(caller, namespace, key)
    _check(note)
    row = uow.one(_VERSION, **place)
    is_live = row is not None and (row.expires_at is None or row.expires_at > uow.now)
    version = row.version if is_live else 0
    if note.if_version is not None and note.if_version != version:
        raise NoteChanged("Read the note again, and decide anew.", version=version)
    if not is_live:
        _refuse_full(uow, caller)
    expires_at = uow.now + timedelta(seconds=note.ttl_seconds) if note.ttl_seconds else None
    fields = {
        "value": note.value,
        "searchable": searchable(key, note.value),
        "session_id": note.session_id,
        "offset": note.offset,
        "written_at": uow.now,
        "expires_at": expires_at,
    }
    if row is not None:
        uow.run(_REPLACE, **place, **{f"new_{name}": value for name, value in fields.items()})
    elif not uow.run(
        _ADD, agent_id=caller.agent_id, namespace=namespace, key=key, version=1, **fields
    ):
        raise NoteChanged("The note was written by another hand in this moment.", version=1)
    return read(uow, caller=caller, namespace=namespace, key=key)


def read(snapshot: Snapshot, *, caller: Caller, namespace: str, key: str) -> NoteView:
    """Return a note of the caller.

    Raises:
        NotFound: the caller keeps no such note, or its time is over.
        BadNote: no note can have this namespace or key.
    """
    caller.need("read")
    row = snapshot.one(_FIND, **_place(caller, namespace, key), now=snapshot.now)
    if row is None:
        raise _no_such()
    return _view(row)


def list_notes(
    snapshot: Snapshot,
    *,
    caller: Caller,
    namespace: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[NoteView]:
    """Return the caller's notes, of one namespace or of all, in order of namespace and key."""
    return search(snapshot, caller=caller, text="", namespace=namespace, cursor=cursor, limit=limit)


def search(
    snapshot: Snapshot,
    *,
    caller: Caller,
    text: str,
    namespace: str | None = None,
    cursor: str | None = None,
    limit: int = 100,
) -> Page[NoteView]:
    """Return the caller's notes whose key or value contains ``text``, in any case.

    Reads every note of the caller: run it in a scan.
    """
    caller.need("read")
    if namespace is not None:
        _check_namespace(namespace)
    if len(text) > MAX_QUERY or not _LINE.match(text):
        raise BadNote(f"Search for one line of at most {MAX_QUERY} plain characters.")
    after = decode_cursor(cursor, (str, str)) or ["", ""]
    rows = snapshot.all(
        _SEARCH,
        agent_id=caller.agent_id,
        namespace=namespace or "",
        pattern=pattern_of(text),
        after_namespace=after[0],
        after_key=after[1],
        now=snapshot.now,
        limit=limit + 1,
    )
    return page_of(rows, limit=limit, view=_view, key=lambda row: (row.namespace, row.key))


def forget(uow: UnitOfWork, *, caller: Caller, namespace: str, key: str) -> None:
    """Remove a note of the caller.

    Raises:
        NotFound: the caller keeps no such note.
    """
    caller.need("read")
    if not uow.run(_FORGET, **_place(caller, namespace, key), now=uow.now):
        raise _no_such()


def sweep(uow: UnitOfWork) -> int:
    """Remove notes whose time is over; return how many, ``MAX_SWEEP`` at most."""
    return uow.run(_SWEEP, now=uow.now, limit=MAX_SWEEP)


def _place(caller: Caller, namespace: str, key: str) -> dict[str, str]:
    _check_namespace(namespace)
    if not 1 <= len(key) <= 200 or not _LINE.match(key):
        raise BadNote("A key is one line of 1 to 200 plain characters.")
    return {"by_agent": caller.agent_id, "in_namespace": namespace, "at_key": key}


def _check_namespace(namespace: str) -> None:
    if not _NAMESPACE.fullmatch(namespace):
        raise BadNote("A namespace has lower case letters, digits and ._- , 64 at most.")


def _check(note: WriteNote) -> None:
    if note.offset is not None and note.session_id is None:
        raise BadNote("An offset is a place in a session: give the session_id too.")
    try:
        size = len(canonical(note.value))
    except NotCanonical as error:
        raise BadNote(f"In the value: {error}.") from error
    if size > MAX_NOTE:
        raise NoteTooLarge(f"A value has at most {MAX_NOTE} bytes.", bytes=size)


def _refuse_full(uow: UnitOfWork, caller: Caller) -> None:
    # The first count reads an index alone; few agents ever need the second.
    if count_notes(uow, caller.agent_id) < MAX_NOTES:
        return
    count = uow.one(_COUNT_LIVE, agent_id=caller.agent_id, now=uow.now).notes
    if count >= MAX_NOTES:
        raise MemoryFull(f"An agent keeps at most {MAX_NOTES} notes; forget some.", notes=count)


def _no_such() -> NotFound:
    return NotFound("You keep no such note.")


def _view(row: Any) -> NoteView:
    return NoteView(
        namespace=row.namespace,
        key=row.key,
        value=row.value,
        version=row.version,
        session_id=row.session_id,
        offset=row.offset,
        written_at=rfc3339(row.written_at),
        expires_at=rfc3339(row.expires_at) if row.expires_at else None,
    )
