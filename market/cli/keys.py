"""The public keys that a command trusts: from files, from beside a file, or from a market."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from buyer_agents import MarketClient, Refused
from market.protocol.signing import BadKey, SigningKey, VerifyingKey

KEYS_FILE: Final = "keys.json"
KEYS_SUFFIX: Final = ".keys.json"
_AGENT_ID: Final = re.compile(r"[\w-]{43}")


class KnownKey(NamedTuple):
    """A public key that is trusted here, and what its owner is called ("" if nobody says)."""

    key: VerifyingKey
    owner: str


def keys_beside(file: Path) -> Path:
    """Return the file that keeps the keys to one file alone."""
    return file.with_name(file.name + KEYS_SUFFIX)


def keys_near(file: Path) -> tuple[Path, ...]:
    """Return the key set that was left beside a file: its own, a run's, or one folder up."""
    near = (keys_beside(file), file.parent / KEYS_FILE, file.parent.parent / KEYS_FILE)
    return tuple(path for path in near if path.exists())[:1]


def known_keys(files: Iterable[Path]) -> dict[str, KnownKey]:
    """Read JWKs and JWK Sets; of a private key, its public half.

    Raises:
        BadKey: a file holds none.
    """
    keys = {}
    for file in files:
        try:
            tree = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise BadKey(f"{file} holds no JWK: {error}") from error
        for jwk in tree.get("keys", [tree]):
            key = VerifyingKey({name: value for name, value in jwk.items() if name != "d"})
            keys[key.kid] = KnownKey(key, str(jwk.get("name", "")))
    return keys


async def fetch_keys(url: str, issuers: Iterable[str] = ()) -> dict[str, KnownKey]:
    """Ask a market for its own keys, and for those of the agents among ``issuers``."""
    keys = {}
    async with MarketClient(url, SigningKey.generate(), patience_seconds=3.0) as market:
        for key in (await market.published_keys("/.well-known/jwks.json")).values():
            keys[key.kid] = KnownKey(key, "the market")
        for issuer in issuers:
            if _AGENT_ID.fullmatch(issuer):
                try:
                    published = await market.published_keys(f"/v1/agents/{issuer}/keys")
                except Refused:
                    continue
                for key in published.values():
                    keys[key.kid] = KnownKey(key, f"agent {issuer}")
    return keys
