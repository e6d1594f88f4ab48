"""``market verify``: who signed what, checked without trusting anybody who says so."""

import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import anyio
import msgspec
import rich_click as click

from market.cli.failures import REFUSED, Failure, reported
from market.cli.keys import KEYS_FILE, KnownKey, fetch_keys, keys_near, known_keys
from market.cli.options import http_address, json_option
from market.cli.output import emit, facts, hint, say, silence
from market.cli.receipts import print_proofs, prove_receipts, refuse_unproven
from market.protocol.commitments import CLAIMS, Claims
from market.protocol.money import EXPONENTS, Money
from market.protocol.signing import (
    BadSignature,
    read_header,
    read_payload,
)

_TOKEN: Final = re.compile(r"[\w-]{8,}\.[\w-]{2,}\.[\w-]{8,}")
_MAX_BYTES: Final = 16 * 1024 * 1024


class Checked(NamedTuple):
    """A token and what became of it: its claims, or why it does not hold."""

    typ: str
    kid: str
    issuer: str
    signer: str
    claims: Claims | None
    problem: str


@click.command()
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
)
@click.option(
    "--keys",
    "key_files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A JWK or JWK Set to trust. [default: keys.json beside the file or above it]",
)
@click.option(
    "--url",
    envvar="MARKET_URL",
    callback=http_address,
    help="Fetch the signers' keys from this market.",
)
@click.option(
    "--log",
    "log_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Prove the receipts from this log, which somebody kept.",
)
@json_option
@reported
def verify(
    files: tuple[Path, ...],
    key_files: tuple[Path, ...],
    url: str | None,
    log_file: Path | None,
    as_json: bool,
) -> None:
    """Check every signed commitment in FILES: receipts, orders, manifests, reviews and so on.

    A file is a compact JWS, or any text that holds some. Exit code 3: a signature does not hold.
    With --log, the order's events must hash to what a receipt states, and its amounts, units and
    digest must follow from them. Exit code 5: they do not.
    """
    tokens = [token for file in files for token in _tokens_in(file)]
    near = keys_near(files[0])
    keys = known_keys(key_files or near)
    if url:
        silence()
        keys |= anyio.run(fetch_keys, url, {_issuer_of(token) for token in tokens})
    checked = [_check(token, keys) for token in tokens]
    proofs = prove_receipts((one.claims for one in checked), log_file) if log_file else []
    if as_json:
        signed = [one._asdict() for one in checked]
        emit({"signatures": signed, "receipts": proofs} if log_file else signed)
    else:
        for one in checked:
            _print(one, keys)
        print_proofs(proofs)
    bad = [one for one in checked if one.problem]
    if bad:
        raise Failure(
            f"{len(bad)} of {len(checked)} signatures do not hold: {bad[0].problem}",
            code="bad_signature",
            title="The signature does not hold",
            exit_code=REFUSED,
        )
    refuse_unproven(proofs)
    if near and near[0].name == KEYS_FILE and not as_json:
        hint(shlex.join(["market", "audit", str(near[0].parent)]))


def _tokens_in(file: Path) -> list[str]:
    """Return the compact JWS in a file, each once.

    Raises:
        Failure: there is none.
    """
    if file.stat().st_size > _MAX_BYTES:
        raise Failure(f"{file} is longer than {_MAX_BYTES} bytes", code="file_too_long")
    found = []
    for token in dict.fromkeys(_TOKEN.findall(file.read_text("utf-8", "replace"))):
        try:
            read_header(token)
        except BadSignature:
            continue
        found.append(token)
    if not found:
        raise Failure(f"there is no signed commitment in {file}", code="nothing_signed")
    return found


def _issuer_of(token: str) -> str:
    payload = read_payload(token)
    return str(payload.get("iss", "")) if isinstance(payload, dict) else ""


def _check(token: str, keys: Mapping[str, KnownKey]) -> Checked:
    header, issuer = read_header(token), _issuer_of(token)
    typ, kid = header["typ"], header["kid"]
    claims_type = CLAIMS.get(typ)
    known = keys.get(kid)
    signer = known.owner if known else ""
    if claims_type is None:
        return Checked(typ, kid, issuer, signer, None, f"{typ!r} is no commitment that is known")
    if known is None:
        problem = f"nothing here vouches for the key {kid}: give --keys or --url"
        return Checked(typ, kid, issuer, "", None, problem)
    try:
        claims = known.key.read(token, typ=typ, claims=claims_type)
    except BadSignature as error:
        return Checked(typ, kid, issuer, signer, None, str(error))
    return Checked(typ, kid, issuer, signer, claims, "")


def _print(one: Checked, keys: Mapping[str, KnownKey]) -> None:
    what = one.typ.partition("+")[0].replace("-", " ")
    if one.claims is None:
        say(f"✗ {what}: {one.problem}")
        say()
        return
    signed_at = datetime.fromtimestamp(one.claims.iat, UTC)
    who = one.signer or ("itself" if one.issuer == one.kid else one.issuer)
    say(f"✓ {what}, signed by {who}, {signed_at:%Y-%m-%d %H:%M:%S} UTC")
    tree = msgspec.to_builtins(one.claims)
    pairs = [
        (f"  {name}", _shown(name, value, tree, keys))
        for name, value in tree.items()
        if value is not None
    ]
    facts([("  key", one.kid), *pairs])
    say()


def _shown(name: str, value: Any, tree: Mapping[str, Any], keys: Mapping[str, KnownKey]) -> str:
    """Return a claim as people read it: money in its currency, moments as dates, ids with names."""
    currency = tree.get("currency")
    if name.endswith("_minor") and isinstance(value, int) and currency in EXPONENTS:
        return str(Money(value, currency))
    if name in ("iat", "exp") and isinstance(value, int):
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, str) and value in keys and keys[value].owner:
        return f"{value} ({keys[value].owner})"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
