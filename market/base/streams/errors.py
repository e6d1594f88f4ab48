"""Refusals of the log engine."""

from market.base.errors import Conflict, Forbidden, Gone, Invalid, NotFound


class StreamNotFound(NotFound):
    code = "stream_not_found"
    title = "There is no such stream here"


class StreamClosed(Gone):
    code = "stream_closed"
    title = "The stream is closed: nothing more can be appended"


class ForkTooDeep(Conflict):
    code = "fork_too_deep"
    title = "Too many forks lie one upon the other"


class ProducerFenced(Forbidden):
    code = "producer_fenced"
    title = "A newer instance of this producer has taken over"


class ProducerGap(Conflict):
    code = "producer_gap"
    title = "The producer skipped a sequence number"


class BadProducer(Invalid):
    code = "bad_producer"
    title = "The producer headers make no sense"
