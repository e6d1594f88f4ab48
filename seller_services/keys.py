"""Key files: where a seller's identity lives between runs."""

from pathlib import Path

from market.protocol.signing import SigningKey


def load_or_make(path: Path) -> SigningKey:
    """Return the key in the file at ``path``; the first time, make one that only its owner reads.

    Raises:
        BadKey: the file holds something else.
    """
    if not path.exists():
        key = SigningKey.generate()
        key.save(path)
        return key
    return SigningKey.load(path)


def handle_of(path: Path) -> str:
    """Return the handle that a key file's name stands for: ``keys/acme.key`` is "acme"."""
    return path.stem.lower().replace("_", "-")
