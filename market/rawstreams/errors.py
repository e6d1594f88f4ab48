"""Refusals of the raw streams room."""

from market.base.errors import Conflict, Gone, Invalid


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


class ForkTooDeep(Conflict):
    code = "fork_too_deep"
    title = "Too many forks lie one upon the other"
