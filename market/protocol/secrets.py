"""Secrets: what must not be written down, found by its own form, in text and in JSON.

A secret lets its bearer in: an access token, an assertion that buys one, a private key. What is
merely signed (an order, a mandate, a delegation) is proof, and meant to be kept.
"""

import re
from typing import Any, Final

from market.protocol.commitments import ACCESS_TOKEN, ASSERTION
from market.protocol.signing import BadSignature, read_header

REDACTED: Final = "[redacted]"

_ENTERING: Final = frozenset({ACCESS_TOKEN, ASSERTION})
_MAX_HEADS: Final = 4
"""Places in one word at which a header is tried: a word may stand before it without a gap."""
_HEAD: Final = r"(?<![\w-])(?=[\w-]*?eyJ[\w-]{10})[\w-]++\."
"""A word in which the header of signed text begins. Every word is looked at once and never taken
back, or a long one that is none would cost the square of its length."""
_JWS: Final = re.compile(_HEAD + r"[\w-]++\.[\w-]++(?:~[\w.-]*+)*+")
_IN_LOGS: Final = re.compile(
    _HEAD + r"[\w-]*+\.?+[\w-]*+(?:~[\w.-]*+)*+"  # any signed text, whole or cut short
    r"|sub_[0-7][0-9a-z]{25}\.\d+\.[\w-]+"  # the token of a wake
    r"|(?i:bearer|basic|dpop)\s+[^\s\"',}]+"
    r"|(?<=\"d\")\s*:\s*\\?\"[^\"]*|(?<='d')\s*:\s*'[^']*"
)


def in_log(text: str) -> str:
    """Return a text as it may stand in a log: nothing in it lets anybody in, or was signed."""
    return _IN_LOGS.sub(REDACTED, text)


def may_hold_secret(text: bytes) -> bool:
    """Whether canonical JSON has to be looked at again; costs next to nothing for most."""
    return b"eyJ" in text or (b'"d":"' in text and b'"kty":' in text)


def without_secrets(tree: Any) -> Any:
    """Return JSON without what would let a reader in: tokens, assertions, private keys."""
    if isinstance(tree, str):
        return _JWS.sub(_unless_proof, tree)
    if isinstance(tree, list):
        return [without_secrets(item) for item in tree]
    if isinstance(tree, dict):
        is_key = isinstance(tree.get("kty"), str) and isinstance(tree.get("d"), str)
        return {
            name: REDACTED if is_key and name == "d" else without_secrets(item)
            for name, item in tree.items()
        }
    return tree


def _unless_proof(found: re.Match[str]) -> str:
    text, start = found[0], -1
    for _ in range(_MAX_HEADS):
        start = text.find("eyJ", start + 1)
        if start < 0:
            break
        if _lets_in(text[start:]):
            return text[:start] + REDACTED
    return text


def _lets_in(token: str) -> bool:
    try:
        header = read_header(token.partition("~")[0], optional=frozenset({"typ", "kid"}))
    except BadSignature:
        return False
    return header.get("typ") in _ENTERING
