"""The call of an HTTP service: what the gateway sends, how it is signed, and how that is checked.

The header ``Market-Signature`` holds a compact JWS by the seller's key: for which endpoint and
order, from when until when, and over which bytes. An endpoint that checks it works for its own
seller's orders alone; who repeats an old call gets nothing done, since an order's
``Idempotency-Key`` is always the same.
"""

from typing import Any, Final

import msgspec

from market.protocol.canonical import sha256_text
from market.protocol.ids import AgentId, OrderId
from market.protocol.signing import BadSignature, SigningKey, VerifyingKey
from market.protocol.text import Digest, Seconds

CALL: Final = "call+jwt"
SIGNATURE: Final = "Market-Signature"
FROM_CHUNK: Final = "From-Chunk"
GOOD_SECONDS: Final = 300
"""How long a call may be on its way."""

SKEW_SECONDS: Final = 30


class BadCall(ValueError):
    """The request is not this seller's own call, or is too old; answer it with 401."""


class CallClaims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the seller ``iss`` signs of a call of the endpoint ``aud``."""

    iss: AgentId
    aud: str
    iat: Seconds
    exp: Seconds
    order_id: OrderId
    from_chunk: int
    body_digest: Digest


def body_of(tree: dict[str, Any]) -> bytes:
    """Return the body of a call: the same bytes for the same order, as long as it stands alike."""
    return msgspec.json.encode(tree, order="sorted")


def headers_of(
    key: SigningKey, *, endpoint: str, order_id: str, from_chunk: int, body: bytes, now: float
) -> dict[str, str]:
    """Return the headers of a call that is sent now."""
    claims = CallClaims(
        iss=key.kid,
        aud=endpoint,
        iat=int(now),
        exp=int(now) + GOOD_SECONDS,
        order_id=order_id,
        from_chunk=from_chunk,
        body_digest=sha256_text(body),
    )
    return {
        "Content-Type": "application/json",
        "Accept": "application/x-ndjson",
        "Idempotency-Key": order_id,
        FROM_CHUNK: str(from_chunk),
        SIGNATURE: key.sign(claims, typ=CALL),
    }


def check_call(
    signature: str, body: bytes, *, key: VerifyingKey, endpoint: str, now: float
) -> CallClaims:
    """Return what a call says of itself, at the endpoint: it is its seller's, for it, and fresh.

    ``key`` is the public key of the seller whose service this is, ``signature`` the header
    ``Market-Signature``, ``body`` the bytes as they came.

    Raises:
        BadCall: not so.
    """
    try:
        claims = key.read(signature, typ=CALL, claims=CallClaims)
    except BadSignature as error:
        raise BadCall(str(error)) from error
    if claims.aud != endpoint or claims.body_digest != sha256_text(body):
        raise BadCall("the call is for another endpoint, or its body was changed")
    if not claims.iat - SKEW_SECONDS <= now < claims.exp + SKEW_SECONDS:
        raise BadCall("the call is too old, or its time has not come")
    return claims
