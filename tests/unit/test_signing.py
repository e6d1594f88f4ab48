"""Signatures: only the named key, for the named purpose, in the one accepted form."""

import base64
import hashlib
import hmac
import json
import stat
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.protocol.canonical import canonical
from market.protocol.commitments import CLAIMS, ORDER, QUOTE, Claims, OrderClaims
from market.protocol.signing import (
    MAX_TOKEN,
    BadKey,
    BadSignature,
    SigningKey,
    VerifyingKey,
    public_jwk,
    read_header,
    read_payload,
    thumbprint,
)

CURVES = ["Ed25519", "P-256"]
# RFC 8037 appendix A.2 and A.3.
RFC_8037_KEY = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}


def key(number: int = 1, curve: str = "Ed25519") -> SigningKey:
    return SigningKey.from_seed(hashlib.sha256(bytes([number])).digest(), curve)


def encoded(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def forged(signer: SigningKey, header: dict[str, Any], payload: Any = None) -> str:
    """Return a token with this header, rightly signed with the key's own algorithm."""
    head = {"alg": signer.public.algorithm, "typ": ORDER, "kid": signer.kid, **header}
    head = {name: value for name, value in head.items() if value is not None}
    body = encoded(payload if payload is not None else {"price": 1})
    token = signer.sign({}, typ=ORDER)
    private = jwt.PyJWK(signer.to_jwk(), algorithm=signer.public.algorithm).key
    algorithm = jwt.get_algorithm_by_name(signer.public.algorithm)
    assert token.count(".") == 2
    signing_input = f"{encoded(head)}.{body}"
    return f"{signing_input}.{encoded(algorithm.sign(signing_input.encode(), private))}"


@pytest.mark.parametrize("curve", CURVES)
def test_what_a_key_signs_it_verifies(curve: str) -> None:
    signer = key(curve=curve)

    token = signer.sign({"price": 1, "name": "é"}, typ=ORDER)

    assert signer.public.verify(token, typ=ORDER) == canonical({"name": "é", "price": 1})
    assert read_header(token) == {
        "alg": signer.public.algorithm,
        "kid": signer.kid,
        "typ": ORDER,
    }


@pytest.mark.parametrize("curve", CURVES)
def test_other_libraries_read_what_we_sign(curve: str) -> None:
    signer = key(curve=curve)
    token = signer.sign({"iss": "a", "price": 1}, typ=ORDER)

    read = jwt.decode(token, jwt.PyJWK(signer.public.jwk), algorithms=[signer.public.algorithm])

    assert read == {"iss": "a", "price": 1}


@pytest.mark.parametrize("curve", CURVES)
def test_we_read_what_other_libraries_sign(curve: str) -> None:
    signer = key(curve=curve)
    algorithm = signer.public.algorithm

    token = jwt.encode(
        {"price": 1},
        jwt.PyJWK(signer.to_jwk(), algorithm=algorithm).key,
        algorithm=algorithm,
        headers={"typ": ORDER, "kid": signer.kid},
    )

    assert json.loads(signer.public.verify(token, typ=ORDER)) == {"price": 1}


def test_the_newer_name_of_the_algorithm_is_accepted_for_its_key_alone() -> None:
    assert key().public.verify(forged(key(), {"alg": "Ed25519"}), typ=ORDER)

    with pytest.raises(BadSignature):
        key(curve="P-256").public.verify(forged(key(curve="P-256"), {"alg": "Ed25519"}), typ=ORDER)


@pytest.mark.parametrize("curve", CURVES)
def test_another_purpose_is_refused(curve: str) -> None:
    token = key(curve=curve).sign({}, typ=QUOTE)

    with pytest.raises(BadSignature, match="type"):
        key(curve=curve).public.verify(token, typ=ORDER)


@pytest.mark.parametrize("curve", CURVES)
def test_another_key_is_refused(curve: str) -> None:
    token = key(1, curve).sign({}, typ=ORDER)

    with pytest.raises(BadSignature):
        key(2, curve).public.verify(token, typ=ORDER)


def test_another_key_under_the_right_name_is_refused() -> None:
    token = forged(key(2), {"kid": key(1).kid})

    with pytest.raises(BadSignature, match="signature does not match"):
        key(1).public.verify(token, typ=ORDER)


@pytest.mark.parametrize("curve", CURVES)
def test_every_changed_byte_of_payload_or_signature_is_refused(curve: str) -> None:
    signer = key(curve=curve)
    head, body, signature = signer.sign({"price": 1}, typ=ORDER).split(".")
    other_body = encoded({"price": 2})
    raw = base64.urlsafe_b64decode(signature + "==")

    with pytest.raises(BadSignature):
        signer.public.verify(f"{head}.{other_body}.{signature}", typ=ORDER)
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises(BadSignature):
            signer.public.verify(f"{head}.{body}.{encoded(changed)}", typ=ORDER)


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
@pytest.mark.parametrize("curve", CURVES)
def test_a_signature_of_another_length_is_refused(curve: str, length: int) -> None:
    head, body, _ = key(curve=curve).sign({}, typ=ORDER).split(".")

    with pytest.raises(BadSignature):
        key(curve=curve).public.verify(f"{head}.{body}.{encoded(bytes(length))}", typ=ORDER)


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS256", "ES256", "", "EdDSA\0"])
def test_the_algorithm_comes_from_the_key_and_not_from_the_header(algorithm: str) -> None:
    with pytest.raises(BadSignature):
        key().public.verify(forged(key(), {"alg": algorithm}), typ=ORDER)


def test_a_token_without_signature_is_refused() -> None:
    head = encoded({"alg": "none", "typ": ORDER, "kid": key().kid})

    with pytest.raises(BadSignature):
        key().public.verify(f"{head}.{encoded({})}.", typ=ORDER)


def test_a_mac_made_with_the_public_key_is_refused() -> None:
    head = encoded({"alg": "HS256", "typ": ORDER, "kid": key().kid})
    signing_input = f"{head}.{encoded({})}"
    public = base64.urlsafe_b64decode(key().public.jwk["x"] + "=")
    mac = hmac.new(public, signing_input.encode(), hashlib.sha256).digest()

    with pytest.raises(BadSignature):
        key().public.verify(f"{signing_input}.{encoded(mac)}", typ=ORDER)


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "http://169.254.169.254/keys"},
        {"jwk": RFC_8037_KEY},
        {"x5u": "http://127.0.0.1/cert"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"], "exp": 1},
        {"b64": False},
        {"kid": None},
        {"typ": None},
        {"kid": "../../etc/passwd"},
        {"kid": "' OR 1=1 --"},
        {"kid": "k" * 4096},
        {"kid": 7},
        {"typ": ["order+jwt"]},
    ],
)
def test_a_header_says_nothing_but_what_is_expected(header: dict[str, Any]) -> None:
    with pytest.raises(BadSignature):
        key().public.verify(forged(key(), header), typ=ORDER)


