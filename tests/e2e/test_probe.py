"""The audit of anybody's stream: our own market passes, and each broken streamer is named."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import anyio
import httpx
import msgspec
import pytest
from anyio.abc import TaskStatus

from buyer_agents import MarketClient, Shopper, policy_named
from market import probe
from market.base.settings import Settings
from market.probe import NoStream, Probe, Report
from market.protocol.wire import WriteEvent
from seller_services import Chunk, Order
from tests import streamers
from tests.processes import COMMAND, free_port
from tests.town import need, of_kind, open_town, until

LIMIT_SECONDS = 45.0
RUNS = "/runs/{id}/stream"
STARTED = {"start": {"url": "/runs", "take": {"id": "run.id"}}, "workers": {"author": "author"}}
CANCELLED = {"cancel": {"url": "/runs/{id}/cancel"}}
CHAT = {"stream": {"method": "POST", "body": {}}, "resume": {"url": "/chats/{new}"}}
BY_QUERY = {"resume": {"query": "after"}}


def known(**tables: Any) -> Probe:
    """A probe file with short limits."""
    limits = {"quiet_seconds": 1.0, "work_seconds": 8.0}
    return msgspec.convert({"probe": 1, "limits": limits, **tables}, Probe)


async def audited(url: str, environ: dict[str, str] | None = None, **tables: Any) -> Report:
    async with asyncio.timeout(LIMIT_SECONDS):
        return await probe.audit(known(**tables), url, environ=environ or {})


def verdicts(report: Report, verdict: str) -> dict[str, str]:
    return {one.capability: one.seen for one in report.findings if one.verdict == verdict}


def held(report: Report) -> set[str]:
    """What holds, if nothing fails or is unclear."""
    assert verdicts(report, "fails") == verdicts(report, "unclear") == {}, report.findings
    assert (report.modes, report.steps) == ((), ())
    return set(verdicts(report, "holds"))


ALL = set(probe.CAPABILITIES)


async def test_durable_streams_of_somebody_else_have_no_failure_mode():
    async with (
        streamers.http_server(streamers.Runs()) as events,
        streamers.http_server(streamers.Runs(streamers.LINES)) as lines,
        streamers.socket_server(heeds_after=True) as socket,
        streamers.http_server(streamers.Chats(is_aborting=False)) as chats,
    ):
        reports = await asyncio.gather(
            audited(events + RUNS, **STARTED, **CANCELLED),
            audited(lines + RUNS, **STARTED, **CANCELLED, **BY_QUERY),
            audited(socket + "/{new}", **BY_QUERY, workers={"author": "author"}),
            audited(chats + "/chats/{new}", **CHAT),
        )

    assert [held(report) for report in reports] == [
        ALL - {"alive"},
        ALL - {"alive"},
        ALL - {"alive", "cancel", "apart"},
        ALL - {"alive", "cancel", "apart", "workers"},
    ]
    assert [report.transport for report in reports] == ["SSE", "chunked", "WebSocket", "SSE"]
    assert [report.works for report in reports] == [3, 3, 2, 2]
    assert "none lost, none twice" in verdicts(reports[0], "holds")["resume"]


Broken = Callable[[], AbstractAsyncContextManager[str]]
BROKEN: dict[str, tuple[Broken, str, dict[str, Any], str, set[str]]] = {
    "the work is bound to its request": (
        lambda: streamers.http_server(streamers.bound),
        "/stream",
        {},
        "single-connection trap",
        {"disconnect", "resume", "devices", "late", "end"},
    ),
    "a disconnect is a cancel": (
        lambda: streamers.http_server(streamers.Aborting()),
        RUNS,
        STARTED,
        "resume-cancel conflict",
        {"disconnect", "resume", "apart"},
    ),
    "a disconnect is a cancel, beside a cancel": (
        lambda: streamers.http_server(streamers.Aborting()),
        RUNS,
        STARTED | CANCELLED,
        "resume-cancel conflict",
        {"disconnect", "resume", "apart"},
    ),
    "a disconnect is a cancel, unless one resumes": (
        lambda: streamers.http_server(streamers.Chats(is_aborting=True)),
        "/chats/{new}",
        CHAT,
        "resume-cancel conflict",
        {"disconnect", "apart"},
    ),
    "who resumes gets everything again": (
        lambda: streamers.socket_server(heeds_after=False),
        "/{new}",
        BY_QUERY,
        "single-connection trap",
        {"resume"},
    ),
    "an orchestrator relays its workers": (
        lambda: streamers.http_server(streamers.Relaying()),
        RUNS,
        STARTED | CANCELLED,
        "orchestrator relay",
        {"workers"},
    ),
    "who comes after the end waits": (
        lambda: streamers.http_server(streamers.Forgetting(who_comes_later="waits")),
        RUNS,
        STARTED,
        "lost end",
        {"end"},
    ),
    "who comes after the end finds nothing": (
        lambda: streamers.http_server(streamers.Forgetting(who_comes_later="finds nothing")),
        RUNS,
        STARTED | CANCELLED,
        "lost end",
        {"end", "cancel", "apart"},
    ),
}
FIRST_STEPS = {
    "single-connection trap": ("Give the work a life of its own", "Resume behind"),
    "resume-cancel conflict": ("Give the work a life of its own",),
    "orchestrator relay": ("Let the workers write themselves",),
    "lost end": ("Make the end a fact of the log",),
}


async def test_broken_streamers_are_named_rightly():
    reports = dict(zip(BROKEN, await asyncio.gather(*map(audit_of_broken, BROKEN)), strict=True))

    for name, report in reports.items():
        _, _, _, mode, failing = BROKEN[name]
        assert report.modes == (mode,), (name, report.findings)
        assert verdicts(report, "fails").keys() == failing, (name, report.findings)
        assert report.steps[0].title.startswith(FIRST_STEPS[mode])
        told = {row for step in report.steps for row in step.rows}
        assert told == {probe.CAPABILITIES[one] for one in failing}


async def audit_of_broken(name: str) -> Report:
    server, path, tables, _, _ = BROKEN[name]
    async with server() as url:
        return await audited(url + path, **tables)


HOSTILE = {
    streamers.endless_line: "a line is longer than 1,048,576 bytes",
    streamers.huge_frame: "a line is longer than 1,048,576 bytes",
    streamers.garbage: "the connection broke",
    streamers.silent: "no event came in 6 s",
    streamers.squeezed: "the answer is compressed",
    streamers.refusing: "refused with status 403",
}


async def test_what_is_no_stream_is_refused_in_time_and_in_words():
    said = await asyncio.gather(*map(refusal_of, HOSTILE))

    assert all(words in detail for words, detail in zip(HOSTILE.values(), said, strict=True)), said


async def refusal_of(hostile: streamers.Handle) -> str:
    async with streamers.http_server(hostile) as url:
        with pytest.raises(NoStream) as caught:
            await audited(url, limits={"work_seconds": 6.0, "quiet_seconds": 0.5})
    return str(caught.value)


async def test_a_message_over_the_bound_is_refused_on_a_socket():
    async with streamers.huge_message() as url:
        with pytest.raises(NoStream, match="a frame is longer than 1,048,576 bytes"):
            await audited(url)


async def test_a_server_cannot_lead_the_audit_and_its_headers_elsewhere():
    reached: list[str] = []

    async def elsewhere(call: streamers.Call) -> None:
        reached.append(call.path)

    async with (
        streamers.http_server(elsewhere) as other,
        streamers.http_server(streamers.leading_to(other)) as url,
    ):
        stream = {"headers": {"Authorization": "Bearer ${TOKEN}"}}
        environ = {"TOKEN": "very-secret"}
        with pytest.raises(NoStream, match="refused with status 302"):
            await audited(url, environ, stream=stream)
        with pytest.raises(NoStream, match="status 302"):
            await audited(url.replace("http", "ws"), environ, stream=stream)
        start = {"url": "/runs", "take": {"where": "where"}}
        resume = {"url": "{where}", "query": "after"}
        with pytest.raises(NoStream, match="leads to another server"):
            await audited(f"{url}/stream", environ, stream=stream, start=start, resume=resume)

    assert reached == []


async def test_ids_that_cannot_be_sent_back_are_none_and_nothing_strange_is_printed():
    async with streamers.http_server(streamers.strange_ids) as url:
        report = await audited(url)

    assert report.modes == ("single-connection trap",)
    assert "\x1b" not in "".join(one.seen for one in report.findings)


async def test_events_without_an_id_leave_no_known_way_to_resume(tmp_path: Path):
    (tmp_path / "it.toml").write_text("probe = 1\nlimits = { work_seconds = 2, quiet_seconds = 1 }")
    async with streamers.http_server(streamers.nameless) as url:
        said = await command(tmp_path, url, "--probe", "it.toml")

    assert "SSE, no known way to resume; " in said.stdout.decode()


async def test_a_stream_without_an_end_is_left_at_the_bounds():
    limits = {"work_seconds": 5.0, "quiet_seconds": 0.5, "events": 2_000, "reader_bytes": 65_536}
    async with streamers.http_server(streamers.never_ending) as url:
        report = await audited(url, limits=limits)

    assert report.readers * 2_100 > report.events
    assert report.readers * 70_000 > report.bytes_read
    assert "no end came" in verdicts(report, "unclear")["end"]


async def test_an_audit_ends_with_its_time():
    limits = {"total_seconds": 1.0, "work_seconds": 60.0}
    async with streamers.http_server(streamers.Runs()) as url:
        report = await audited(url + RUNS, **STARTED, limits=limits)

    assert 900 < report.took_ms < 2_500
    assert verdicts(report, "not tried")["late"] == "the time of the audit was over"


# Our own market


async def slow_pages(order: Order) -> AsyncIterator[Chunk]:
    for page in order.input["pages"]:
        await anyio.sleep(0.02)
        yield Chunk({"page": page}, units=1)


async def test_our_own_session_with_a_live_order_passes_all_over_server_sent_events(
    sqlite_settings: Settings,
):
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(slow_pages, price="0.001"))
        buyer = await town.client("thrifty")
        overseer = await town.overseer()
        wanted = need(input={"pages": [str(page) for page in range(400)]})
        async with anyio.create_task_group() as group:
            group.start_soon(Shopper(buyer, policy_named("cheapest")).run, wanted)
            session_id = await a_delivery(buyer)
            token = (await overseer.authorization()).removeprefix("Bearer ")
            headers = {"Authorization": "Bearer ${TOKEN}"}
            controls = f"/v1/sessions/{session_id}/controls"
            report = await audited(
                f"{town.url}/v1/sessions/{session_id}/stream",
                {"TOKEN": token},
                stream={"headers": headers},
                events={"id": "offset", "type": "kind", "skip": ["presence.changed"]},
                end={"type": "session.closed"},
                cancel={
                    "url": controls,
                    "headers": headers | {"Idempotency-Key": "{new}"},
                    "body": {"action": "cancel", "scope": "all", "reason": "audited"},
                },
            )

    assert held(report) >= ALL - {"alive", "workers"}
    assert token not in repr(report)


async def a_delivery(buyer: MarketClient) -> str:
    """The session in which the first chunks have come."""
    while True:
        page = await buyer.orders(state="started", limit=1)
        if page.items:
            break
        await anyio.sleep(0.02)
    session_id = page.items[0].session_id
    await until(buyer, session_id, of_kind("delivery.chunk"), count=2)
    return session_id


async def test_our_own_session_with_two_writers_passes_all_over_a_web_socket(
    sqlite_settings: Settings,
):
    async with open_town(sqlite_settings) as town:
        writers = [await town.client("thrifty"), await town.overseer()]
        session_id = (await writers[0].open_session("two at work")).id
        token = (await writers[0].authorization()).removeprefix("Bearer ")
        async with anyio.create_task_group() as group:
            group.start_soon(write_in_turn, writers, session_id)
            report = await audited(
                f"ws{town.url.removeprefix('http')}/v1/sessions/{session_id}/socket",
                {"TOKEN": token},
                stream={"headers": {"Authorization": "Bearer ${TOKEN}"}},
                events={"id": "offset"},
                end={"at": "closed", "is": True},
                workers={"author": "actor_id"},
                **BY_QUERY,
            )

    assert held(report) >= ALL - {"alive", "cancel", "apart"}


async def test_an_idle_session_is_accused_of_nothing(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        writer = await town.client("thrifty")
        session_id = (await writer.open_session("nobody at work")).id
        for number in range(3):
            note = WriteEvent(kind="note.written", body={"text": f"note {number}"})
            await writer.write_events(session_id, [note])
        report = await audited(
            f"{town.url}/v1/sessions/{session_id}/stream",
            {"TOKEN": (await writer.authorization()).removeprefix("Bearer ")},
            stream={"headers": {"Authorization": "Bearer ${TOKEN}"}},
            limits={"work_seconds": 1.5, "quiet_seconds": 0.5},
        )

    unclear = verdicts(report, "unclear")
    assert (report.modes, report.steps) == ((), ()), report.findings
    assert "nothing was under way before the reader left" in unclear["disconnect"]
    assert unclear["apart"] == unclear["disconnect"]
    assert verdicts(report, "holds")["late"].endswith("and nothing came live")


async def write_in_turn(writers: list[MarketClient], session_id: str) -> None:
    """Write notes for some seconds, one here and one there, and close the log."""
    for number in range(110):
        writer = writers[number % len(writers)]
        note = WriteEvent(kind="note.written", body={"text": f"note {number}"})
        await writer.write_events(session_id, [note])
        await anyio.sleep(0.02)
    await writers[0].close_session(session_id)


async def test_our_own_durable_stream_passes_all_by_its_protocol(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        writer = await town.client("thrifty")
        token = (await writer.authorization()).removeprefix("Bearer ")
        url = f"{town.url}/v1/stream/audited"
        async with anyio.create_task_group() as group:
            await group.start(append_in_turn, url, token)
            report = await audited(
                f"{url}?offset=-1&live=sse",
                {"TOKEN": token},
                stream={"headers": {"Authorization": "Bearer ${TOKEN}"}},
                events={"skip": ["control"], "batch": True},
                resume={"query": "offset", "take": "streamNextOffset"},
                end={"at": "streamClosed", "is": True},
                workers={"author": "author"},
            )

    assert held(report) >= ALL - {"alive", "cancel", "apart"}


async def append_in_turn(url: str, token: str, *, task_status: TaskStatus[None]) -> None:
    """Create a stream, let two workers write to it for some seconds, and close it."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
        (await http.put(url)).raise_for_status()
        task_status.started()
        for number in range(110):
            entry = {"author": streamers.WORKERS[number % 2], "number": number}
            (await http.post(url, json=entry)).raise_for_status()
            await anyio.sleep(0.02)
        (await http.post(url, headers={"stream-closed": "true"})).raise_for_status()


