"""Raw streams: durable streams of bytes or JSON messages under a path, for any use.

The open protocol for durable streams speaks of these. A **path** names one stream. An **entry**
is the content of one request, so an offset counts requests. A stream has one **content type** for
life; it may be **closed** (no more ever), it may **lapse** (a time to live that every use begins
anew, or an instant), and it may be a **fork**, which shares its **source's** entries up to where
it branched off. A deleted source stays for its forks, and for them alone. Sessions and inboxes
are streams too, but never raw: only their rooms write them.

A **subscription** follows streams, by path or by **pattern**, and remembers how far each was
**acknowledged** (``acked``, an offset). When something is **pending**, it **wakes** one worker: by
a **webhook**, or by an entry in a stream of wakes from which workers **claim** it. A wake has a
**generation**; a **lease** ends it when its worker falls silent. To **stir** is to mark a stream
as moved, in the unit of work that moved it, for those who then see to the wakes.
"""

from market.rawstreams.appending import Append, Appended, Outcome, append
from market.rawstreams.content import is_json, is_text, media_of, stored
from market.rawstreams.counting import count_streams, count_subscriptions, weigh_streams
from market.rawstreams.creating import Created, Fork, NewStream, create
from market.rawstreams.delivering import (
    PER_OWNER,
    Agenda,
    Delivery,
    Due,
    agenda,
    note_delivered,
    note_failed,
    take,
)
from market.rawstreams.errors import (
    AlreadyClaimed,
    BadContent,
    BadStreamRequest,
    ContentTypeDiffers,
    Fenced,
    InvalidOffset,
    LogClosed,
    NoPendingWork,
    SequenceConflict,
    SourceDeleted,
    StreamDeleted,
    StreamExists,
    SubscriptionAlreadyExists,
    SubscriptionNotFound,
    TokenInvalid,
    TooManySubscriptions,
    WebhookUrlRejected,
)
from market.rawstreams.globs import matches, plain
from market.rawstreams.linking import MAX_LINKS, Link
from market.rawstreams.reading import Part, look_up, read, touch
from market.rawstreams.removing import remove, sweep
from market.rawstreams.rows import ANYONE, Access, RawStream
from market.rawstreams.seals import Wake, opened, webhook_signer
from market.rawstreams.stirring import BELL
from market.rawstreams.subscriptions import (
    MAX_SUBSCRIPTIONS,
    Kind,
    NewSubscription,
    Subscribed,
    Subscription,
    follow_also,
    owner_of,
    subscribe,
    subscription,
    unfollow,
    unsubscribe,
)
from market.rawstreams.waking import (
    Answer,
    Claimed,
    acknowledge,
    claim,
    release,
    see_to,
)

__all__ = [
    "ANYONE",
    "BELL",
    "MAX_LINKS",
    "MAX_SUBSCRIPTIONS",
    "PER_OWNER",
    "Access",
    "Agenda",
    "AlreadyClaimed",
    "Answer",
    "Append",
    "Appended",
    "BadContent",
    "BadStreamRequest",
    "Claimed",
    "ContentTypeDiffers",
    "Created",
    "Delivery",
    "Due",
    "Fenced",
    "Fork",
    "InvalidOffset",
    "Kind",
    "Link",
    "LogClosed",
    "NewStream",
    "NewSubscription",
    "NoPendingWork",
    "Outcome",
    "Part",
    "RawStream",
    "SequenceConflict",
    "SourceDeleted",
    "StreamDeleted",
    "StreamExists",
    "Subscribed",
    "Subscription",
    "SubscriptionAlreadyExists",
    "SubscriptionNotFound",
    "TokenInvalid",
    "TooManySubscriptions",
    "Wake",
    "WebhookUrlRejected",
    "acknowledge",
    "agenda",
    "append",
    "claim",
    "count_streams",
    "count_subscriptions",
    "create",
    "follow_also",
    "is_json",
    "is_text",
    "look_up",
    "matches",
    "media_of",
    "note_delivered",
    "note_failed",
    "opened",
    "owner_of",
    "plain",
    "read",
    "release",
    "remove",
    "see_to",
    "stored",
    "subscribe",
    "subscription",
    "sweep",
    "take",
    "touch",
    "unfollow",
    "unsubscribe",
    "webhook_signer",
    "weigh_streams",
]
