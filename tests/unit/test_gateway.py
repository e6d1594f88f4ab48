"""The gateway before it meets a market: what it signs, whom it calls, when it leaves one alone."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from market.protocol.commitments import CLAIMS
from market.protocol.manifest import BadManifest, check_manifest
from market.protocol.signing import SigningKey
from market.protocol.wire import OrderView
from seller_services import BadCall, CannotDeliver, Gateway, Order, check_call
from seller_services.breaking import FAILURES, REST_SECONDS, Breaker, EndpointFailed, Resting
from seller_services.calls import CALL, headers_of
from seller_services.gateway import BadStream, lines_of
from tests.endpoints import Endpoint, reading_well
from tests.money import ORDER
from tests.unit.test_manifest import tree
from tests.unit.test_outgoing import INSIDE, ODD, PUBLIC, Names, Wire, bracketed, wire

__all__ = ["wire"]

KEY = SigningKey.generate()
URL = "https://work.example.com/tables"
BODY = b'{"order_id":"it"}'
NOW = 1_800_000_000.0
INNER_HOST, INNER_PORT = "127.0.0.77", 8443


def order() -> Order:
    known: dict[str, Any] = {
        "id": ORDER, "session_id": "", "buyer_id": "", "input": {}, "units": 1,
        "chunks_delivered": 0, "deliver_by": "",
    }  # fmt: skip
    view = object.__new__(OrderView)
    for name, value in known.items():
        object.__setattr__(view, name, value)
    return view_of(view)
