"""How the buyers of a story decide: each by its policy, with chance of its own."""

import sys
from pathlib import Path
from typing import Final

from buyer_agents.policies import policy_of
from buyer_agents.weighing import Policy
from scenarios.engine.form import BuyerPart
from scenarios.engine.seeds import chance_of

_reached: Final[set[str]] = set()
"""Folders that modules are found in because a story lies there."""


def reach(folder: Path) -> None:
    """Let a story name the modules that lie beside it; what is installed has precedence."""
    beside = str(folder.resolve())
    if beside not in sys.path:
        sys.path.append(beside)
        _reached.add(beside)


def installed_paths() -> list[str]:
    """Return where modules are found whatever the story: what another process begins with.

    It reaches the story's folder by itself, when its own libraries are loaded: until then a file
    beside the story must not be taken for one of them.
    """
    here = str(Path.cwd())
    return [path or here for path in sys.path if path not in _reached]


def policy_for(part: BuyerPart, name: str, seed: int) -> Policy:
    """Return the policy of the buyer ``name``; who else is there changes nothing in it.

    Raises:
        UnknownPolicy: there is none of that name.
        BadParams: it takes no such params.
    """
    handed = {"chance": chance_of(seed, f"{name} decides"), "agent": name}
    return policy_of(part.policy, part.params, handed)
