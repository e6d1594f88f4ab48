"""What may be wrong with a probe file that is of its form."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from market.probe.filling import NEW, Blanks, places_in, variables_in
from market.probe.form import MarkPart, Probe

POSITION = "position"


class Trouble(NamedTuple):
    """One mistake: where in the file, what it is, what to do about it."""

    path: tuple[str | int, ...]
    detail: str
    hint: str = ""


def troubles(probe: Probe, url: str, environ: Mapping[str, str]) -> Iterator[Trouble]:
    """Yield what is wrong, in the order of the form."""
    yield from _address(url)
    yield from _variables(probe, url, environ)
    yield from _headers(probe, environ)
    yield from _places(probe, url)
    yield from _resume(probe)
    for name, mark in (("end", probe.end), ("cancel", probe.cancel and probe.cancel.shows)):
        if isinstance(mark, MarkPart):
            yield from _mark((name,) if name == "end" else (name, "shows"), mark)


def _address(url: str) -> Iterator[Trouble]:
    try:
        parts = urlsplit(url)
        is_somewhere = bool(parts.hostname) and parts.port != 0
        has_password = bool(parts.username or parts.password)
    except ValueError:
        is_somewhere = has_password = False
    if not is_somewhere:
        yield Trouble((), f"{url!r} is no address")
    elif has_password:
        hint = 'headers = { Authorization = "Bearer ${TOKEN}" } in [stream]'
        yield Trouble((), "the URL carries a password, which would be printed", hint)


def _variables(probe: Probe, url: str, environ: Mapping[str, str]) -> Iterator[Trouble]:
    asked: list[tuple[tuple[str, ...], Any]] = [((), url)]
    asked += [((table,), part) for table, part in msgspec.to_builtins(probe).items()]
    for path, template in asked:
        for name in sorted(set(variables_in(template))):
            if name not in environ:
                yield Trouble(path, f"the environment has no {name}", f"export {name}=...")


def _headers(probe: Probe, environ: Mapping[str, str]) -> Iterator[Trouble]:
    """Yield the headers that cannot be sent; their values may be secrets, and are not shown."""
    blanks = Blanks(environ, {})
    for table, part in (("stream", probe.stream), ("start", probe.start), ("cancel", probe.cancel)):
        if part is not UNSET:
            for name, value in part.headers.items():
                filled = blanks.text(value)
                if not (filled.isascii() and filled.isprintable()):
                    hint = "one line of ASCII"
                    yield Trouble((table, "headers", name), f"the value of {name} is none", hint)


def _places(probe: Probe, url: str) -> Iterator[Trouble]:
    known = {NEW} | (set(probe.start.take) if probe.start else set())
    asked: list[tuple[tuple[str, ...], str]] = [((), url)]
    if probe.start:
        asked.append((("start", "url"), probe.start.url))
    if probe.resume and probe.resume.url:
        asked.append((("resume", "url"), probe.resume.url))
    if probe.cancel:
        asked.append((("cancel", "url"), probe.cancel.url))
    for path, text in asked:
        for name in places_in(text):
            if name not in known:
                hint = f'[start] with take = {{ {name} = "..." }} would'
                yield Trouble(path, f"nothing says what {{{name}}} is", hint)


def _resume(probe: Probe) -> Iterator[Trouble]:
    resume = probe.resume
    if resume is UNSET:
        return
    ways = [one for one in (resume.header, resume.query, resume.message) if one is not UNSET]
    if len(ways) > 1:
        yield Trouble(("resume",), "a reader resumes in one way", "header, query or message")
    if not ways and resume.url is UNSET:
        hint = "header, query or message says it"
        yield Trouble(("resume",), "resume does not say how a reader resumes", hint)
    if resume.message is not UNSET and POSITION not in places_in(resume.message):
        yield Trouble(("resume", "message"), "resume.message has no {position} in it")


def _mark(path: tuple[str, ...], mark: MarkPart) -> Iterator[Trouble]:
    name = ".".join(path)
    if mark.type is mark.text is mark.at is UNSET:
        yield Trouble(path, f"{name} marks nothing", "type, text or at says it")
    if mark.is_ is not UNSET and mark.at is UNSET:
        yield Trouble(path, f"{name}.is is said of no member", "at says which")