def test_parts_of_the_header_may_be_made_optional() -> None:
    token = forged(key(), {"typ": None, "kid": None})

    assert read_header(token, optional={"typ", "kid"}) == {"alg": "EdDSA"}
    with pytest.raises(BadSignature):
        read_header(forged(key(), {"alg": None}), optional={"typ", "kid"})
    with pytest.raises(BadSignature):
        read_header(forged(key(), {"jku": "http://x"}), optional={"typ", "kid"})


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b",
        "a.b.c.d",
        "..",
        "é.a.b",
        "a b.c.d",
        "e30=.e30.",
        "e30+.e30.",
        encoded({"alg": "EdDSA"}) + ".e30.AA",
        encoded([1]) + ".e30.AA",
        encoded(b"[" * 300) + ".e30.AA",
        "A" * (MAX_TOKEN + 1) + ".e30.AA",
    ],
)
def test_what_is_no_compact_jws_is_refused(token: str) -> None:
    with pytest.raises(BadSignature):
        key().public.verify(token, typ=ORDER)
    with pytest.raises(BadSignature):
        read_payload(token)


@given(st.text(max_size=200))
def test_no_text_is_a_crash(text: str) -> None:
    with pytest.raises(BadSignature):
        key().public.verify(text, typ=ORDER)


def test_a_token_of_a_megabyte_is_refused_before_it_is_read() -> None:
    with pytest.raises(BadSignature, match="not a compact JWS"):
        key().public.verify(key().sign({"pad": "x" * 1_000_000}, typ=ORDER), typ=ORDER)


ORDER_CLAIMS: dict[str, Any] = {
    "iss": "b" * 43,
    "aud": "http://market",
    "iat": 1_790_000_000,
    "quote_id": "qte_01h455vb4pex5vsknk084sn02q",
    "quote_digest": "d" * 43,
    "seller_id": "s" * 43,
    "amount_minor": 400_000,
    "currency": "XTS",
    "mandate_id": None,
}


