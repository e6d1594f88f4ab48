"""Seals: what proves that a webhook comes from this market, and that a worker holds a wake.

Both keys are derived from the market's own, so that they outlive a restart, and neither proof
could pass for anything else that the market signs. A token says which wake of which subscription
it is for; whether that wake still lives, its row says.
"""

import base64
import binascii
import hashlib
import hmac
from functools import lru_cache
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from market.protocol.signing import SigningKey
from market.rawstreams.errors import TokenInvalid

_MAX_TOKEN: Final = 256


class Wake(NamedTuple):
    """One wake of one subscription."""

    subscription_id: str
    generation: int


class WebhookSigner:
    """Signs what is sent to webhooks, with an Ed25519 key that ``jwk`` lets anyone check."""

    def __init__(self, signer: SigningKey) -> None:
        seed = _derived(signer, b"market webhook signatures")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        public = SigningKey.from_seed(seed).public
        self.kid = f"ds_{public.kid}"
        self.jwk = {**public.jwk, "kid": self.kid, "use": "sig", "alg": "EdDSA"}

    def signature(self, body: bytes, *, seconds: int) -> str:
        """Return the header ``Webhook-Signature`` of a body sent so many seconds after 1970."""
        signed = _encode(self._private.sign(b"%d.%b" % (seconds, body)))
        return f"t={seconds},kid={self.kid},ed25519={signed}"


@lru_cache(maxsize=8)
def webhook_signer(signer: SigningKey) -> WebhookSigner:
    """Return the key with which a market signs what it sends to webhooks."""
    return WebhookSigner(signer)


def seal(signer: SigningKey, wake: Wake) -> str:
    """Return the token that lets its bearer answer for a wake; the same each time."""
    named = f"{wake.subscription_id}.{wake.generation}"
    return f"{named}.{_encode(_mac(signer, named))}"


def opened(signer: SigningKey, token: str) -> Wake:
    """Return the wake that a token is for.

    Raises:
        TokenInvalid: this market did not make it.
    """
    named, _, mac = token.rpartition(".")
    subscription_id, _, generation = named.rpartition(".")
    if len(token) > _MAX_TOKEN or not generation.isascii() or not generation.isdigit():
        raise TokenInvalid("Send the wake's own token.")
    if not hmac.compare_digest(_decode(mac), _mac(signer, named)):
        raise TokenInvalid("Send the wake's own token.")
    return Wake(subscription_id, int(generation))


def _mac(signer: SigningKey, named: str) -> bytes:
    key = _derived(signer, b"market wake tokens")
    return hmac.digest(key, named.encode(), hashlib.sha256)


@lru_cache(maxsize=32)
def _derived(signer: SigningKey, purpose: bytes) -> bytes:
    return hmac.digest(_decode(signer.to_jwk()["d"]), purpose, hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: Any) -> bytes:
    try:
        return base64.urlsafe_b64decode(str(text).encode("ascii", "replace") + b"==")
    except binascii.Error:
        return b""
