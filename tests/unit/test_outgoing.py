"""The guard before outgoing requests: what it refuses, it sends nothing to."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpcore
import pytest

from market.base import outgoing
from market.base.outgoing import MAX_ANSWER, AddressRefused, NotDelivered, Outgoing
from market.base.settings import Settings
from market.protocol.addresses import is_public

PUBLIC = "93.184.216.34"
PUBLIC_V6 = "2606:2800:220:1:248:1893:25c8:1946"
SANDBOX = Settings(home=Path("unused"))
PRODUCTION = SANDBOX.with_(mode="production")
OUTSIDE = SANDBOX.with_(host="0.0.0.0")
OPEN = OUTSIDE.with_(open_streams=True)

INSIDE = (
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255",
    "192.168.0.1", "169.254.169.254", "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:93.184.216.34", "::127.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b:1::1", "2002:7f00:1::", "2001::1", "2001:db8::1", "2001:20::1", "3fff::1", "fc00::1",
    "fd12::1", "fe80::1", "fec0::1", "ff02::1", "100::1", "5f00::1",
)  # fmt: skip
ODD = (
    "https://2130706433/", "https://0x7f.1/", "https://0x7f000001/", "https://0177.0.0.1/",
    "https://127.1/", "https://127.0.0.1./", "https://hooks.example.com./", "https://localhost/",
    "https://user@hooks.example.com/", "https://user:word@hooks.example.com/", "https://@a.com/",
    "https://hooks.example.com:22/", "https://hooks.example.com:0/", "https://a.com:99999/",
    "https://a.com:x/", "http://hooks.example.com/", "ftp://hooks.example.com/", "file:///etc/passwd",
    "gopher://hooks.example.com/", "//hooks.example.com/", "hooks.example.com", "", "https://",
    "https:///hook", "https://[::1", "https://[fe80::1%25eth0]/", "https://a.com/x\r\nhost: b",
    "https://a.com/\n", "https://a .com/", "https://a.com\\@b.com/", "https://a.com/#part",
    "https://ex%61mple.com/", "https://exämple.com/", "https://a..com/", "https://-a.com/",
    "https://a.com/" + "x" * 2_048, "https://\u2474.com/", "https://\uff11\uff12\uff17.0.0.1/",
    "https://hooks.example.com\u3002/",
)  # fmt: skip


class Wire:
    """Counts what is dialled in place of the operating system."""

    def __init__(self) -> None:
        self.dialled: list[tuple[str, int]] = []

    async def connect_tcp(self, _backend: object, host: str, port: int, *_: Any) -> Any:
        self.dialled.append((host, port))
        raise httpcore.ConnectError("nobody is there")


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire = Wire()

    async def connect_tcp(backend: object, host: str, port: int, *more: Any) -> Any:
        return await wire.connect_tcp(backend, host, port, *more)

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect_tcp)
    return wire


class Names:
    """A resolver that says what it was told to; the last answer stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise socket.gaierror("unknown")
        return found


def guard(settings: Settings = PRODUCTION, *answers: list[str]) -> Outgoing:
    return Outgoing(settings, resolve=Names(*answers or ([PUBLIC],)))


async def send(to: Outgoing, url: str) -> outgoing.Answered:
    return await to.post(url, body=b"{}", headers={})


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("address", INSIDE)
async def test_an_address_inside_is_refused_without_a_packet(address: str, wire: Wire):
    """S1, S16: nothing is dialled, at registration and at each connect."""
    url = f"https://{bracketed(address)}/hook"

    for act in (guard().check(url), send(guard(), url)):
        with pytest.raises(AddressRefused):
            await act

    assert wire.dialled == []


@pytest.mark.parametrize("url", ODD)
async def test_an_odd_address_is_refused_without_a_packet(url: str, wire: Wire):
    """S1, S4, S16: odd numbers, users, dots, schemes, ports, line breaks."""
    for act in (guard().check(url), send(guard(), url)):
        with pytest.raises(AddressRefused):
            await act

    assert wire.dialled == []


@pytest.mark.parametrize("address", INSIDE)
async def test_a_name_that_leads_inside_is_refused_even_among_good_answers(
    address: str, wire: Wire
):
    """S2, S16: all answers must be public."""
    to = guard(PRODUCTION, [PUBLIC, address])

    for act in (to.check("https://hooks.example.com/"), send(to, "https://hooks.example.com/")):
        with pytest.raises(AddressRefused):
            await act

    assert wire.dialled == []


async def test_a_name_that_changes_its_meaning_is_refused_at_the_next_connect(wire: Wire):
    """S2, S16: it is resolved anew, and checked anew."""
    to = guard(PRODUCTION, [PUBLIC], ["127.0.0.1"])
    await to.check("https://hooks.example.com/")

    with pytest.raises(AddressRefused):
        await send(to, "https://hooks.example.com/")

    assert wire.dialled == []


