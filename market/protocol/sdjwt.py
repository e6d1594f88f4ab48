"""SD-JWT (RFC 9901) and its chains, as AP2 0.2 joins them: issue, pass on, verify. Pure.

A *token* is a compact JWS and its *disclosures*, each followed by ``~``. The JWS shows digests;
who holds a disclosure (a salt and a value) can show what stands behind one. A *chain* joins tokens
by ``~~``: each but the first is signed by the key that the one before names (``cnf.jwk``), and
bound to it by a hash. What a token says is the one element of its ``delegate_payload``.

Everything is ES256 and SHA-256, and everything is bounded: text, tokens, disclosures, depth.
"""

import secrets
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, NamedTuple

from market.protocol.canonical import sha256_text
from market.protocol.disclosing import (
    ALGORITHM,
    ELEMENT,
    BadChain,
    Disclosing,
    Salt,
    decode,
    disclose,
    hide,
)
from market.protocol.signing import (
    BadKey,
    BadSignature,
    SigningKey,
    VerifyingKey,
    read_header,
    read_json,
)

MAX_CHAIN: Final = 48 * 1024
"""The longest chain that is read at all, in characters."""

MAX_TOKENS: Final = 4
MAX_DISCLOSURES: Final = 128
"""Disclosures of one token."""

SKEW_SECONDS: Final = 30

ROOT: Final = "mandate+sd-jwt"
"""The ``typ`` under which roots are made here; every other ``...+sd-jwt`` is read, too."""

LAST_HOP: Final = "kb+sd-jwt"
PASSING_HOP: Final = "kb+sd-jwt+kb"

Binding = Literal["sd_hash", "issuer_jwt_hash"]

_SHA_256: Final = "sha-256"
_NO_KID: Final = frozenset({"kid"})


class Token(NamedTuple):
    """One token of a chain as it stands on the wire."""

    jwt: str
    disclosures: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole token, as it stands alone: every part is followed by ``~``."""
        return "".join(f"{part}~" for part in (self.jwt, *self.disclosures))

    @property
    def sd_hash(self) -> str:
        """The hash of the token with those disclosures that it is shown with."""
        return sha256_text(self.text.encode())

    @property
    def jwt_hash(self) -> str:
        """The hash of the signed part alone: of a chain's last token, what receipts refer to."""
        return sha256_text(self.jwt.encode())


class Opened(NamedTuple):
    """A token whose signature holds: its ``claims`` and its one ``mandate``, all disclosed.

    ``withheld`` counts the digests whose disclosures were not shown.
    """

    token: Token
    claims: dict[str, Any]
    mandate: dict[str, Any]
    withheld: int


def new_salt() -> str:
    """Return 128 random bits, as RFC 9901 section 4.2.1 wants them."""
    return secrets.token_urlsafe(16)


# Making


def issue(
    mandate: Mapping[str, Any],
    *,
    key: SigningKey,
    claims: Mapping[str, Any] | None = None,
    typ: str = ROOT,
    members: Collection[str] = (),
    elements: Collection[str] = (),
    salt: Salt = new_salt,
) -> str:
    """Return a token over ``mandate``, with every disclosure.

    Members called as in ``members``, and each element of the lists called as in ``elements``, can
    be disclosed one by one. ``claims`` stand in the open beside the mandate.
    """
    disclosures: list[str] = []
    hidden = hide(dict(mandate), members, elements, salt, disclosures)
    payload = {
        **(claims or {}),
        "delegate_payload": [{ELEMENT: disclose([salt(), hidden], disclosures)}],
        ALGORITHM: _SHA_256,
    }
    return Token(key.sign(payload, typ=typ), tuple(disclosures)).text


def delegate(
    chain: str,
    mandate: Mapping[str, Any],
    *,
    key: SigningKey,
    aud: str,
    nonce: str,
    iat: int,
    binding: Binding = "sd_hash",
    members: Collection[str] = (),
    elements: Collection[str] = (),
    salt: Salt = new_salt,
) -> str:
    """Return ``chain`` with one more token, signed by the key that its last one names.

    A mandate with ``cnf`` passes the authority on; one without is the last.
    """
    previous = split_chain(chain)[-1]
    bound = previous.sd_hash if binding == "sd_hash" else previous.jwt_hash
    token = issue(
        mandate,
        key=key,
        claims={"iat": iat, "aud": aud, "nonce": nonce, binding: bound},
        typ=PASSING_HOP if "cnf" in mandate else LAST_HOP,
        members=members,
        elements=elements,
        salt=salt,
    )
    return f"{chain[:-1]}~~{token}"


# Reading


def split_chain(chain: str) -> list[Token]:
    """Return the tokens of a chain, none of them checked yet.

    Raises:
        BadChain: the text is not of this form, or beyond the bounds.
    """
    if len(chain) > MAX_CHAIN or not chain.isascii():
        raise BadChain(f"it is not ASCII of at most {MAX_CHAIN} characters")
    if not chain.endswith("~") or chain.endswith("~~"):
        raise BadChain("a chain ends with one '~'")
    segments = chain[:-1].split("~~")
    if len(segments) > MAX_TOKENS:
        raise BadChain(f"it has more than {MAX_TOKENS} tokens")
    return [_split(segment) for segment in segments]


def read_root(chain: str, *, key: VerifyingKey, now: int) -> Opened:
    """Return a token that stands alone, if ``key`` signed it. ``now`` is in seconds since 1970.

    Raises:
        BadChain: not so, or its time is over.
    """
    tokens = split_chain(chain)
    if len(tokens) != 1:
        raise BadChain(f"one token is asked for, and {len(tokens)} were sent")
    return _open_root(tokens[0], key, now)


