"""The market's own signing keys: made on first use, kept in its home, read by nobody else."""

import fcntl
from pathlib import Path
from typing import Final

from market.base.settings import BadSettings, Settings
from market.protocol.signing import SigningKey

MERCHANT_KEY: Final = "merchant.key"
"""The file of the P-256 key that signs AP2's checkouts and receipts, for the sellers.

AP2 forbids deterministic signatures there, so Ed25519 would not do.
"""


_TEST_SEEDS: Final = (
    "00" * 32,
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
)
"""Private keys that are printed in RFC 8032 section 7.1 (the second in RFC 8037, too), and none."""


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


def refuse_test_key(settings: Settings, signer: SigningKey) -> None:
    """Let pass a key that a market may sign with.

    Raises:
        BadSettings: a production market would sign with a key from a standard's examples.
    """
    if settings.mode == "production" and signer.kid in _known_to_all():
        raise BadSettings(f"{settings.home / 'market.key'} is a test key that everybody has")


def _known_to_all() -> frozenset[str]:
    return frozenset(SigningKey.from_seed(bytes.fromhex(seed)).kid for seed in _TEST_SEEDS)
