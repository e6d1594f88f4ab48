"""Keys and compact JWS (RFC 7515, 7517, 7638): a token lets you in, only a signature commits.

Keys are Ed25519 (``EdDSA``) or P-256 (``ES256``). The algorithm always comes from the key that
the verifier holds, never from the token's header; a header may say nothing but what this module
expects. PyJWT does the cryptography; what it accepts and we do not is refused here.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Set
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt import PyJWK, PyJWS
from jwt.algorithms import ECAlgorithm, OKPAlgorithm
from jwt.exceptions import PyJWTError

from market.protocol.canonical import NotCanonical, canonical, sha256_text

MAX_TOKEN: Final = 64 * 1024
"""The longest compact JWS that is read at all, in characters."""

_MAX_HEADER: Final = 512
_HEADER_NAMES: Final = frozenset({"alg", "typ", "kid"})
_REQUIRED_MEMBERS: Final = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y")}
_ALGORITHMS: Final = {"EdDSA": OKPAlgorithm(), "ES256": ECAlgorithm(ECAlgorithm.SHA256)}
_jws: Final = PyJWS(algorithms=list(_ALGORITHMS))

Claims = TypeVar("Claims", bound=msgspec.Struct)
PrivateKey = Ed25519PrivateKey | EllipticCurvePrivateKey
PublicKey = Ed25519PublicKey | EllipticCurvePublicKey


class BadSignature(ValueError):
    """The token was not made by the key that it names, for the purpose that is asked of it."""


class BadKey(ValueError):
    """The JWK is no public Ed25519 or P-256 key."""


class VerifyingKey:
    """A public key that checks signatures under the one algorithm of its type."""

    def __init__(self, jwk: Mapping[str, Any]) -> None:
        self.jwk = public_jwk(jwk)
        self.kid = thumbprint(self.jwk)
        self.algorithm = "EdDSA" if self.jwk["kty"] == "OKP" else "ES256"
        try:
            self._key = PyJWK(self.jwk, algorithm=self.algorithm).key
        except PyJWTError as error:
            raise BadKey(f"the JWK is not a valid public key: {error}") from error

    def verify(self, token: str, *, typ: str) -> bytes:
        """Return the payload of ``token``, which this key signed for the purpose ``typ``.

        Raises:
            BadSignature: not so.
        """
        header = read_header(token)
        if header["typ"] != typ:
            raise BadSignature(f"the token is of type {header['typ']!r}, not {typ!r}")
        if not self.goes_by(header["alg"]) or header["kid"] != self.kid:
            raise BadSignature("the token names another key or algorithm")
        return self.payload_of(token)

    def goes_by(self, algorithm: str) -> bool:
        """Whether a header may call this key's algorithm so. Ed25519 has two names (RFC 9864)."""
        return algorithm == self.algorithm or (self.algorithm, algorithm) == ("EdDSA", "Ed25519")

    def payload_of(self, token: str) -> bytes:
        """Return the payload of a compact JWS that this key signed; its header is not judged here.

        Raises:
            BadSignature: another key signed it, or none.
        """
        signing_input, _, signature = token.rpartition(".")
        if not _ALGORITHMS[self.algorithm].verify(
            signing_input.encode(), self._key, _decode(signature)
        ):
            raise BadSignature("the signature does not match")
        return _decode(signing_input.partition(".")[2])

    def read(self, token: str, *, typ: str, claims: type[Claims]) -> Claims:
        """Verify ``token`` as above and return its payload as a struct.

        Raises:
            BadSignature: the signature is wrong, or the payload is not of that form.
        """
        payload = read_json(self.verify(token, typ=typ))
        try:
            return msgspec.convert(payload, claims, strict=True)
        except msgspec.ValidationError as error:
            raise BadSignature(f"the signed payload is not of its form: {error}") from error


