"""Sessions: one buying journey is one durable log.

A **session** outlives connections, processes and devices. Its **events** have gapless **offsets**
from 0 and chain their hashes, so a change anywhere shows. Buyer, principal and overseers **own**
it and see everything; a seller **joins** by an order and sees that order's part, with a stub
(**withheld**) at every other offset. Participants append directly; kinds that state a fact about
money or delivery are the market's alone. **Closed** means no more ever; a reader that has read all
there is today has **caught up**. A disconnect changes nothing. A **checkpoint** is the market's
signature over the hash at an offset: made in the same commit, kept for ever, fetched by anyone. A
**fork** begins with another session's events; a **fold** is what a log comes to, carried on event
by event; a **feed** is many sessions read by one reader.
**Presence** says who is there, by device, and decides nothing. In a session that is **paused** as
a whole nothing is spent until one who ranks as high resumes it.
"""

from market.sessions.admitting import check_delegation, tell_delegation, tell_revocation
from market.sessions.checkpoints import (
    CHECKPOINT_EVERY,
    Unsigned,
    checkpoint,
    checkpoints_due,
    checkpoints_kept,
    checkpoints_missing,
    checkpoints_of,
    sign_missing,
)
from market.sessions.counting import count_open, few_open
from market.sessions.errors import (
    BadControl,
    BadEvent,
    BadForkPoint,
    FeedFull,
    KindReserved,
    NotDelegated,
    OrderNeeded,
    RunCancelled,
    RunEnded,
    RunNotFound,
    RunPaused,
    RunStarted,
    RunTaken,
    SessionClosed,
    SessionFull,
    SessionNotFound,
    SessionPaused,
    SteerNotFound,
    TooManyDevices,
    TooManyRuns,
)
from market.sessions.feeding import MAX_FOLLOWED, Feed, FeedTurn
from market.sessions.folding import Folds, Standing, snapshot
from market.sessions.forking import MAX_GENERATIONS, fork
from market.sessions.pausing import check_running, lock_pause, may_lift, pause, resume
from market.sessions.presence import be_present, present, sweep_presence
from market.sessions.reading import Page, Reading, Shown, events, follow
from market.sessions.rights import (
    Viewer,
    need_to_act,
    need_to_control,
    need_to_read,
    need_to_write,
    rank_of,
    shown,
)
from market.sessions.run_control import (
    answer_run,
    answer_times,
    answer_unheard,
    control_run,
    waits_for_run,
)
from market.sessions.runs import MAX_RUNS
from market.sessions.service import begin, close, join, open_session
from market.sessions.views import (
    buyers_open_session,
    head,
    is_known,
    is_open,
    joined,
    owned,
    session,
    sessions_of,
    still_open,
    viewer_of,
)
from market.sessions.writing import MAX_EVENT_BYTES, NewEvent, append, write

__all__ = [
    "CHECKPOINT_EVERY",
    "MAX_EVENT_BYTES",
    "MAX_FOLLOWED",
    "MAX_GENERATIONS",
    "MAX_RUNS",
    "BadControl",
    "BadEvent",
    "BadForkPoint",
    "Feed",
    "FeedFull",
    "FeedTurn",
    "Folds",
    "KindReserved",
    "NewEvent",
    "NotDelegated",
    "OrderNeeded",
    "Page",
    "Reading",
    "RunCancelled",
    "RunEnded",
    "RunNotFound",
    "RunPaused",
    "RunStarted",
    "RunTaken",
    "SessionClosed",
    "SessionFull",
    "SessionNotFound",
    "SessionPaused",
    "Shown",
    "Standing",
    "SteerNotFound",
    "TooManyDevices",
    "TooManyRuns",
    "Unsigned",
    "Viewer",
    "answer_run",
    "answer_times",
    "answer_unheard",
    "append",
    "be_present",
    "begin",
    "buyers_open_session",
    "check_delegation",
    "check_running",
    "checkpoint",
    "checkpoints_due",
    "checkpoints_kept",
    "checkpoints_missing",
    "checkpoints_of",
    "close",
    "control_run",
    "count_open",
    "events",
    "few_open",
    "follow",
    "fork",
    "head",
    "is_known",
    "is_open",
    "join",
    "joined",
    "lock_pause",
    "may_lift",
    "need_to_act",
    "need_to_control",
    "need_to_read",
    "need_to_write",
    "open_session",
    "owned",
    "pause",
    "present",
    "rank_of",
    "resume",
    "session",
    "sessions_of",
    "shown",
    "sign_missing",
    "snapshot",
    "still_open",
    "sweep_presence",
    "tell_delegation",
    "tell_revocation",
    "viewer_of",
    "waits_for_run",
    "write",
]
