"""Key files of the command line: a private JWK, and whose it is once keys were rotated.

An agent's id is the thumbprint of its first key. A file with a later key carries the id as one
more member, ``agent_id``, which readers of plain JWKs ignore.
"""

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from market.protocol.canonical import canonical
from market.protocol.signing import BadKey, SigningKey


class Identity(NamedTuple):
    """An agent that can act: its key, and its id."""

    key: SigningKey
    agent_id: str


def load(path: Path) -> Identity:
    """Read a key file.

    Raises:
        BadKey: it holds no private key.
        OSError: it cannot be read.
    """
    key = SigningKey.load(path)
    tree = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    agent_id = tree.get("agent_id", key.kid)
    if not isinstance(agent_id, str):
        raise BadKey(f"{path}: agent_id must be text")
    return Identity(key, agent_id)


def replace(path: Path, identity: Identity) -> None:
    """Put another key of the same agent into its file, whole or not at all."""
    tree = {**identity.key.to_jwk(), "agent_id": identity.agent_id}
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600)
    beside.write_bytes(canonical(tree) + b"\n")
    beside.replace(path)
