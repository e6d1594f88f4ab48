"""Refusals of the raw streams room."""

from market.base.errors import Conflict, Gone, Invalid, Limited, NotFound, Unauthenticated


class BadStreamRequest(Invalid):
    code = "bad_stream_request"
    status = 400
    title = "The request does not follow the protocol for durable streams"


class BadContent(Invalid):
    code = "bad_content"
    status = 400
    title = "The content is not of the stream's type"


class StreamExists(Conflict):
    code = "stream_exists"
    title = "Another stream has this path"


class StreamDeleted(Gone):
    code = "stream_deleted"
    title = "The stream was deleted; only its forks still read it"


class SourceDeleted(Conflict):
    code = "source_deleted"
    title = "A deleted stream cannot be forked"


class ContentTypeDiffers(Conflict):
    code = "content_type_differs"
    title = "The stream holds another type of content"


class LogClosed(Conflict):
    code = "log_closed"
    title = "The stream is closed: nothing more can be appended"


class SequenceConflict(Conflict):
    code = "sequence_conflict"
    title = "Stream-Seq does not come after the last one"


class SubscriptionNotFound(NotFound):
    code = "subscription_not_found"
    title = "There is no such subscription"


class SubscriptionAlreadyExists(Conflict):
    code = "subscription_already_exists"
    title = "Another subscription has this id"


class TooManySubscriptions(Limited):
    code = "too_many_subscriptions"
    title = "No more can be subscribed to"


class WebhookUrlRejected(Invalid):
    code = "webhook_url_rejected"
    status = 400
    title = "The market sends nothing to this address"


class TokenInvalid(Unauthenticated):
    code = "token_invalid"
    title = "The token is not of this subscription's wakes"


class Fenced(Conflict):
    code = "fenced"
    title = "The wake is over; another may have begun"


class AlreadyClaimed(Conflict):
    code = "already_claimed"
    title = "Another worker holds the wake"


class NoPendingWork(Conflict):
    code = "no_pending_work"
    title = "Nothing waits to be acknowledged"


class InvalidOffset(Conflict):
    code = "invalid_offset"
    title = "The offset cannot be acknowledged"
