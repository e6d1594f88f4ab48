"""Write the tables of ``docs/limits.md`` from the code: ``make reference``.

Each row names the constant or the setting that holds a limit, so that the page cannot say another
number than the code. ``tests/unit/test_limits_page.py`` fails when it is stale, or when a constant
of ``market.faces.http.limits`` is in no row.
"""

import importlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from market.base.settings import Settings

PAGE = Path(__file__).with_name("limits.md")
BEGIN, END = "<!-- limits: begin -->", "<!-- limits: end -->"
HTTP = "market.faces.http.limits"

ROWS: dict[str, list[tuple[str, str, str]]] = {
    "How often": [
        ("requests of an agent and its sub-agents, a second", "settings.requests_per_second",
         "429 `too_many_requests`"),
        ("writes among them, a second", "settings.writes_per_second", "429 `too_many_requests`"),
        ("requests without a known token from one address, a second",
         "settings.visits_per_second", "429 `too_many_requests`"),
        ("seconds' worth of these that may come at once", f"{HTTP}.BURST_SECONDS", ""),
        ("requests beyond them that end or cancel something, or get a token", f"{HTTP}.SPARE",
         "429 `too_many_requests`"),
        ("agents, and addresses, whose rates are remembered", f"{HTTP}.BUCKETS",
         "the oldest begin anew"),
        ("requests of one address that are under way", "settings.requests_at_once",
         "429 `too_many_requests`"),
        ("heavy requests at a time, one for each agent", f"{HTTP}.HEAVY", "they wait"),
        ("heavy requests of one agent that wait", f"{HTTP}.HEAVY_WAITING",
         "429 `too_many_requests`"),
        ("checkpoints signed for one agent on demand, a minute", f"{HTTP}.CHECKPOINTS_PER_MINUTE",
         "429 `too_often`"),
        ("frames from one WebSocket, a minute", f"{HTTP}.FRAMES_PER_MINUTE", "close 1008"),
        ("answers at the end of a closed stream to one client, a second",
         "market.faces.streams.spinning.TOLERATED", "429 `end_reached`"),
        ("units of work that wait for the writer", "settings.queue_limit", "503 `overloaded`"),
    ],
    "How much at once": [
        ("body, bytes", f"{HTTP}.BODY", "413 `content_too_large`"),
        ("body with a service's input or output, bytes", f"{HTTP}.INPUT_BODY",
         "413 `content_too_large`"),
        ("content for a raw stream, bytes", f"{HTTP}.STREAM_BODY", "413 `content_too_large`"),
        ("bodies received and worked on in one process, bytes", f"{HTTP}.HELD",
         "503 `overloaded`"),
        ("those of one agent or address, bytes", f"{HTTP}.HELD_PER_SENDER",
         "429 `too_many_requests`"),
        ("bytes of both that long bodies leave to short ones", f"{HTTP}.HELD_FOR_SMALL",
         "429 or 503"),
        ("bytes of a refused body that are read and thrown away", f"{HTTP}.DISCARD",
         "the connection is reset"),
        ("headers", f"{HTTP}.HEADERS", "431 `headers_too_large`"),
        ("header block, bytes", f"{HTTP}.HEADER_BYTES", "400 or 431, by the server"),
        ("bearer token, characters", f"{HTTP}.TOKEN", "401"),
        ("query, bytes", f"{HTTP}.QUERY", "400 `invalid_parameter`"),
        ("parameters of a query", f"{HTTP}.QUERY_FIELDS", "400 `invalid_parameter`"),
        ("query with repeated parameters, bytes", f"{HTTP}.LONG_QUERY", "400 `invalid_parameter`"),
        ("repeated parameters", f"{HTTP}.REPEATED", "400 `invalid_parameter`"),
        ("items of a page", "market.base.paging.MAX_LIMIT", "400 `invalid_parameter`"),
        ("frame of a WebSocket, bytes", f"{HTTP}.FRAME", "close 1009"),
        ("JSON, levels deep", "market.protocol.canonical.MAX_DEPTH", "422 `invalid_body`"),
        ("signed text (compact JWS), characters", "market.protocol.signing.MAX_TOKEN", "refused"),
        ("access tokens that are remembered", f"{HTTP}.CALLERS", "the oldest is checked anew"),
    ],
    "How long": [
        ("a body may take to arrive, seconds", f"{HTTP}.BODY_SECONDS", "408 `body_too_slow`"),
        ("a header block may take, seconds", f"{HTTP}.HEADER_SECONDS", "the connection is closed"),
        ("a connection is kept on which nothing is asked, seconds", f"{HTTP}.IDLE_SECONDS",
         "the connection is closed"),
        ("a request may take, seconds", f"{HTTP}.REQUEST_SECONDS", "503 `request_timed_out`"),
        ("a statement that only reads may take, seconds",
         "market.base.database.STATEMENT_SECONDS", "503 `query_timed_out`"),
        ("a long poll waits, seconds", f"{HTTP}.WAIT_SECONDS", "an empty page"),
        ("a live stream is silent, seconds", f"{HTTP}.HEARTBEAT_SECONDS", "a sign of life"),
        ("a reader may take nothing, seconds", f"{HTTP}.STALL_SECONDS", "its stream is cut"),
        ("an access token lives, seconds", "market.identity.TOKEN_SECONDS", "401"),
        ("clocks may differ, seconds", "market.base.caller.CLOCK_SKEW_SECONDS", "401"),
        ("a delegation lives, seconds", "market.identity.MAX_DELEGATION_SECONDS", "refused"),
        ("an answer is kept for repeats with its key", "market.base.once.KEEP", "it is done anew"),
    ],
    "How many are open": [
        ("connections to one process", f"{HTTP}.CONNECTIONS", "they wait, or 503"),
        ("live streams of one agent", f"{HTTP}.STREAMS_PER_AGENT", "429 `too_many_streams`"),
        ("those of them that its sub-agents leave it", f"{HTTP}.STREAMS_KEPT",
         "429 `too_many_streams`"),
        ("live streams in one process", f"{HTTP}.STREAMS", "429 `too_many_streams`"),
        ("sessions followed by one feed", "market.sessions.MAX_FOLLOWED", "refused"),
        ("bytes that wait in memory for one reader", "market.base.hub.MAX_BUFFER",
         "it reads from the log"),
    ],
    "How much one agent may have (`GET /v1/quota`)": [
        ("open sessions", "settings.max_open_sessions", "429 `quota_exceeded`"),
        ("quotes not taken up", "settings.max_open_quotes", "429 `quota_exceeded`"),
        ("services", "settings.max_services", "429 `quota_exceeded`"),
        ("messages not acknowledged, before nobody can order from it", "settings.max_inbox",
         "429 `quota_exceeded`"),
        ("notes", "market.memory.MAX_NOTES", "429 `memory_full`"),
        ("note, bytes", "market.memory.MAX_NOTE", "413 or 422"),
        ("notes together, bytes", "settings.max_note_bytes", "429 `quota_exceeded`"),
        ("raw streams", "settings.max_streams", "429 `quota_exceeded`"),
        ("raw streams together, bytes", "settings.max_stream_bytes", "429 `quota_exceeded`"),
        ("producers of one log", "market.base.streams.MAX_PRODUCERS", "429 `quota_exceeded`"),
        ("subscriptions", "market.rawstreams.MAX_SUBSCRIPTIONS", "429 `too_many_subscriptions`"),
        ("streams of one subscription", "market.rawstreams.MAX_LINKS",
         "429 `too_many_subscriptions`"),
        ("delegations in force", "market.identity.MAX_DELEGATIONS", "429 `too_many_delegations`"),
        ("keys in all its life", "market.identity.MAX_KEYS", "429 `too_many_keys`"),
    ],
    "One log, one order": [
        ("event of a session, bytes", "market.sessions.MAX_EVENT_BYTES", "422 `bad_event`"),
        ("events of a session", "market.sessions.writing.MAX_EVENTS", "429 `session_full`"),
        ("input of a request, bytes", "market.catalog.MAX_INPUT", "422 `input_too_long`"),
        ("manifest, bytes", "market.protocol.manifest.MAX_MANIFEST", "refused"),
        ("disk room kept for cancelling and closing, bytes", "settings.disk_reserve_bytes",
         "503 `storage_full`"),
    ],
    "What the market calls (webhooks)": [
        ("connecting, seconds", "market.protocol.dialling.CONNECT_SECONDS", "tried again later"),
        ("the whole call, seconds", "market.base.outgoing.TOTAL_SECONDS", "tried again later"),
        ("answer that is read, bytes", "market.base.outgoing.MAX_ANSWER", "taken as not done"),
        ("address, characters", "market.protocol.addresses.MAX_URL", "400 `webhook_url_rejected`"),
        ("webhooks tried at a time", "market.faces.streams.courier.AT_ONCE", "they wait"),
    ],
    "What a seller's gateway calls (endpoints)": [
        ("connecting, seconds", "market.protocol.dialling.CONNECT_SECONDS", "the order fails"),
        ("head of the answer, and each pause in it, seconds",
         "seller_services.gateway.WAIT_SECONDS", "the order fails"),
        ("line (chunk) of an answer, bytes", "seller_services.gateway.MAX_LINE", "the order fails"),
        ("answer, bytes", "seller_services.gateway.MAX_BYTES", "the order fails"),
        ("failures in a row", "seller_services.breaking.FAILURES",
         "orders fail at once for a while"),
        ("that while, seconds", "seller_services.breaking.REST_SECONDS", "then one order tries"),
    ],
    "Files on the command line": [
        ("TOML file (manifest, scenario), bytes", "market.protocol.toml.MAX_TOML", "refused"),
        ("file beside a scenario, bytes", "scenarios.engine.files.MAX_FILE", "refused"),
        ("runs of a sweep", "scenarios.engine.sweeping.MAX_RUNS", "refused"),
        ("line of a kept log, bytes", "market.cli.auditlog.MAX_LINE", "refused"),
    ],
}  # fmt: skip


