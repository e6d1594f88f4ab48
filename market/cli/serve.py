"""``market serve``: a market on this machine."""

import os
import shlex
from pathlib import Path
from typing import Final

import rich_click as click

from market import identity
from market.app import configure_logging, run
from market.base.clock import SystemClock, seconds_of
from market.base.migration import migrate
from market.base.settings import Settings
from market.base.store import Store
from market.cli.failures import USAGE, Explained, Report, explain, reported
from market.cli.local import local_settings
from market.cli.options import OVERSEER_KEY
from market.cli.output import facts, hint, say
from market.faces.http.serve import CannotServe
from market.protocol.commitments import REGISTRATION, RegistrationClaims
from market.protocol.signing import SigningKey

OPERATOR: Final = "operator"
PROOF_SECONDS: Final = 300


@explain.register
def _(error: CannotServe) -> Explained:
    hint_ = "is the port taken? try --port"
    title = "The market did not come up"
    return Explained([Report("cannot_serve", title, str(error), hint_, "")], USAGE)


@click.command()
@click.option("--host", help="MARKET_HOST. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65_535), help="MARKET_PORT. [default: 8700]")
@click.option("--home", type=click.Path(path_type=Path), help="MARKET_HOME. [default: .market]")
@click.option("--store", help="MARKET_STORE, postgresql://... [default: SQLite in the home]")
@reported
def serve(host: str | None, port: int | None, home: Path | None, store: str | None) -> None:
    """Open a market on this machine, until it is interrupted.

    All other settings are variables MARKET_*. In a sandbox the operator gets a key, with which
    the commands beside it look into sessions, intervene, and fund wallets.
    """
    settings = local_settings(host=host, port=port, home=home, store=store)
    configure_logging(settings.log_level)
    if settings.mode == "sandbox":
        settings = _with_overseer(settings)
    run(settings, ready=lambda: _tell(settings))


def _with_overseer(settings: Settings) -> Settings:
    """Make the operator an overseer: a key in the home, registered."""
    path = settings.home / "overseer.key"
    if not path.exists():
        SigningKey.generate().save(path)
    key = SigningKey.load(path)
    settings = settings.with_(overseer_ids=tuple({*settings.overseer_ids, key.kid}))
    migrate(settings)
    now = SystemClock().now()
    claims = RegistrationClaims(
        iss=key.kid,
        aud=settings.issuer,
        iat=seconds_of(now),
        exp=seconds_of(now) + PROOF_SECONDS,
        jti=os.urandom(16).hex(),
        jwk=key.public.jwk,
        handle=OPERATOR,
        kind="overseer",
    )
    proof = key.sign(claims, typ=REGISTRATION)
    signed = identity.read_registration(proof, issuer=settings.issuer, now=now)
    opened = Store.open(settings)
    try:
        opened.write_now(identity.register, signed=signed)
    finally:
        opened.close()
    return settings


def _tell(settings: Settings) -> None:
    fee = settings.fee_basis_points / 100
    say(f"✓ a market is open at {settings.issuer}")
    facts(
        [
            ("  agents start at", f"{settings.issuer}/agents"),
            ("  mode", f"{settings.mode}, {settings.currency}, fee {fee:g} %"),
            ("  store", settings.store or str(settings.home / "market.db")),
            ("  overseer's key", str(settings.home / "overseer.key")),
        ]
    )
    at = "" if settings.port == 8700 else f" --url {settings.issuer}"
    if settings.home != OVERSEER_KEY.parent:
        at += f" --key {shlex.quote(str(settings.home / OVERSEER_KEY.name))}"
    hint("market seller new my-seller", f"market session list{at}")
