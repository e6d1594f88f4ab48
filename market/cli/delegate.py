"""``market session delegate`` and ``revoke``: a sub-agent's key in a session, for a while."""

from pathlib import Path
from typing import Any, Final, cast

import msgspec
import rich_click as click

from buyer_agents import MarketClient, read_delegation
from market.cli.failures import Failure, reported
from market.cli.options import OVERSEER_KEY, SESSION_ID, client_options, reason_option, with_client
from market.cli.output import CLIENT, emit, hint, say
from market.protocol.commitments import DelegatedAction
from market.protocol.signing import BadKey, BadSignature, VerifyingKey
from market.protocol.wire import DelegationView

_ACTIONS: Final = ("read", "write", "control")


@click.command()
@click.argument("session_id", metavar="SESSION", type=SESSION_ID)
@click.argument(
    "sub_agent", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False, exists=True)
)
@click.option(
    "--action",
    "actions",
    multiple=True,
    type=click.Choice(_ACTIONS),
    default=("read", "write"),
    show_default=True,
    help="What it may do there; may be repeated.",
)
@click.option("--minutes", type=click.IntRange(1, 60), default=60, show_default=True)
@click.option("--order", "order_id", help="For one order alone; a seller has to name it.")
@click.option("--run", help="For one run alone.")
@client_options
@reported
def delegate(
    session_id: str,
    sub_agent: Path,
    actions: tuple[str, ...],
    minutes: int,
    order_id: str | None,
    run: str | None,
    url: str,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Print a delegation for the sub-agent whose key, private or public, is the JWK in FILE.

    Hand it over as you like: without the private key it is worth nothing. It says nothing to the
    market; the session's log tells of it when it is first used.
    """
    if key_file is None or key_file.resolve() == OVERSEER_KEY.resolve():
        raise Failure(
            "an overseer cannot delegate: give --key of the buyer, seller or principal",
            code="no_key",
        )
    jwk = _public(sub_agent)

    async def sign(market: MarketClient) -> str:
        return await market.delegate(
            session_id,
            jwk,
            actions=cast("tuple[DelegatedAction, ...]", actions),
            seconds=60 * minutes,
            order_id=order_id,
            run=run,
        )

    delegation = with_client(url, key_file, sign)
    if as_json:
        emit({"delegation": delegation, "delegate_id": VerifyingKey(jwk).kid})
        return
    say(delegation)
    hint(f"market watch {session_id}", carry=CLIENT)


@click.command()
@click.argument("delegation")
@reason_option
@client_options
@reported
def revoke(delegation: str, reason: str, url: str, key_file: Path | None, as_json: bool) -> None:
    """Take DELEGATION back, used or not: its sub-agent is out at once."""
    try:
        session_id = read_delegation(delegation).session_id
    except (BadSignature, msgspec.ValidationError) as error:
        raise Failure(f"this is no delegation: {error}", code="bad_delegation") from error

    async def act(market: MarketClient) -> DelegationView:
        return await market.revoke_delegation(delegation, reason or "no longer needed")

    view = with_client(url, key_file, act)
    if as_json:
        emit(view)
        return
    used = "its sub-agent is out" if view.delegate_id else "it was never used"
    say(f"✓ revoked {view.jti}: {used}")
    hint(f"market watch {session_id}", carry=CLIENT)


def _public(file: Path) -> dict[str, Any]:
    """Return the public half of a JWK file.

    Raises:
        Failure: it holds no key.
    """
    try:
        tree = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        return dict(VerifyingKey({k: v for k, v in tree.items() if k != "d"}).jwk)
    except (msgspec.DecodeError, BadKey) as error:
        raise Failure(f"{file} holds no key: {error}", code="bad_key") from error
