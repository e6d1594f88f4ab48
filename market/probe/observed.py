"""What an audit saw: the recordings of its readers, trial by trial. Verdicts are made of this."""

from dataclasses import dataclass

from market.probe.recording import Recording


@dataclass(slots=True)
class Alone:
    """The only reader left in the middle of the work; after a while one came back."""

    first: Recording
    later: Recording | None = None
    absent_ms: float = 0.0


@dataclass(slots=True)
class After:
    """Who came when the work was over: one from the start, one from its last place (if known)."""

    fresh: Recording
    back: Recording | None = None


@dataclass(slots=True)
class Together:
    """Several readers of one piece of work.

    ``uncut`` reads all of it, ``second`` beside it, ``slow`` stops taking for a second; ``torn``
    is cut and goes on as ``resumed``; ``late`` comes in the middle.
    """

    uncut: Recording
    second: Recording
    slow: Recording
    torn: Recording
    resumed: Recording | None = None
    late: Recording | None = None
    after: After | None = None


@dataclass(slots=True)
class Stopped:
    """The work was cancelled by its own request, which answered ``status``, while one read."""

    watching: Recording
    asked_ms: float
    status: int
    events_before: int
    after: After | None = None


@dataclass(slots=True)
class Observed:
    """Everything that was seen; a trial that is None could not be made.

    ``is_fresh``: each trial had a piece of work of its own. ``way`` says how a reader resumes
    ("" if nothing is known), ``stated`` are the tables of the probe file.
    """

    transport: str = ""
    way: str = ""
    is_fresh: bool = False
    stated: frozenset[str] = frozenset()
    workers: int = 0
    alone: Alone | None = None
    together: Together | None = None
    stopped: Stopped | None = None
    is_out_of_time: bool = False
    readers: int = 0
    works: int = 0
    events: int = 0
    bytes_read: int = 0
    took_ms: float = 0.0