def test_claims_are_read_into_their_struct() -> None:
    claims = key().public.read(key().sign(ORDER_CLAIMS, typ=ORDER), typ=ORDER, claims=OrderClaims)

    assert claims == OrderClaims(**ORDER_CLAIMS)
    assert key().public.read(key().sign(claims, typ=ORDER), typ=ORDER, claims=OrderClaims) == claims


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": 0},
        {"amount_minor": -1},
        {"amount_minor": 1.0},
        {"amount_minor": 1.5},
        {"amount_minor": "1"},
        {"amount_minor": True},
        {"amount_minor": 2**53},
        {"currency": "xts"},
        {"iat": "1790000000"},
        {"iat": 1e308},
        {"aud": ["http://market"]},
        {"quote_id": "ord_01h455vb4pex5vsknk084sn02q"},
        {"seller_id": "s"},
        {"seller_id": None},
        {"discount": 100},
    ],
)
def test_claims_of_another_form_are_refused(change: dict[str, Any]) -> None:
    token = forged(key(), {}, {**ORDER_CLAIMS, **change})

    with pytest.raises(BadSignature):
        key().public.read(token, typ=ORDER, claims=OrderClaims)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"price":1,"price":2}',
        b'{"a":{"price":1,"price":2}}',
        b'{"price":NaN}',
        b'{"price":9007199254740993}',
        b'{"name":"\\ud800"}',
        b'{"name":"\\u0000"}',
        b"not json",
        b"\xff\xfe",
        b"[" * 20_000,
    ],
)
def test_a_payload_that_two_readers_might_read_differently_is_refused(payload: bytes) -> None:
    with pytest.raises(BadSignature):
        key().public.read(forged(key(), {}, payload), typ=ORDER, claims=OrderClaims)


@pytest.mark.parametrize("typ", CLAIMS)
def test_no_commitment_accepts_members_that_the_market_does_not_know(typ: str) -> None:
    kind: type[Claims] = CLAIMS[typ]

    assert kind.__struct_config__.forbid_unknown_fields
    assert kind.__struct_config__.frozen


def test_a_thumbprint_is_that_of_the_standard() -> None:
    assert thumbprint(RFC_8037_KEY) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert VerifyingKey(RFC_8037_KEY).kid == thumbprint({**RFC_8037_KEY, "kid": "x", "use": "sig"})


@pytest.mark.parametrize("curve", CURVES)
def test_a_seed_always_gives_the_same_key(curve: str) -> None:
    assert key(5, curve).kid == key(5, curve).kid != key(6, curve).kid


@pytest.mark.parametrize("curve", CURVES)
def test_a_private_key_survives_its_jwk(curve: str) -> None:
    signer = SigningKey.generate(curve)

    again = SigningKey.from_jwk(signer.to_jwk())

    assert again.kid == signer.kid
    assert signer.public.verify(again.sign({}, typ=ORDER), typ=ORDER) == b"{}"


@pytest.mark.parametrize("curve", CURVES)
def test_a_key_file_is_for_its_owner_alone_and_never_overwritten(
    curve: str, tmp_path: Path
) -> None:
    path = tmp_path / "keys" / "agent.key"
    signer = SigningKey.generate(curve)
    signer.save(path)

    assert SigningKey.load(path).kid == signer.kid
    assert SigningKey.load(str(path)).kid == signer.kid
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        SigningKey.generate(curve).save(path)
    assert SigningKey.load(path).kid == signer.kid


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"kty":"OKP"}', b"\xff"])
def test_what_is_no_key_file_is_refused(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "agent.key"
    path.write_bytes(text)

    with pytest.raises(BadKey):
        SigningKey.load(path)


def test_a_public_key_cannot_sign() -> None:
    with pytest.raises(BadKey, match="private"):
        SigningKey.from_jwk(key().public.jwk)


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "oct", "k": "AAAA"},
        {"kty": ["OKP"], "crv": "Ed25519", "x": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": RFC_8037_KEY["x"]},
        {"kty": "OKP", "crv": "Ed25519"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "!" * 43},
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 1000},
        {"kty": "OKP", "crv": "Ed25519", "x": 5},
        {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43},
        {**RFC_8037_KEY, "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"},
    ],
)
def test_what_is_no_public_key_of_the_two_kinds_is_refused(jwk: dict[str, Any]) -> None:
    with pytest.raises(BadKey):
        VerifyingKey(jwk)


def test_a_key_has_one_spelling_and_so_one_name() -> None:
    for last in "pqr":  # other trailing bits, the same 32 bytes
        with pytest.raises(BadKey, match="coordinates"):
            VerifyingKey({**RFC_8037_KEY, "x": RFC_8037_KEY["x"][:-1] + last})


def test_keys_with_leading_zeros_have_whole_coordinates() -> None:
    for number in range(600):
        signer = SigningKey.from_seed(hashlib.sha256(number.to_bytes(2, "big")).digest(), "P-256")
        assert {len(signer.public.jwk[name]) for name in ("x", "y")} == {43}


def test_only_the_members_that_make_the_key_are_kept() -> None:
    jwk = {"use": "sig", "kid": "mine", "note": "<script>", **RFC_8037_KEY}

    assert public_jwk(jwk) == RFC_8037_KEY