class SigningKey:
    """A private key with its public half: makes compact JWS."""

    def __init__(self, private: PrivateKey) -> None:
        self._private = private
        self._jwk: dict[str, Any] = (
            OKPAlgorithm.to_jwk(private, as_dict=True)
            if isinstance(private, Ed25519PrivateKey)
            else ECAlgorithm.to_jwk(private, as_dict=True)
        )
        self.public = VerifyingKey({k: v for k, v in self._jwk.items() if k != "d"})
        self.kid = self.public.kid

    @classmethod
    def generate(cls, curve: str = "Ed25519") -> "SigningKey":
        """Make a new key on ``Ed25519`` or ``P-256`` from the system's random source."""
        if curve == "P-256":
            return cls(generate_private_key(SECP256R1()))
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes, curve: str = "Ed25519") -> "SigningKey":
        """Make the key that belongs to 32 bytes: for simulations that must repeat."""
        if curve == "P-256":
            return cls(derive_private_key(int.from_bytes(seed, "big") >> 1 | 1, SECP256R1()))
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, Any]) -> "SigningKey":
        """Read a private JWK, as ``to_jwk`` writes it.

        Raises:
            BadKey: it is none.
        """
        try:
            key = PyJWK(dict(jwk), algorithm="EdDSA" if jwk.get("kty") == "OKP" else "ES256").key
        except PyJWTError as error:
            raise BadKey(f"the JWK is not a valid private key: {error}") from error
        if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey):
            raise BadKey("the JWK has no private part")
        return cls(key)

    @classmethod
    def load(cls, path: Path | str) -> "SigningKey":
        """Read the private JWK file that ``save`` wrote.

        Raises:
            BadKey: the file is no such JWK.
        """
        try:
            return cls.from_jwk(msgspec.json.decode(Path(path).read_bytes(), type=dict[str, Any]))
        except msgspec.DecodeError as error:
            raise BadKey(f"{path} is not a private JWK") from error

    def save(self, path: Path) -> None:
        """Write the private JWK to a new file that only its owner may read; never overwrite."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        path.write_bytes(canonical(self.to_jwk()) + b"\n")

    def to_jwk(self) -> dict[str, Any]:
        """Return the private JWK: whoever has it can sign as this agent."""
        return {key: self._jwk[key] for key in (*self.public.jwk, "d")}

    def sign(self, payload: Any, *, typ: str) -> str:
        """Return a compact JWS over ``payload`` (a struct or JSON tree), as canonical JSON."""
        return _jws.encode(
            canonical(msgspec.to_builtins(payload)),
            self._private,
            algorithm=self.public.algorithm,
            headers={"typ": typ, "kid": self.kid},
            sort_headers=True,
        )


def public_jwk(jwk: Mapping[str, Any]) -> dict[str, str]:
    """Return the members that make the public key, and no other, in canonical order.

    Raises:
        BadKey: it is no Ed25519 or P-256 JWK, or it carries a private part.
    """
    kind = jwk.get("kty")
    names = _REQUIRED_MEMBERS.get(kind) if isinstance(kind, str) else None
    if names is None or jwk.get("crv") != {"OKP": "Ed25519", "EC": "P-256"}[str(kind)]:
        raise BadKey("the JWK must be OKP with Ed25519, or EC with P-256")
    if "d" in jwk:
        raise BadKey("the JWK has a private part: send the public key alone")
    members = {name: jwk.get(name) for name in names}
    if not all(_is_coordinate(members[name]) for name in names if name in ("x", "y")):
        raise BadKey("the JWK's coordinates must be 32 bytes each, as base64url")
    return {name: str(value) for name, value in members.items()}


def _is_coordinate(value: Any) -> bool:
    """Whether this is the one spelling of 32 bytes: another would be another name for the key."""
    if not isinstance(value, str) or len(value) != 43 or not value.isascii():
        return False
    try:
        return base64.urlsafe_b64encode(_decode(value)) == value.encode() + b"="
    except BadSignature:
        return False


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return the RFC 7638 thumbprint of a public JWK: 43 characters, an agent's id."""
    return sha256_text(canonical(public_jwk(jwk)))


def read_header(token: str, *, optional: Set[str] = frozenset()) -> dict[str, str]:
    """Return ``alg``, ``typ`` and ``kid`` of a compact JWS that has these members and no other.

    Those in ``optional`` may be absent: stock OAuth clients leave some out.

    Raises:
        BadSignature: it is no compact JWS of this form.
    """
    if len(token) > MAX_TOKEN or token.count(".") != 2 or not token.isascii():
        raise BadSignature("not a compact JWS")
    return _header(token.partition(".")[0], frozenset(optional))


@lru_cache(maxsize=4_096)
def _header(encoded: str, optional: frozenset[str]) -> dict[str, str]:
    """Read a header once: all that one key signs for one purpose begin with the same text."""
    if len(encoded) > _MAX_HEADER:
        raise BadSignature("the header is too long")
    header = read_json(_decode(encoded))
    if not isinstance(header, dict) or not _HEADER_NAMES - optional <= set(header) <= _HEADER_NAMES:
        raise BadSignature("the header must have alg, typ and kid, and nothing else")
    if not all(isinstance(value, str) and len(value) <= 64 for value in header.values()):
        raise BadSignature("alg, typ and kid must be short text")
    return header


def read_payload(token: str, *, optional: Set[str] = frozenset()) -> Any:
    """Return the payload of a compact JWS without checking it: only to learn whose it claims to be.

    Raises:
        BadSignature: it is no compact JWS, or the payload is no JSON.
    """
    read_header(token, optional=optional)
    return read_json(_decode(token.split(".")[1]))


def read_json(data: bytes) -> Any:
    """Decode JSON, and refuse what two readers might understand differently.

    Raises:
        BadSignature: no JSON, a member twice, or a value without canonical form.
    """
    try:
        value = json.loads(data, object_pairs_hook=_once)
        canonical(value)
    except (ValueError, RecursionError) as error:
        raise BadSignature(f"not plain JSON: {error}") from error
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotCanonical("a member stands twice")
    return members


def _decode(text: str) -> bytes:
    try:
        data = text.encode("ascii").translate(_FROM_URL) + b"=" * (-len(text) % 4)
        return binascii.a2b_base64(data, strict_mode=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise BadSignature("not base64url") from error


_FROM_URL: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