# The command


async def command(folder: Path, *args: str, **environ: str) -> CompletedProcess[bytes]:
    with anyio.fail_after(LIMIT_SECONDS):
        return await anyio.run_process(
            [COMMAND, "session", "audit", *args],
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "100", **environ},
            check=False,
        )


FILE = """\
probe = 1
stream = { headers = { Authorization = "Bearer ${STREAM_TOKEN}" } }
start = { url = "/runs", take = { id = "run.id" } }
workers = { author = "author" }
limits = { quiet_seconds = 1 }
"""


async def test_the_command_prints_rows_modes_and_steps_and_exits_with_one(tmp_path: Path):
    (tmp_path / "it.toml").write_text(FILE)
    async with streamers.http_server(streamers.Relaying()) as url:
        args = (url + RUNS, "--probe", "it.toml", "--out", "it.json")
        said = await command(tmp_path, *args, STREAM_TOKEN="very-secret")

    lines = said.stdout.decode().splitlines()
    assert said.returncode == 1, said.stderr
    assert all(len(line) <= 100 for line in lines)
    assert (
        "✗ parallel workers         orchestrator relay  2 authors, 1 change between"
        in said.stdout.decode()
    )
    assert "· cancel says so           not tried           [cancel] names no request" in lines
    assert "1. Let the workers write themselves" in lines
    assert said.stderr.decode().startswith("Next: ")
    kept = json.loads((tmp_path / "it.json").read_text())
    assert kept["modes"] == ["orchestrator relay"]
    assert b"very-secret" not in said.stdout + said.stderr + (tmp_path / "it.json").read_bytes()


async def test_the_command_writes_json_and_exits_with_zero_when_nothing_fails(tmp_path: Path):
    async with streamers.socket_server(heeds_after=True) as url:
        (tmp_path / "it.toml").write_text('probe = 1\nresume = { query = "after" }\n')
        said = await command(tmp_path, url + "/{new}", "--probe", "it.toml", "--json")

    assert said.returncode == 0, said.stdout
    report = json.loads(said.stdout)
    assert [one["capability"] for one in report["findings"]] == list(probe.CAPABILITIES)
    assert report["modes"] == report["steps"] == []


async def test_the_command_exits_with_four_where_nobody_answers(tmp_path: Path):
    said = await command(tmp_path, f"http://127.0.0.1:{free_port()}/", "--json")

    assert said.returncode == 4
    error = json.loads(said.stderr)["error"]
    assert error["code"] == "no_stream"
    assert error["detail"].startswith("nobody answers")
    assert error["hint"] == ""
