"""Proofs of entry: registrations, new keys and client assertions, by us and by stock clients."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from market.base.settings import Settings
from market.identity import (
    BadKeyStatement,
    InvalidClient,
    ProofRefused,
    claimed_agent,
    read_assertion,
    read_registration,
)
from market.identity.proofs import read_new_key
from market.protocol.commitments import KEY_PROOF, KEY_STATEMENT, ORDER
from market.protocol.signing import SigningKey, VerifyingKey
from tests.outsiders import Outsider

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
SETTINGS = Settings()
ISSUER = SETTINGS.issuer


def party(**particulars: Any) -> Outsider:
    return Outsider(SETTINGS, **particulars)


def private(key: SigningKey) -> Any:
    return jwt.PyJWK(key.to_jwk(), algorithm=key.public.algorithm).key


def assertion(
    agent: Outsider,
    *,
    headers: dict[str, Any] | None = None,
    by: SigningKey | None = None,
    **change: Any,
) -> str:
    """Return an assertion as PyJWT makes it for a stock OAuth client."""
    key = by or agent.key
    claims = {
        "iss": agent.id,
        "sub": agent.id,
        "aud": ISSUER,
        "exp": SECONDS + 60,
        "iat": SECONDS,
        "jti": "once",
        **change,
    }
    claims = {name: value for name, value in claims.items() if value is not ...}
    header = {"kid": agent.id} if headers is None else headers
    return jwt.encode(claims, private(key), algorithm=key.public.algorithm, headers=header)


def read(token: str, *keys: VerifyingKey, now: datetime = NOW) -> Any:
    return read_assertion(token, keys={key.kid: key for key in keys}, issuer=ISSUER, now=now)


# Registration


@pytest.mark.parametrize("curve", ["Ed25519", "P-256"])
def test_a_key_enters_by_its_own_signature(curve: str) -> None:
    agent = party(curve=curve)

    signed = read_registration(agent.registration(NOW), issuer=ISSUER, now=NOW)

    assert signed.claims.iss == signed.kid == agent.id
    assert signed.claims.handle == agent.handle


@pytest.mark.parametrize(
    "change",
    [
        {"jwk": SigningKey.generate().public.jwk},
        {"jwk": SigningKey.generate().to_jwk()},
        {"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}},
        {"jwk": "none"},
        {"iss": "x" * 43},
        {"aud": "http://other.market"},
        {"iat": SECONDS + 31, "exp": SECONDS + 60},
        {"iat": SECONDS - 600, "exp": SECONDS - 31},
        {"exp": SECONDS + 601},
        {"exp": SECONDS},
        {"exp": str(SECONDS + 60)},
        {"kind": "admin"},
        {"handle": "Not A Slug"},
        {"handle": "a"},
        {"jti": "short"},
        {"trust": 1},
    ],
)
def test_a_registration_that_does_not_hold_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ProofRefused):
        party().registered(NOW, **change)


def test_a_registration_of_another_purpose_is_refused() -> None:
    agent = party()

    with pytest.raises(ProofRefused, match="type"):
        read_registration(agent.sign(ORDER, NOW, jwk=agent.key.public.jwk), issuer=ISSUER, now=NOW)


@pytest.mark.parametrize("token", ["", "a.b.c", "e30.e30.e30"])
def test_what_is_no_registration_is_refused(token: str) -> None:
    with pytest.raises(ProofRefused):
        read_registration(token, issuer=ISSUER, now=NOW)


def test_a_registration_is_timely_within_the_clock_skew() -> None:
    early = {"iat": SECONDS + 30, "exp": SECONDS + 60}
    late = {"iat": SECONDS - 300, "exp": SECONDS - 30}

    assert party().registered(NOW, **early)
    assert party().registered(NOW, **late)
    assert party().registered(NOW, exp=SECONDS + 600)


# A new key


def test_a_new_key_agrees_to_be_added() -> None:
    agent, new = party(), SigningKey.generate("P-256")
    claims = agent.opened(agent.addition(new, NOW), KEY_STATEMENT, NOW).claims

    assert read_new_key(claims, now=NOW).kid == new.kid


def test_a_key_that_does_not_agree_is_not_added() -> None:
    agent, stranger, new = party(), party(), SigningKey.generate()
    for change in (
        {"proof": None},
        {"jwk": None},
        {"kid": agent.id},
        {"proof": agent.sign(KEY_PROOF, NOW)},
        {"proof": stranger.sign(KEY_PROOF, NOW, by=new)},
        {"proof": agent.sign(KEY_STATEMENT, NOW, by=new)},
        {"proof": agent.sign(KEY_PROOF, NOW, by=new, aud="http://other.market")},
        {"jwk": stranger.key.public.jwk},
        {"jwk": new.to_jwk()},
    ):
        claims = agent.opened(agent.addition(new, NOW, **change), KEY_STATEMENT, NOW).claims
        with pytest.raises(BadKeyStatement):
            read_new_key(claims, now=NOW)


# Client assertions


@pytest.mark.parametrize("curve", ["Ed25519", "P-256"])
@pytest.mark.parametrize(
    "headers",
    [
        {"kid": ...},
        {},
        {"typ": None},
        {"typ": "jwt"},
        {"typ": "client-authentication+jwt"},
        {"typ": None, "kid": ...},
    ],
)
def test_a_stock_client_may_leave_out_typ_and_kid(curve: str, headers: dict[str, Any]) -> None:
    agent = party(curve=curve)
    headers = {name: agent.id if value is ... else value for name, value in headers.items()}

    held = read(assertion(agent, headers=headers), agent.key.public)

    assert held.agent_id == held.key_id == agent.id
    assert held.jti == "once"
    assert held.expires_at == NOW + timedelta(seconds=60)


@pytest.mark.parametrize(
    "change",
    [
        {"aud": f"{ISSUER}/oauth/token"},
        {"iat": ...},
        {"nbf": SECONDS},
        {"nbf": SECONDS + 30},
        {"iat": SECONDS + 30},
        {"iat": SECONDS - 600, "exp": SECONDS},
        {"exp": SECONDS + 600},
        {"iat": SECONDS - 300, "exp": SECONDS - 30},
        {"scope": "read", "client_name": "of no interest"},
    ],
)
def test_what_the_standard_allows_is_accepted(change: dict[str, Any]) -> None:
    agent = party()

    assert read(assertion(agent, **change), agent.key.public).agent_id == agent.id


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "x" * 43},
        {"sub": "x" * 43},
        {"iss": ...},
        {"sub": ...},
        {"aud": ...},
        {"exp": ...},
        {"jti": ...},
        {"jti": ""},
        {"jti": "x" * 201},
        {"jti": 7},
        {"aud": "http://other.market"},
        {"aud": f"{ISSUER}/"},
        {"aud": [ISSUER]},
        {"aud": [ISSUER, "http://other.market"]},
        {"iat": SECONDS + 31, "exp": SECONDS + 60},
        {"nbf": SECONDS + 31},
        {"iat": SECONDS - 300, "exp": SECONDS - 31},
        {"exp": SECONDS + 601},
        {"iat": ..., "exp": SECONDS + 601},
        {"iat": SECONDS - 10, "exp": SECONDS - 10},
        {"exp": float(SECONDS + 60)},
        {"exp": str(SECONDS + 60)},
        {"exp": 1e308},
        {"iat": float(SECONDS)},
        {"iat": True},
    ],
)
def test_an_assertion_that_does_not_hold_is_refused_in_the_same_words(
    change: dict[str, Any],
) -> None:
    agent = party()
    with pytest.raises(InvalidClient) as first:
        read("nonsense", agent.key.public)

    with pytest.raises(InvalidClient) as refusal:
        read(assertion(agent, **change), agent.key.public)

    assert (refusal.value.detail, refusal.value.facts) == (first.value.detail, {})


@pytest.mark.parametrize(
    "headers",
    [
        {"typ": "at+jwt"},
        {"typ": "registration+jwt"},
        {"kid": "x" * 43},
        {"kid": "../../key"},
        {"kid": "k" * 4096},
        {"jku": "http://169.254.169.254/"},
        {"jwk": {"kty": "OKP"}},
        {"x5u": "http://127.0.0.1/"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
    ],
)
def test_a_header_that_says_too_much_or_names_another_key_is_refused(
    headers: dict[str, Any],
) -> None:
    agent = party()

    with pytest.raises(InvalidClient):
        read(assertion(agent, headers={"kid": agent.id, **headers}), agent.key.public)


def test_a_newer_client_may_call_the_algorithm_by_its_newer_name() -> None:
    agent = party()
    head, body, _ = assertion(agent).split(".")
    header = json.dumps({"alg": "Ed25519", "kid": agent.id}).encode()
    signing_input = f"{jwt.utils.base64url_encode(header).decode()}.{body}"
    signature = jwt.utils.base64url_encode(private(agent.key).sign(signing_input.encode()))

    assert read(f"{signing_input}.{signature.decode()}", agent.key.public).agent_id == agent.id
    with pytest.raises(InvalidClient):
        read(f"{head}.{body}.{signature.decode()}", agent.key.public)


def test_without_a_kid_the_key_must_be_the_only_one_of_its_kind() -> None:
    agent, second, other = party(), SigningKey.generate(), SigningKey.generate("P-256")
    token = assertion(agent, headers={})

    assert read(token, agent.key.public, other.public).key_id == agent.id
    with pytest.raises(InvalidClient):
        read(token, agent.key.public, second.public)
    assert read(assertion(agent, by=other, headers={}), agent.key.public, other.public)


def test_an_assertion_by_a_key_of_someone_else_is_refused() -> None:
    agent, stranger = party(), party()

    with pytest.raises(InvalidClient):
        read(assertion(agent, by=stranger.key), agent.key.public)
    with pytest.raises(InvalidClient):
        read(assertion(agent, by=stranger.key, headers={}), agent.key.public)
    with pytest.raises(InvalidClient):
        read(assertion(agent))


def test_an_assertion_that_is_unsigned_or_too_long_is_refused() -> None:
    agent = party()
    claims = {"iss": agent.id, "sub": agent.id, "aud": ISSUER, "exp": SECONDS + 60, "jti": "once"}

    with pytest.raises(InvalidClient):
        read(jwt.encode(claims, None, algorithm="none"), agent.key.public)
    with pytest.raises(InvalidClient):
        read(assertion(agent, padding="x" * 8_192), agent.key.public)


def test_an_assertion_says_whose_keys_must_check_it() -> None:
    agent = party()

    assert claimed_agent(assertion(agent, headers={})) == agent.id
    for token in ("", "a.b.c", assertion(agent, sub=...), assertion(agent, sub="someone")):
        with pytest.raises(InvalidClient):
            claimed_agent(token)
