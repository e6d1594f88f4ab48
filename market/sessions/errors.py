"""Refusals of the sessions room."""

from market.base.errors import Conflict, Forbidden, Invalid, Limited, NotFound


class SessionNotFound(NotFound):
    code = "session_not_found"
    title = "There is no such session here"


class SessionClosed(Conflict):
    code = "session_closed"
    title = "The session is closed: its log is complete"


class KindReserved(Forbidden):
    code = "kind_reserved"
    title = "This kind of event is not the caller's to write"


class BadEvent(Invalid):
    code = "bad_event"
    title = "The event is not of its kind's form"


class SessionFull(Limited):
    code = "session_full"
    title = "The session holds as many events as it may"
