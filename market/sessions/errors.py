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


class SessionPaused(Conflict):
    code = "session_paused"
    title = "The session is paused: nothing is spent in it until it is resumed"


class OrderNeeded(Invalid):
    code = "order_needed"
    title = "The request must name one of the session's orders"


class TooManyDevices(Limited):
    code = "too_many_devices"
    title = "The session has as many devices present as it may"


class FeedFull(Limited):
    code = "feed_full"
    title = "The feed follows as many sessions as it may"


class BadForkPoint(Invalid):
    code = "bad_fork_point"
    title = "The session cannot be forked there"


class SessionFull(Limited):
    code = "session_full"
    title = "The session holds as many events as it may"


class NotDelegated(Forbidden):
    code = "not_delegated"
    title = "The sub-agent's delegation does not cover this"


class BadControl(Invalid):
    code = "bad_control"
    title = "Action, scope and target of the intervention do not fit together"


class RunNotFound(NotFound):
    code = "run_not_found"
    title = "There is no such run here"


class RunTaken(Conflict):
    code = "run_taken"
    title = "Another actor has started a run of this name"


class RunStarted(Conflict):
    code = "run_started"
    title = "The run has started before"


class RunCancelled(Conflict):
    code = "run_cancelled"
    title = "The run was cancelled: it takes no more steps"


class RunPaused(Conflict):
    code = "run_paused"
    title = "The run is paused: it takes no steps until it is resumed"


class RunEnded(Conflict):
    code = "run_ended"
    title = "The run has ended"


class TooManyRuns(Limited):
    code = "too_many_runs"
    title = "The session has as many runs as it may"


class SteerNotFound(NotFound):
    code = "steer_not_found"
    title = "No steer waits here for an answer of the caller's"
