"""Look-alikes: services whose names a hasty reader takes for another's.

Slugs and handles are lower-case ASCII, digits and hyphens, so no letter of another script can stand
in them; but ``acme-pdf`` and ``acrne-pdf`` look alike all the same. Where a search finds both, the
younger one, if it is another seller's, is flagged (``security.md`` S14). It is not refused: some
names are alike by honest chance.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

RESEMBLES: Final = "resembles_another"
"""The flag of a service whose name, or whose seller's, looks like that of an older one."""

_ALIKE: Final = (("rn", "m"), ("vv", "w"), ("cl", "d"))
_LETTERS: Final = str.maketrans({"-": "", "0": "o", "1": "l", "i": "l", "5": "s", "8": "b"})


@lru_cache(maxsize=50_000)
def skeleton(name: str) -> str:
    """Return what is left of a slug or handle at a hasty look: look-alikes leave the same."""
    for letters, letter in _ALIKE:
        name = name.replace(letters, letter)
    return name.translate(_LETTERS)


def look_alikes(rows: Iterable[Any]) -> frozenset[str]:
    """Return the ids of the services that resemble an older one of another seller among them."""
    first: dict[str, str] = {}
    found: set[str] = set()
    for row in sorted(rows, key=lambda row: row.id):
        for kind, name in (("slug ", row.slug), ("handle ", row.seller_handle)):
            owner_id = first.setdefault(kind + skeleton(name), row.seller_id)
            if owner_id != row.seller_id:
                found.add(row.id)
    return frozenset(found)
