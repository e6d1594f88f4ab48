"""Scopes: what an access token lets its agent do; and audiences: where it is good."""

from typing import Final

from market.identity.errors import InvalidScope, InvalidTarget
from market.protocol.commitments import AgentKind

SCOPES: Final[dict[AgentKind, tuple[str, ...]]] = {
    "buyer": ("read", "order", "pay", "review"),
    "seller": ("read", "publish", "order"),
    "principal": ("read", "pay", "oversee"),
    "overseer": ("read", "oversee", "fund"),
}
"""The most that each kind may be granted. A principal oversees the sessions of its own buyers."""

ALL_SCOPES: Final = tuple(dict.fromkeys(scope for some in SCOPES.values() for scope in some))


REST: Final = "/v1"
AUDIENCES: Final = (REST, "/mcp", "/a2a")
"""The resources that a token can be for, below the issuer. One token is good at one of them."""


def granted_scopes(kind: AgentKind, asked: str | None) -> frozenset[str]:
    """Return the scopes to grant for the ``scope`` parameter of a token request.

    Without one, all that the kind may have. Stock clients ask for everything that the metadata
    list, so what the kind may not have is left out (RFC 6749 section 3.3).

    Raises:
        InvalidScope: nothing remains.
    """
    own = frozenset(SCOPES[kind])
    granted = own & frozenset(asked.split()) if asked else own
    if not granted:
        raise InvalidScope(f"An agent of kind '{kind}' may have: {' '.join(SCOPES[kind])}.")
    return granted


def audience_of(resource: str | None, *, issuer: str) -> str:
    """Return the audience for the ``resource`` parameter of a token request (RFC 8707).

    Without one, or for the bare issuer, it is the HTTP API.

    Raises:
        InvalidTarget: it is no resource of this market.
    """
    if resource is None or resource.rstrip("/") == issuer:
        return issuer + REST
    if resource not in [issuer + path for path in AUDIENCES]:
        raise InvalidTarget("The resource is not one of this market.")
    return resource
