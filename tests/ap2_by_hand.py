"""AP2 mandates made with bare PyJWT and hashlib: what an outsider would send, by nobody's code.

Nothing here comes from ``market``. What our modules accept of it, and what others accept of ours,
is therefore the wire form and not a habit of ours.
"""

import base64
import hashlib
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    derive_private_key,
)
from jwt.algorithms import ECAlgorithm

NOW = 1_795_348_800
AUDIENCE = "http://market.test"
NONCE = "qte_01h455vb4pex5vsknk084sn02q"


def key(number: int) -> EllipticCurvePrivateKey:
    """A P-256 key that is the same each time."""
    return derive_private_key(number + 10**40, SECP256R1())


def public(private: EllipticCurvePrivateKey) -> dict[str, Any]:
    jwk: dict[str, Any] = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    return {name: jwk[name] for name in ("crv", "kty", "x", "y")}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def hash_of(text: str) -> str:
    return b64(hashlib.sha256(text.encode()).digest())


def disclosure(*parts: Any) -> str:
    """As other libraries write it: with blanks in its JSON."""
    return b64(json.dumps(list(parts)).encode())


def sign(payload: dict[str, Any], private: EllipticCurvePrivateKey, **header: Any) -> str:
    return jwt.encode(payload, private, algorithm="ES256", headers=header)


def token(
    mandate: dict[str, Any],
    private: EllipticCurvePrivateKey,
    *,
    typ: str = "example+sd-jwt",
    inner: tuple[str, ...] = (),
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """One token over a mandate; ``inner`` are disclosures of parts of it."""
    outer = disclosure("salt of the mandate", mandate)
    payload = {"delegate_payload": [{"...": hash_of(outer)}], "_sd_alg": "sha-256", **claims}
    signed = sign(payload, private, typ=typ, **(header or {"kid": "whatever"}))
    return "".join(f"{part}~" for part in (signed, *inner, outer))


def open_payment(
    user: EllipticCurvePrivateKey,
    agent: EllipticCurvePrivateKey,
    *,
    payees: tuple[str, ...] = ("m-1", "m-2"),
    header: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    """An open payment mandate; its payees are disclosed one by one."""
    inner = tuple(
        disclosure(f"salt {payee}", {"id": payee, "name": payee.upper()}) for payee in payees
    )
    mandate = {
        "vct": "mandate.payment.open.1",
        "constraints": [
            {"type": "payment.amount_range", "currency": "XTS", "max": 500_000, "min": 1},
            {
                "type": "payment.allowed_payees",
                "allowed": [{"...": hash_of(each)} for each in inner],
            },
        ],
        "cnf": {"jwk": {**public(agent), "kid": "agent-1"}},
        "iat": NOW,
        "exp": NOW + 3_600,
        **changes,
    }
    return token(mandate, user, inner=inner, header=header)


def closed_payment(**changes: Any) -> dict[str, Any]:
    return {
        "vct": "mandate.payment.1",
        "transaction_id": hash_of("checkout"),
        "payee": {"id": "m-1", "name": "M-1"},
        "payment_amount": {"amount": 400_000, "currency": "XTS"},
        "payment_instrument": {"id": "w", "type": "wallet"},
        **changes,
    }


def join(chain: str, hop: str) -> str:
    return f"{chain[:-1]}~~{hop}"


def hop(
    chain: str,
    mandate: dict[str, Any],
    private: EllipticCurvePrivateKey,
    *,
    typ: str = "kb+sd-jwt",
    inner: tuple[str, ...] = (),
    binding: str = "sd_hash",
    **claims: Any,
) -> str:
    """``chain`` with one more token, bound to the last one by hand."""
    last = chain[:-1].split("~~")[-1]
    bound = hash_of(last + "~") if binding == "sd_hash" else hash_of(last.split("~")[0])
    said = {"iat": NOW, "aud": AUDIENCE, "nonce": NONCE, binding: bound, **claims}
    said = {name: value for name, value in said.items() if value is not None}
    return join(chain, token(mandate, private, typ=typ, inner=inner, header={}, **said))
