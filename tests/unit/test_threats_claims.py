"""Numbers inside of what agents sign: as strict as in a body."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jwt import PyJWS

from market.protocol import commitments
from market.protocol.signing import BadSignature, SigningKey

KEY = SigningKey.generate()
NO_COUNT = ("9007199254740992", "9223372036854775808", "1.0", "1e2", '"1"', "true", "NaN", "-1")
_jws = PyJWS(algorithms=["EdDSA"])


def numbers() -> Iterator[tuple[str, type[commitments.Claims], str]]:
    """Every whole number in every commitment."""
    for typ, claims in commitments.CLAIMS.items():
        schema = msgspec.json.schema(claims)
        [whole] = [each for each in schema["$defs"].values() if "aud" in each["properties"]]
        for name, member in whole["properties"].items():
            kinds = [member, *member.get("anyOf", ())]
            if any(kind.get("type") == "integer" for kind in kinds):
                yield typ, claims, name


def signed(payload: str, typ: str) -> str:
    head = {"typ": typ, "kid": KEY.kid}
    return _jws.encode(payload.encode(), KEY._private, algorithm="EdDSA", headers=head)


@pytest.mark.parametrize(("typ", "claims", "name"), list(numbers()))
def test_a_signed_number_is_a_whole_number(typ: str, claims: type[Any], name: str):
    """M5, I8: neither a fraction's spelling, text, truth, nor more than 2^53 - 1 was signed."""
    for number in NO_COUNT:
        with pytest.raises(BadSignature) as refusal:
            KEY.public.read(signed(f'{{"{name}": {number}}}', typ), typ=typ, claims=claims)
        assert "missing required" not in str(refusal.value), (number, "this number was taken")


def test_the_walk_finds_what_is_signed_about_money():
    """M5: before the walk is believed."""
    found = {f"{typ}:{name}" for typ, _, name in numbers()}

    assert {"order+jwt:amount_minor", "receipt+jwt:captured_minor", "quote+jwt:units"} <= found