@pytest.mark.parametrize("address", [PUBLIC, PUBLIC_V6])
async def test_the_address_that_was_checked_is_the_one_that_is_dialled(address: str, wire: Wire):
    """S2, S16: the name is asked once."""
    names = Names([address], ["127.0.0.1"])
    to = Outgoing(PRODUCTION, resolve=names)

    with pytest.raises(NotDelivered):
        await send(to, "https://hooks.example.com/hook")

    assert wire.dialled == [(address, 443)]
    assert names.asked == ["hooks.example.com"]


async def test_a_name_that_nobody_knows_may_be_given_and_is_not_called(wire: Wire):
    to = guard(PRODUCTION, [])

    await to.check("https://hooks.example.com/")
    with pytest.raises(NotDelivered):
        await send(to, "https://hooks.example.com/")

    assert wire.dialled == []


@pytest.mark.parametrize("settings", [SANDBOX, OPEN])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.3.4.5"])
async def test_a_sandbox_on_loopback_and_one_open_for_tests_call_loopback(
    settings: Settings, host: str, wire: Wire
):
    to = guard(settings, ["127.0.0.1"])

    await to.check(f"http://{host}:9999/hook")
    with pytest.raises(NotDelivered):
        await send(to, f"http://{host}:9999/hook")

    assert [port for _, port in wire.dialled] == [9999]


@pytest.mark.parametrize("settings", [PRODUCTION, OUTSIDE])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
async def test_any_other_market_does_not(settings: Settings, host: str, wire: Wire):
    with pytest.raises(AddressRefused):
        await send(guard(settings, ["127.0.0.1"]), f"http://{host}:9999/hook")

    assert wire.dialled == []


@pytest.mark.parametrize("url", ["http://10.0.0.1/hook", "http://0.0.0.0/", "http://a.com/"])
async def test_a_sandbox_calls_no_other_address_in_the_clear(url: str, wire: Wire):
    with pytest.raises(AddressRefused):
        await send(guard(SANDBOX), url)

    assert wire.dialled == []


async def test_a_localhost_that_leads_elsewhere_is_refused(wire: Wire):
    with pytest.raises(AddressRefused):
        await send(guard(SANDBOX, ["127.0.0.1", PUBLIC]), "http://localhost/")

    assert wire.dialled == []


async def test_a_proxy_of_the_environment_is_not_asked(wire: Wire, monkeypatch: pytest.MonkeyPatch):
    """S4, S16."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:3128")

    with pytest.raises(NotDelivered):
        await send(guard(), "https://hooks.example.com/hook")

    assert wire.dialled == [(PUBLIC, 443)]


def test_plain_public_addresses_are_public():
    assert all(is_public(ipaddress.ip_address(text)) for text in (PUBLIC, PUBLIC_V6))


class Receiver:
    """A server that answers everybody with the same bytes."""

    def __init__(self, answer: bytes, *, stays: bool = False) -> None:
        self._answer = answer
        self._stays = stays
        self.requests: list[bytes] = []

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self._answer)
        if self._stays:
            await reader.read()
        writer.close()


def said(status: str, body: bytes = b"", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


async def test_an_answer_comes_back_and_asks_for_no_compression():
    receiver = Receiver(said("200 OK", b"fine"))

    async with receiver as url:
        answer = await send(guard(SANDBOX), url)

    assert (answer.status, answer.body) == (200, b"fine")
    assert b"accept-encoding: identity" in receiver.requests[0]


async def test_a_redirect_is_an_answer_and_is_not_followed():
    """S3, S16."""
    inner = Receiver(said("200 OK"))
    async with inner as there, Receiver(said("302 Found", b"", f"location: {there}")) as url:
        answer = await send(guard(SANDBOX), url)

    assert answer.status == 302
    assert inner.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        said("200 OK", b"x" * (MAX_ANSWER + 1)),
        said("200 OK", b"\x1f\x8b\x08", "Content-Encoding: gzip"),
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n" + b"x" * (MAX_ANSWER + 1),
    ],
    ids=["long", "compressed", "endless"],
)
async def test_a_body_that_is_too_long_or_encoded_is_left_unread(answer: bytes):
    """S6, S16."""
    async with Receiver(answer) as url:
        assert (await send(guard(SANDBOX), url)).body is None


@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000],
    ids=["nothing", "another protocol", "huge header"],
)
async def test_what_is_no_http_is_no_answer(answer: bytes):
    async with Receiver(answer) as url:
        with pytest.raises(NotDelivered):
            await send(guard(SANDBOX), url)


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(outgoing, "TOTAL_SECONDS", 0.2)
    return None


@pytest.mark.usefixtures("impatience")
@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", said("200 OK", b"x" * 9)[:-1]])
async def test_a_server_that_takes_its_time_is_left(start: bytes):
    """S5, S16."""
    async with Receiver(start, stays=True) as url:
        with pytest.raises(NotDelivered):
            await send(guard(SANDBOX), url)


async def test_nobody_at_the_other_end_is_no_answer():
    async with Receiver(b"") as url:
        pass

    with pytest.raises(NotDelivered):
        await send(guard(SANDBOX), url)
