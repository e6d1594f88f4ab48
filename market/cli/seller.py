"""``market seller new``, ``register`` and ``serve``."""

import json
import runpy
import shlex
from contextlib import suppress
from pathlib import Path
from string import Template
from typing import Final

import anyio
import rich_click as click

from buyer_agents import MarketClient
from market.cli import keyfile
from market.cli.failures import Failure, reported
from market.cli.options import HANDLE_FORM, is_handle, json_option, url_option, with_client
from market.cli.output import emit, facts, hint, say, silence
from market.protocol.addresses import AddressRefused, target_of
from market.protocol.manifest import load_manifest
from market.protocol.pricing import price_words
from market.protocol.signing import SigningKey
from market.protocol.toml import load_text, read_toml
from market.protocol.wire import ServiceView
from seller_services import Seller, handle_of, load_or_make, log_to_stderr

_PROGRAM: Final = "seller.py"
_MANIFEST: Final = "manifest.toml"
_PROGRAM_TEXT: Final = Template('''\
"""A seller: counts the words of lines. Change the manifest and the handler to sell your own."""

from pathlib import Path

from seller_services import Chunk, Seller

HERE = Path(__file__).parent
seller = Seller(HERE / "manifest.toml", key=HERE / "$name.key")


@seller.handle
def count_words(order):
    for number, line in enumerate(order.input["lines"]):
        # Each yield is one chunk: it is delivered, even if we crash after it.
        yield Chunk({"line": number, "words": len(line.split())}, units=1)


if __name__ == "__main__":
    seller.run()
''')
_MANIFEST_TEXT: Final = Template("""\
manifest = 1
id = "$name"
version = "1.0"
summary = "Count the words of each line of a text."
tags = ["text", "count"]
price = { per = "unit", amount = "0.001", currency = "XTS" }
measure = { unit = "line", counts = "items", of = "lines" }
${reached}limits = { p95_ms = 500, deliver_seconds = 60 }
policies = { refund = "within-window", refund_window_seconds = 3600, data_use = "delivery-only" }

[input]
type = "object"
required = ["lines"]
properties.lines = { type = "array", items = { type = "string" }, minItems = 1, maxItems = 1000 }

[output]
type = "object"
required = ["line", "words"]
properties.line = { type = "integer", minimum = 0 }
properties.words = { type = "integer", minimum = 0 }

[[examples]]
in = { lines = ["to be or not to be"] }
out = { line = 0, words = 6 }
""")

folder_argument = click.argument(
    "folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False)
)


@click.command()
@folder_argument
@click.option("--endpoint", metavar="URL", help="Where the service answers over HTTP, if it does.")
@reported
def new(folder: Path, endpoint: str | None) -> None:
    """Write a seller that runs to DIR: a manifest, ten lines of Python, and a key.

    DIR's name becomes the seller's and the service's name. With --endpoint there is no Python: what
    answers at URL does the work.
    """
    name = _name_of(folder)
    for file in (_PROGRAM, _MANIFEST):
        if (folder / file).exists():
            raise Failure(f"{folder / file} exists; nothing is overwritten", code="file_exists")
    reached = _reached(endpoint)
    folder.mkdir(parents=True, exist_ok=True)
    text = _MANIFEST_TEXT.substitute(name=name, reached=reached)
    (folder / _MANIFEST).write_text(text, "utf-8")
    work = ("✓ endpoint", f"{endpoint}   what works on an order")
    if endpoint is None:
        (folder / _PROGRAM).write_text(_PROGRAM_TEXT.substitute(name=name), "utf-8")
        work = ("✓ program", f"{folder / _PROGRAM}   how it works on an order")
    key = load_or_make(folder / f"{name}.key")
    facts(
        [
            ("✓ manifest", f"{folder / _MANIFEST}   what it sells, for how much"),
            work,
            ("✓ key", f"{folder / name}.key   who it is: agent {key.kid}"),
        ]
    )
    hint("market serve   # in another terminal", f"market seller serve {shlex.quote(str(folder))}")


