"""The documents by which stock OAuth clients find their way: pure functions of the issuer."""

from collections.abc import Iterable
from typing import Any

from market.identity.scopes import ALL_SCOPES, REST
from market.protocol.signing import VerifyingKey

CLIENT_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""The only ``client_assertion_type`` (RFC 7523 section 2.2)."""


def authorization_server(issuer: str) -> dict[str, Any]:
    """Return the authorization server metadata (RFC 8414)."""
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/oauth/token",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "scopes_supported": list(ALL_SCOPES),
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
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
        "scopes_supported": list(ALL_SCOPES),
        "bearer_methods_supported": ["header"],
        "resource_documentation": f"{issuer}/agents",
    }


def key_set(keys: Iterable[VerifyingKey]) -> dict[str, Any]:
    """Return a JWK Set (RFC 7517 section 5) of public signing keys."""
    return {
        "keys": [{**key.jwk, "kid": key.kid, "use": "sig", "alg": key.algorithm} for key in keys]
    }
