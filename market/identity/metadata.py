"""The documents by which stock OAuth clients find their way: pure functions of the issuer."""

from collections.abc import Iterable
from typing import Any, Final

from market.identity.delegation import DELEGATED_SCOPES
from market.identity.scopes import ALL_SCOPES, REST
from market.protocol.signing import VerifyingKey

CLIENT_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""The only ``client_assertion_type`` (RFC 7523 section 2.2)."""

TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
"""The ``grant_type`` by which a sub-agent gets in (RFC 8693 section 2.1)."""

DELEGATION_TYPE: Final = "urn:agent-market:token-type:delegation"
"""The ``subject_token_type`` of a delegation."""

JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"
"""The ``actor_token_type`` of a sub-agent's assertion (RFC 8693 section 3)."""


def authorization_server(issuer: str) -> dict[str, Any]:
    """Return the authorization server metadata (RFC 8414)."""
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/oauth/token",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "scopes_supported": [*ALL_SCOPES, *DELEGATED_SCOPES.values()],
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials", TOKEN_EXCHANGE],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["EdDSA", "Ed25519", "ES256"],
        "service_documentation": f"{issuer}/agents",
    }


def protected_resource(issuer: str) -> dict[str, Any]:
    """Return the protected resource metadata of the HTTP API (RFC 9728)."""
    return {
        "resource": issuer + REST,
        "authorization_servers": [issuer],
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "scopes_supported": [*ALL_SCOPES, *DELEGATED_SCOPES.values()],
        "bearer_methods_supported": ["header"],
        "resource_documentation": f"{issuer}/agents",
    }


def key_set(keys: Iterable[VerifyingKey]) -> dict[str, Any]:
    """Return a JWK Set (RFC 7517 section 5) of public signing keys."""
    return {
        "keys": [{**key.jwk, "kid": key.kid, "use": "sig", "alg": key.algorithm} for key in keys]
    }