@click.command()
@folder_argument
@url_option
@json_option
@reported
def register(folder: Path, url: str, as_json: bool) -> None:
    """List the service in DIR at the market, without serving it."""
    path = folder / _MANIFEST
    manifest = load_manifest(path)
    tree = read_toml(load_text(path))
    key_file = _key_in(folder)

    async def act(market: MarketClient) -> ServiceView:
        await market.register(handle_of(key_file), "seller")
        return await market.publish(tree)

    service = with_client(url, key_file, act)
    if as_json:
        emit(service)
        return
    unit = manifest.measure.unit if manifest.measure else "call"
    price = price_words(manifest.price, unit)
    facts(
        [
            ("✓ listed", f"{service.slug} {service.version}, {price}"),
            ("  service", service.id),
            ("  seller", f"{service.seller_handle}, agent {service.seller_id}"),
            ("  manifest", service.manifest_digest),
        ]
    )
    hint(f"market seller serve {shlex.quote(str(folder))}", carry=["--url"])


@click.command()
@folder_argument
@click.option(
    "--loopback-endpoints",
    is_flag=True,
    envvar="MARKET_LOOPBACK_ENDPOINTS",
    help="For development: call an endpoint on this machine, over plain http.",
)
@url_option
@reported
def serve(folder: Path, loopback_endpoints: bool, url: str) -> None:
    """List the service in DIR and work on its orders, until interrupted.

    A seller that is stopped and started again goes on where it was; the same as python seller.py.
    Without a seller.py the endpoint that manifest.toml names does the work, called over HTTP.
    """
    seller = _seller_in(folder, calls_loopback=loopback_endpoints)
    with suppress(KeyboardInterrupt):
        silence()
        anyio.run(_reach, url)
        log_to_stderr()
        anyio.run(_serve, seller, url)


def _seller_in(folder: Path, *, calls_loopback: bool) -> Seller:
    """Return the seller that a folder's program makes, or the gateway to its endpoint."""
    program, manifest = folder / _PROGRAM, folder / _MANIFEST
    if not program.exists() and load_manifest(manifest).endpoint is not None:
        return Seller(manifest, key=_key_in(folder), calls_loopback=calls_loopback)
    made = runpy.run_path(str(program))
    sellers = [value for value in made.values() if isinstance(value, Seller)]
    if len(sellers) != 1:
        raise Failure(f"{program} makes {len(sellers)} sellers, not one", code="no_seller")
    return sellers[0]


async def _reach(url: str) -> None:
    """Return if a market answers there.

    Raises:
        MarketUnreachable: it does not.
    """
    async with MarketClient(url, SigningKey.generate(), patience_seconds=3.0) as market:
        await market.published_keys("/.well-known/jwks.json")


async def _serve(seller: Seller, url: str) -> None:
    def tell(service: ServiceView) -> None:
        say(f"✓ {seller.handle_name} serves {service.slug} at {url}; stop with Ctrl-C")

    await seller.serve_for_good(url, tell, waits_to_be_listed=False)


def _reached(endpoint: str | None) -> str:
    """Return the manifest's line on how the service is reached, or nothing."""
    if endpoint is None:
        return ""
    try:
        target_of(endpoint, calls_loopback=True)
    except AddressRefused as refusal:
        raise Failure(f"--endpoint: {refusal}", code="bad_endpoint") from refusal
    return f"endpoint = {json.dumps(endpoint)}\n"


def _name_of(folder: Path) -> str:
    name = folder.resolve().name.lower().replace("_", "-").replace(" ", "-")
    if not is_handle(name):
        raise Failure(f"{name!r} is no name for a seller: {HANDLE_FORM}", code="bad_name")
    return name


def _key_in(folder: Path) -> Path:
    """Return the one key file of a seller's folder."""
    found = sorted(folder.glob("*.key"))
    if len(found) != 1:
        raise Failure(f"{folder} has {len(found)} key files, not one", code="no_key")
    keyfile.load(found[0])
    return found[0]
