"""The head of a report: which market this is, and how far to trust what follows."""

from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from market import analytics
from market.analytics import Facts
from market.report.forms import Head, Proof
from market.report.runs import Run, Sweep, left_out, was_killed
from market.report.words import share

_NOT_COUNTED: Final = frozenset({"began_at", "ended_at", "currencies"})


def head_of(
    facts: Facts,
    *,
    source: str,
    place: str,
    run: Run | None,
    sweep: Sweep | None,
    proof: Proof | None,
) -> Head:
    """Return the head of the market at ``place``, which is that of ``source``.

    ``proof`` is of the store now, a run brings that of its end.
    """
    seen = analytics.overview(facts).to_dicts()[0]
    if run is not None and proof is None:
        proven = run.proven
        proof = Proof(
            findings=run.findings,
            postings=proven.postings,
            events=proven.events,
            receipts=proven.receipts,
        )
    return Head(
        name=run.name if run else _name_of(source),
        source=_shown(source),
        seed=run.seed if run else None,
        began_at=seen["began_at"],
        ended_at=seen["ended_at"],
        counts={name: count for name, count in seen.items() if name not in _NOT_COUNTED},
        settings=_settings(facts, seen) | ({"Settings": run.settings()} if run else {}),
        partial=_partial(place, run, sweep),
        note=_note(place, sweep) if sweep else _untested(run),
        expectations=run.expectations if run else [],
        proof=proof,
    )


def _partial(place: str, run: Run | None, sweep: Sweep | None) -> str:
    """Return why there is not all that there will be; "" if there is."""
    said = []
    if sweep and sweep.left:
        runs = f"{len(sweep.left):,} of {len(sweep.runs):,} runs"
        said.append(f"{runs} of this sweep are left to be played.")
    if was_killed(place):
        said.append("This run was killed, or is being played.")
    if run and run.is_interrupted:
        said.append("This run was interrupted before its end.")
    elif run and not run.is_over:
        said.append("This run ended before every journey was over.")
    return f"{' '.join(said)} The report is partial." if said else ""


def _note(place: str, sweep: Sweep) -> str:
    first = Path(place).relative_to(sweep.place)
    skipped = left_out(sweep.bad(sweep.runs).values(), len(sweep.runs))
    which = f"{first}, which tested nothing" if str(first) in sweep.bad(sweep.runs) else first
    return (
        f"{len(sweep.runs):,} runs of one scenario. Replicas compares them; everything else is"
        f" about one of them, {which}. {skipped}"
    ).rstrip()


def _untested(run: Run | None) -> str:
    """Return a warning of a run that says nothing about its story; "" of any other."""
    why = run.untested() if run else ""
    return (
        f"This run tested nothing, so what follows is no answer to its story: {why}." if why else ""
    )


def _shown(source: str) -> str:
    """Return a source as it may be shown to anybody: an address without its user and password."""
    if "://" not in source:
        return source
    address = urlsplit(source)
    return f"{address.scheme}://{address.hostname or ''}{address.path}"


def _name_of(source: str) -> str:
    """Return what a source without a name is called: by its folder, or by its database."""
    if "://" in source:
        return urlsplit(source).path.strip("/") or "market"
    return Path(source).resolve().name


def _settings(facts: Facts, seen: dict[str, Any]) -> dict[str, str]:
    settings = {"Currency": ", ".join(seen["currencies"])}
    paid = facts.orders.select("captured_minor", "fee_minor").sum().collect()
    captured, fee = paid["captured_minor"][0], paid["fee_minor"][0]
    if captured:
        settings["Fees"] = f"{share(fee / captured)} of what was paid"
    return {name: value for name, value in settings.items() if value}