def read_chain(chain: str, *, key: VerifyingKey, aud: str, nonce: str, now: int) -> list[Opened]:
    """Return the tokens of a chain of two or more, whose first ``key`` signed.

    The last one must be for this audience and this nonce.

    Raises:
        BadChain: a signature, a hash, a type or a time is wrong.
    """
    tokens = split_chain(chain)
    if len(tokens) == 1:
        raise BadChain("it has no token that closes it")
    opened = [_open_root(tokens[0], key, now)]
    for place, token in enumerate(tokens[1:], start=2):
        opened.append(_open_hop(token, opened[-1], now, is_last=place == len(tokens)))
    last = opened[-1].claims
    if last["aud"] != aud:
        raise BadChain("it is for another audience (aud)")
    if last["nonce"] != nonce:
        raise BadChain("it answers another nonce")
    return opened


def holder_of(opened: Opened) -> VerifyingKey:
    """Return the key that may sign the next token of a chain.

    Raises:
        BadChain: the token names none, or one that is not P-256.
    """
    confirmation = opened.mandate.get("cnf")
    jwk = confirmation.get("jwk") if isinstance(confirmation, dict) else None
    if not isinstance(jwk, dict):
        raise BadChain("the token names no key that may go on (cnf.jwk)")
    try:
        key = VerifyingKey(jwk)
    except BadKey as error:
        raise BadChain(f"cnf.jwk: {error}") from error
    if key.algorithm != "ES256":
        raise BadChain("cnf.jwk must be a P-256 key")
    return key


def _split(segment: str) -> Token:
    jwt, *disclosures = segment.split("~")
    if len(disclosures) > MAX_DISCLOSURES:
        raise BadChain(f"a token has more than {MAX_DISCLOSURES} disclosures")
    if not jwt or not all(disclosures):
        raise BadChain("a part of a token is empty")
    return Token(jwt, tuple(disclosures))


def _open_root(token: Token, key: VerifyingKey, now: int) -> Opened:
    typ = _header(token.jwt)["typ"]
    if not typ.endswith("+sd-jwt") or typ == LAST_HOP:
        raise BadChain(f"the first token is of type {typ!r}, not '...+sd-jwt'")
    return _open(token, key, now)


def _open_hop(token: Token, previous: Opened, now: int, *, is_last: bool) -> Opened:
    expected = LAST_HOP if is_last else PASSING_HOP
    typ = _header(token.jwt)["typ"]
    if typ != expected:
        raise BadChain(f"a token is of type {typ!r}, not {expected!r}")
    opened = _open(token, holder_of(previous), now)
    if is_last == ("cnf" in opened.mandate or "cnf" in opened.claims):
        raise BadChain("every token but the last names a key that may go on, and the last none")
    claims = opened.claims
    if "iat" not in claims:
        raise BadChain("a token does not say when it was made (iat)")
    for name in ("aud", "nonce"):
        if not isinstance(claims.get(name), str) or not claims[name]:
            raise BadChain(f"a token says no {name!r}")
    bindings = {"sd_hash": previous.token.sd_hash, "issuer_jwt_hash": previous.token.jwt_hash}
    said = {name: claims[name] for name in bindings if name in claims}
    if len(said) != 1 or any(bindings[name] != value for name, value in said.items()):
        raise BadChain("a token is not bound to the one before (sd_hash or issuer_jwt_hash)")
    return opened


def _header(jwt: str) -> dict[str, str]:
    try:
        header = read_header(jwt, optional=_NO_KID)
    except BadSignature as error:
        raise BadChain(str(error)) from error
    if header["alg"] != "ES256":
        raise BadChain("a token is not signed with ES256")
    return header


def _open(token: Token, key: VerifyingKey, now: int) -> Opened:
    if key.algorithm != "ES256":
        raise BadChain("a token's key is not P-256")
    decode(token.jwt.rpartition(".")[2])
    try:
        payload = read_json(key.payload_of(token.jwt))
    except BadSignature as error:
        raise BadChain(str(error)) from error
    if not isinstance(payload, dict):
        raise BadChain("a token's payload is no object")
    if payload.pop(ALGORITHM, _SHA_256) != _SHA_256:
        raise BadChain("digests must be SHA-256 (_sd_alg)")
    disclosing = Disclosing(token.disclosures)
    claims = disclosing.walk(payload)
    disclosing.finish()
    mandates = claims.pop("delegate_payload", None)
    if not isinstance(mandates, list) or len(mandates) != 1 or not isinstance(mandates[0], dict):
        raise BadChain("a token must disclose exactly one object of delegate_payload")
    for times in (claims, mandates[0]):
        _check_times(times, now)
    return Opened(token, claims, mandates[0], disclosing.withheld)


def _check_times(claims: Mapping[str, Any], now: int) -> None:
    times = {name: claims[name] for name in ("iat", "nbf", "exp") if name in claims}
    if not all(type(value) is int for value in times.values()):
        raise BadChain("iat, nbf and exp must be whole seconds")
    if max(times.get("iat", 0), times.get("nbf", 0)) > now + SKEW_SECONDS:
        raise BadChain("a token is from the future (iat, nbf)")
    if times.get("exp", now) + SKEW_SECONDS < now:
        raise BadChain("a token has expired (exp)")