def tables() -> str:
    """Return the page's tables."""
    parts = []
    for title, rows in ROWS.items():
        lines = ["| what | limit | beyond it | where it is set |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {what} | {limit(what, name)} | {beyond} | `{label(name)}` |"
            for what, name, beyond in rows
        ]
        parts.append(f"## {title}\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def value_of(name: str) -> Any:
    """Return what a constant, or a setting by default, is."""
    module, _, attribute = name.rpartition(".")
    if module == "settings":
        return getattr(Settings(), attribute)
    return getattr(importlib.import_module(module), attribute)


def limit(what: str, name: str) -> str:
    """Return a limit as people read it."""
    return shown(value_of(name), is_size="bytes" in what)


def label(name: str) -> str:
    """Return the name under which people find a limit."""
    module, _, attribute = name.rpartition(".")
    return f"MARKET_{attribute.upper()}" if module == "settings" else name


def shown(value: Any, *, is_size: bool) -> str:
    """Return a number, or a number of bytes, as people read it."""
    if isinstance(value, timedelta):
        return f"{value.days} days"
    for size, unit in ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB")):
        if is_size and value >= size and value % size == 0:
            return f"{value // size} {unit}"
    return f"{value:,g}" if isinstance(value, float) else f"{value:,}"


def names() -> Iterator[str]:
    """Yield the name of every limit on the page."""
    for rows in ROWS.values():
        for _, name, _ in rows:
            yield name


def page() -> str:
    """Return the page with its tables made anew."""
    text = PAGE.read_text("utf-8")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
