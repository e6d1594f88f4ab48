"""The digest of a delivery: a chain over its chunks, so that order and content are both bound."""

from typing import Any

from market.protocol.canonical import digest, sha256_text


def chain(previous: str, output: Any) -> str:
    """Return the digest after one more chunk. ``previous`` is "" before the first.

    The digest of a whole delivery is the last one; seller, buyer and market compute it alike.
    """
    return sha256_text((previous + digest(output)).encode())
