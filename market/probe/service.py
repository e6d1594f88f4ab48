"""One audit, from a probe file to its report."""

from collections.abc import Mapping

import msgspec

from market.probe.advice import Step, migration
from market.probe.filling import Secrets, variables_in
from market.probe.findings import Finding, Mode, modes_of
from market.probe.form import Probe
from market.probe.observed import Observed
from market.probe.trials import NoStream, Tell, watch
from market.probe.verdicts import findings


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit says of a stream.

    ``modes`` are the ways in which it fails its readers, the most frequent first.
    """

    url: str
    transport: str
    resumes_by: str
    modes: tuple[Mode, ...]
    findings: tuple[Finding, ...]
    steps: tuple[Step, ...]
    readers: int
    works: int
    events: int
    bytes_read: int
    took_ms: int


async def audit(
    probe: Probe, url: str, *, environ: Mapping[str, str], tell: Tell = lambda _: None
) -> Report:
    """Probe the stream at ``url`` live and report on it, within the file's bounds.

    ``tell`` hears, before each trial, what is tried.
    Values of ``environ`` that the file names go into requests; they are in no report or message.

    Raises:
        NoStream: there is nothing to audit.
    """
    names = set(variables_in([url, msgspec.to_builtins(probe)]))
    secrets = Secrets(environ[name] for name in names)
    try:
        seen = await watch(probe, url, environ, tell)
    except NoStream as error:
        detail = secrets.hidden(str(error))
        raise NoStream(detail, is_reached=error.is_reached) from None
    return report_on(url, seen, secrets)


def report_on(url: str, seen: Observed, secrets: Secrets) -> Report:
    """Return what was seen as a report."""
    found = [msgspec.structs.replace(one, seen=secrets.hidden(one.seen)) for one in findings(seen)]
    return Report(
        url=url,
        transport=seen.transport,
        resumes_by=seen.way,
        modes=tuple(modes_of(found)),
        findings=tuple(found),
        steps=tuple(migration(found, transport=seen.transport, stated=seen.stated)),
        readers=seen.readers,
        works=seen.works,
        events=seen.events,
        bytes_read=seen.bytes_read,
        took_ms=round(seen.took_ms),
    )
