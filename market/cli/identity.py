"""``market identity new``, ``show``, ``token``, ``rotate`` and ``revoke``."""

import shlex
from pathlib import Path
from typing import Final

import rich_click as click

from buyer_agents import MarketClient
from market.cli import keyfile
from market.cli.failures import Failure, reported
from market.cli.keyfile import Identity
from market.cli.options import (
    AGENT_ID,
    HANDLE_FORM,
    agent_called,
    client_options,
    confirm,
    identity_in,
    is_handle,
    json_option,
    key_path,
    url_option,
    with_client,
    yes_option,
)
from market.cli.output import CLIENT, emit, facts, hint, say, second
from market.protocol.signing import SigningKey
from market.protocol.wire import AgentView

_KINDS: Final = ("buyer", "seller", "principal", "overseer")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--curve", type=click.Choice(["Ed25519", "P-256"]), default="Ed25519")
@click.option("--handle", help="Register at the market under this name.")
@click.option("--kind", type=click.Choice(_KINDS), default="buyer", show_default=True)
@click.option(
    "--principal", "principal_id", type=AGENT_ID, help="The agent id of whom a buyer acts for."
)
@url_option
@json_option
@reported
def new(
    file: Path,
    curve: str,
    handle: str | None,
    kind: str,
    principal_id: str | None,
    url: str,
    as_json: bool,
) -> None:
    """Make a key in FILE, which only you can read. Its thumbprint is the agent's id, for ever.

    With --handle, the agent is also registered; an existing FILE is then used as it is.
    """
    if handle is not None and not is_handle(handle):
        raise Failure(f"{handle!r} is no handle: {HANDLE_FORM}", code="bad_handle")
    if not file.exists():
        SigningKey.generate(curve).save(file)
    elif handle is None:
        raise Failure(f"{file} exists; a key is never overwritten", code="key_exists")
    identity = keyfile.load(file)
    agent: AgentView | None = None
    if handle is not None:
        agent = with_client(
            url,
            file,
            lambda market: market.register(handle, kind, principal_id),  # type: ignore[arg-type]
        )
    if as_json:
        emit({"agent_id": identity.agent_id, "jwk": identity.key.public.jwk, "agent": agent})
        return
    facts(
        [
            ("agent id", identity.agent_id),
            ("key", f"{file} ({identity.key.public.algorithm}, private: keep it)"),
            ("registered", f"{agent.handle}, {agent.kind}, at {url}" if agent else ""),
        ]
    )
    if agent is None:
        again = f"market identity new {shlex.quote(str(file))} --handle NAME --kind {kind}"
        hint(again, carry=["--principal", "--url"])
    else:
        show_it = f"market wallet show --key {shlex.quote(str(file))}"
        hint(show_it, f"market wallet fund {agent.handle} 10.00", carry=["--url"])


@click.command()
@click.option("--handle", help="Another agent, by its name.")
@click.option("--offline", is_flag=True, help="Read the key file alone.")
@client_options
@reported
def show(handle: str | None, offline: bool, url: str, key_file: Path | None, as_json: bool) -> None:
    """Show an agent: its id, name, kind, and every key it has had."""
    identity = identity_in(key_file)
    if offline:
        public = {"agent_id": identity.agent_id, "jwk": identity.key.public.jwk}
        if as_json:
            emit(public)
        else:
            facts([("agent id", identity.agent_id), ("key id", identity.key.kid)])
        return

    async def act(market: MarketClient) -> AgentView:
        if handle is None:
            return await market.me()
        return await agent_called(market, handle)

    agent = with_client(url, key_file, act)
    _report(agent, identity, as_json=as_json)
    if handle is None and not as_json:
        hint("market wallet show", carry=CLIENT)


@click.command()
@client_options
@reported
def token(url: str, key_file: Path | None, as_json: bool) -> None:
    """Print an access token for other clients: a bearer header, good for five minutes."""
    header = with_client(url, key_file, lambda market: market.authorization())
    text = header.removeprefix("Bearer ")
    if as_json:
        emit({"access_token": text, "token_type": "Bearer"})
    else:
        say(text)


@click.command()
@yes_option
@client_options
@reported
def rotate(yes: bool, url: str, key_file: Path | None, as_json: bool) -> None:
    """Replace the agent's key: add a new one, put it into the file, revoke the old one.

    The agent's id stays, and what the old key signed stays valid.
    """
    path = key_path(key_file)
    old = keyfile.load(path)
    confirm(f"Replace the key in {path}?", is_sure=yes)
    new = Identity(SigningKey.generate(), old.agent_id)
    with_client(url, path, lambda market: market.add_key(new.key))
    keyfile.replace(path, new)
    agent = with_client(url, path, lambda market: market.revoke_key(old.key.kid))
    _report(agent, new, as_json=as_json)


@click.command()
@click.argument("kid")
@yes_option
@client_options
@reported
def revoke(kid: str, yes: bool, url: str, key_file: Path | None, as_json: bool) -> None:
    """Revoke the key KID of the agent: it speaks for it no more. The last key stays."""
    confirm(f"Revoke the key {kid} for good?", is_sure=yes)
    agent = with_client(url, key_file, lambda market: market.revoke_key(kid))
    _report(agent, identity_in(key_file), as_json=as_json)


def _report(agent: AgentView, identity: Identity, *, as_json: bool) -> None:
    if as_json:
        emit(agent)
        return
    suspended = f"suspended since {agent.suspended_at}" if agent.suspended_at else ""
    facts(
        [
            ("agent id", agent.id),
            ("name", f"{agent.handle}, {agent.kind}"),
            ("acts for", agent.principal_id or ""),
            ("since", second(agent.registered_at)),
            ("state", suspended),
        ]
    )
    for key in agent.keys:
        state = f"✗ revoked {key.revoked_at[:19]}" if key.revoked_at else "✓ active"
        mine = "   (this key file)" if key.kid == identity.key.kid else ""
        say(f"key       {key.kid}   {state}{mine}")
