"""Selective disclosure (RFC 9901 section 4): values behind digests, and digests into values.

Pure. A *disclosure* is a salt, perhaps a name, and a value, as base64url; a list's element or a
member of an object is replaced by its digest, and shown to those who get the disclosure.
"""

import base64
import binascii
from collections.abc import Callable, Collection
from typing import Any, Final

from market.protocol.canonical import canonical, sha256_text
from market.protocol.signing import BadSignature, read_json

MAX_DEPTH: Final = 48
"""How deep a token's claims may be nested once everything is disclosed."""

ELEMENT: Final = "..."
ALGORITHM: Final = "_sd_alg"
_DIGESTS: Final = "_sd"

Salt = Callable[[], str]


class BadChain(ValueError):
    """The text is no chain that the expected keys signed for this audience, and why."""


def hide(
    value: Any,
    members: Collection[str],
    elements: Collection[str],
    salt: Salt,
    disclosures: list[str],
) -> Any:
    """Return ``value`` with digests in place of what can be disclosed."""
    if isinstance(value, list):
        return [hide(item, members, elements, salt, disclosures) for item in value]
    if not isinstance(value, dict):
        return value
    shown: dict[str, Any] = {}
    digests = []
    for name, member in value.items():
        inner = hide(member, members, elements, salt, disclosures)
        if name in elements and isinstance(inner, list):
            inner = [{ELEMENT: disclose([salt(), item], disclosures)} for item in inner]
        if name in members:
            digests.append(disclose([salt(), name, inner], disclosures))
        else:
            shown[name] = inner
    # Sorted, so that the order of digests tells nothing (RFC 9901 section 4.2.4.1).
    return {_DIGESTS: sorted(digests), **shown} if digests else shown


def disclose(disclosure: list[Any], disclosures: list[str]) -> str:
    text = base64.urlsafe_b64encode(canonical(disclosure)).rstrip(b"=").decode()
    disclosures.append(text)
    return sha256_text(text.encode())


class Disclosing:
    """Puts what is disclosed in the place of its digest (RFC 9901 section 7.1).

    ``withheld`` counts the digests whose disclosures were not shown.
    """

    def __init__(self, disclosures: tuple[str, ...]) -> None:
        self.withheld = 0
        self._left = {sha256_text(text.encode()): _read(text) for text in disclosures}
        if len(self._left) != len(disclosures):
            raise BadChain("a disclosure stands twice")
        self._met: set[str] = set()

    def walk(self, value: Any, depth: int = 0) -> Any:
        """Return ``value`` with everything in it that is disclosed.

        Raises:
            BadChain: a digest or a disclosure is not of its form, or stands twice.
        """
        if depth > MAX_DEPTH:
            raise BadChain(f"it is nested deeper than {MAX_DEPTH}")
        if isinstance(value, list):
            found = [self._element(item, depth + 1) for item in value]
            return [item for kept in found for item in kept]
        if isinstance(value, dict):
            return self._object(value, depth + 1)
        return value

    def finish(self) -> None:
        """Refuse disclosures that nothing in the token vouches for."""
        if self._left:
            raise BadChain("a disclosure belongs to no digest of its token")

    def _element(self, item: Any, depth: int) -> list[Any]:
        """Return a list's element; nothing where it is withheld."""
        if not (isinstance(item, dict) and ELEMENT in item):
            return [self.walk(item, depth)]
        disclosure = self._find(item[ELEMENT]) if len(item) == 1 else None
        if len(item) != 1 or (disclosure is not None and len(disclosure) != 2):
            raise BadChain("a list's digest is not of its form")
        return [] if disclosure is None else [self.walk(disclosure[1], depth)]

    def _object(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        if ELEMENT in value:
            raise BadChain("a list's digest stands outside of a list")
        shown = {
            name: self.walk(member, depth) for name, member in value.items() if name != _DIGESTS
        }
        digests = value.get(_DIGESTS, [])
        if not isinstance(digests, list):
            raise BadChain("_sd must be a list of digests")
        for digest in digests:
            disclosure = self._find(digest)
            if disclosure is None:
                continue
            if len(disclosure) != 3 or disclosure[1] in shown:
                raise BadChain("a member's disclosure is not of its form, or stands twice")
            shown[disclosure[1]] = self.walk(disclosure[2], depth)
        return shown

    def _find(self, digest: Any) -> list[Any] | None:
        """Return the disclosure behind a digest, or None where it is withheld."""
        if not isinstance(digest, str) or digest in self._met:
            raise BadChain("a digest is no text, or stands twice")
        self._met.add(digest)
        disclosure = self._left.pop(digest, None)
        self.withheld += disclosure is None
        return disclosure


def _read(text: str) -> list[Any]:
    try:
        disclosure = read_json(decode(text))
    except BadSignature as error:
        raise BadChain(f"a disclosure is {error}") from error
    if not isinstance(disclosure, list) or len(disclosure) not in (2, 3):
        raise BadChain("a disclosure is no list of salt, perhaps a name, and a value")
    if not all(isinstance(part, str) for part in disclosure[:-1]):
        raise BadChain("a disclosure's salt and name must be text")
    if len(disclosure) == 3 and disclosure[1] in (_DIGESTS, ELEMENT, ALGORITHM):
        raise BadChain(f"a disclosure may not be called {disclosure[1]!r}")
    return disclosure


def decode(text: str) -> bytes:
    """Return what base64url says, if it is the one spelling of these bytes."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise BadChain("a part is not base64url") from error
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise BadChain("a part is not base64url in its one spelling")
    return data
