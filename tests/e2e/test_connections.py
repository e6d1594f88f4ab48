"""More waiting readers than a server's usual limit of connections."""

import socket
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.processes import MarketProcess

READERS = 1_100
"""More than either server lets in unless told otherwise."""

LIMIT_SECONDS = 20.0


@pytest.mark.parametrize("server", ["granian", "uvicorn"])
def test_waiting_readers_shut_nobody_out(tmp_path: Path, server: str):
    with (
        MarketProcess(tmp_path, server=server, open_streams="true") as process,
        ExitStack() as readers,
        httpx.Client(base_url=process.url, trust_env=False, timeout=LIMIT_SECONDS) as http,
    ):
        http.put("/v1/stream/crowded", headers={"content-type": "text/plain"}).raise_for_status()
        waiting = [readers.enter_context(reader(process.port)) for _ in range(READERS)]

        assert all(each.recv(15) == b"HTTP/1.1 200 OK" for each in waiting)
        assert http.get("/healthz").is_success


def reader(port: int) -> socket.socket:
    """Follow the stream, and keep the line."""
    line = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS)
    line.sendall(b"GET /v1/stream/crowded?offset=now&live=sse HTTP/1.1\r\nhost: localhost\r\n\r\n")
    return line
