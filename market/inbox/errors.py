"""Refusals of the inbox."""

from market.base.errors import Invalid


class OffsetAhead(Invalid):
    code = "offset_ahead"
    title = "There is no message at this offset yet"
