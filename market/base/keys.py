"""The market's own signing keys: made on first use, kept in its home, read by nobody else."""

import fcntl
from pathlib import Path
from typing import Final

from market.protocol.signing import SigningKey

MERCHANT_KEY: Final = "merchant.key"
"""The file of the P-256 key that signs AP2's checkouts and receipts, for the sellers.

AP2 forbids deterministic signatures there, so Ed25519 would not do.
"""


def load_signer(home: Path, name: str = "market.key", *, curve: str = "Ed25519") -> SigningKey:
    """Return one of the market's signing keys, made on first use and kept in ``home``."""
    path = home / name
    home.mkdir(parents=True, exist_ok=True)
    with (home / "market.key.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            # Whole or not at all: half a key would keep the market from ever starting again.
            unfinished = home / f"{name}.new"
            unfinished.unlink(missing_ok=True)
            SigningKey.generate(curve).save(unfinished)
            unfinished.rename(path)
        return SigningKey.load(path)
