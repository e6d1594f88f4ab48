"""Subscriptions, as requests under ``__ds/``: each is parsed, one verb, and told.

What a worker answers to a wake carries the wake's token in the place of an access token. A refusal
is a problem document with the protocol's own ``error`` beside it.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Meta
from typing_extensions import Annotated

from market import rawstreams
from market.base.caller import Caller
from market.base.errors import MarketError, NotFound
from market.base.outgoing import AddressRefused, Outgoing
from market.faces.http.answers import JSON, PRIVATE, PUBLIC, Header, encode
from market.faces.http.desk import Desk
from market.faces.http.problems import MethodNotAllowed
from market.faces.streams import headers as h
from market.faces.streams.control import (
    KEYS,
    RESERVED,
    SUBSCRIPTIONS,
    claimed_tree,
    subscription_tree,
)
from market.faces.streams.logs import need_raw, need_writing
from market.faces.streams.reading import Reply
from market.rawstreams import (
    MAX_LINKS,
    Answer,
    BadStreamRequest,
    InvalidOffset,
    Kind,
    NewSubscription,
    NoPendingWork,
    TokenInvalid,
    WebhookUrlRejected,
)
