"""The servers under load, each in a process of its own: ``python -m bench.servers market``.

``market`` is the product as it is served. ``bare`` is F: one Litestar handler that decodes the
body of an order and answers a small struct, on the same server with the same settings.
"""

import asyncio
import os
import sys

import msgspec
import uvicorn
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server as Granian
from litestar import Litestar, post

from market.app import run
from market.base.settings import Settings
from market.protocol.wire import PlaceOrder


class Placed(msgspec.Struct):
    id: str
    state: str


@post("/v1/orders")
async def place_nothing(data: PlaceOrder) -> Placed:
    """Decode, answer."""
    return Placed(id=data.quote_id, state="placed")


def serve_bare(settings: Settings) -> None:
    """Serve the bare application until the process is ended: it has nothing to put in order."""
    app = Litestar([place_nothing], openapi_config=None, logging_config=None)
    if settings.server == "uvicorn":
        uvicorn.run(app, host=settings.host, port=settings.port, log_config=None, access_log=False)
        return
    server = Granian(
        app,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        log_enabled=False,
        log_access=False,
    )
    asyncio.run(server.serve())


def main() -> None:
    settings = Settings.from_env(os.environ)
    if sys.argv[1] == "market":
        run(settings)
    else:
        serve_bare(settings)


if __name__ == "__main__":
    main()
