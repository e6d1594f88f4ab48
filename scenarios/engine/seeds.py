"""What a seed gives: a key and a generator for each agent by its name, and seeds of replicas.

They depend on the seed and the name alone, so adding an agent changes no other.
"""

import hashlib
import random
from collections.abc import Callable

from market.protocol.signing import SigningKey


def key_of(seed: int, name: str) -> SigningKey:
    """Return the signing key of an agent in every run under this seed."""
    return SigningKey.from_seed(_bytes(seed, f"key:{name}"))


def chance_of(seed: int, name: str) -> random.Random:
    """Return a new generator that draws for one agent."""
    return random.Random(_bytes(seed, f"chance:{name}"))


def nonces_of(seed: int, name: str) -> Callable[[], str]:
    """Return a source of an agent's idempotency keys and proof ids."""
    chance = chance_of(seed, f"nonce:{name}")
    return lambda: f"{chance.getrandbits(128):032x}"


def seed_of(seed: int, replica: int) -> int:
    """Return the seed of a replica, counted from 1. The first has the scenario's own."""
    if replica == 1:
        return seed
    return int.from_bytes(_bytes(seed, f"replica:{replica}")[:8]) >> 1


def _bytes(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()
