"""An export behind an export: only what is new is read, and nothing is missed or left halfway."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from market import analytics, ledger, sessions
from market.analytics import FRAMES, Exported, growing
from market.base.settings import Settings
from market.base.sql import Sql
from market.base.store import Store
from market.base.work import UnitOfWork
from market.catalog.tables import services
from market.protocol.wire import WriteEvent, WriteEvents
from market.sessions import NewEvent
from tests.factories import Town, build_town


def files_in(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in folder.glob("*.parquet")}


def left_in(folder: Path) -> list[Path]:
    return list(folder.glob("*.part"))


async def exported_behind(town: Town, folder: Path) -> Exported:
    """Export behind what is there, and see that an export at once has the same rows."""
    grown = analytics.export(town.store, folder)
    analytics.export(town.store, folder / "anew")
    facts, anew = analytics.open(folder), analytics.open(folder / "anew")
    for name in FRAMES:
        assert facts[name].collect().equals(anew[name].collect()), name
    shutil.rmtree(folder / "anew")
    return grown


async def test_a_second_export_reads_of_the_logs_only_what_is_new(town: Town, tmp_path: Path):
    session_id = (await town.place()).session_id
    for _ in range(4):
        await town.settled()
    first = await exported_behind(town, tmp_path)
    old = files_in(tmp_path)
    note = NewEvent("note.written", town.buyer.id, {"text": "more"})
    await town.store.write(sessions.append, session_id=session_id, events=[note] * 3)

    second = await exported_behind(town, tmp_path)

    logs = ("events", "chunks", "postings", "trust_facts")
    whole = second.read - 3 - (first.read - sum(first.rows[name] for name in logs))
    reread = second.rows["postings"] + second.rows["trust_facts"]
    assert whole <= reread, "of tables without a counter the last thousand rows"
    assert second.rows["events"] == first.rows["events"] + 3
    kept = set(old) & set(files_in(tmp_path))
    assert {name.partition("-")[0] for name in kept} == {"chunks"}


_CURRENCY: Final = Sql(services.update().values(currency="XXX"))


async def test_old_decisions_follow_the_currency_of_the_services_they_weighed(
    town: Town, tmp_path: Path
):
    session_id = (await town.place()).session_id
    option = {"service_id": town.service.id, "slug": "acme-pdf", "amount_minor": 1, "score": 1.0}
    body = {"stage": "finding", "outcome": "advance", "alternatives": [option]}
    await town.store.write(
        sessions.write,
        caller=town.buyer.caller,
        session_id=session_id,
        events=WriteEvents(events=[WriteEvent(kind="decision.made", body=body)]),
    )
    await exported_behind(town, tmp_path)
    await town.store.write(lambda uow: uow.run(_CURRENCY))

    await exported_behind(town, tmp_path)

    decisions = analytics.open(tmp_path).decisions.collect()
    assert decisions["currency"].to_list() == ["XXX"]


async def test_an_export_of_another_store_or_of_a_copy_gone_another_way_is_made_anew(
    sqlite_settings: Settings, tmp_path: Path
):
    store = Store.open(sqlite_settings)
    town = await build_town(store)
    order = await town.place()
    shutil.copytree(sqlite_settings.home, tmp_path / "copy")
    copy = Store.open(Settings(home=tmp_path / "copy"))
    elsewhere = town._replace(store=copy)
    await town.deliver(order, 0)
    await elsewhere.deliver(order, 0, units=2)
    await elsewhere.deliver(order, 1, units=1)
    analytics.export(store, tmp_path / "facts")

    grown = await exported_behind(elsewhere, tmp_path / "facts")

    assert grown.rows["chunks"] == 2
    assert grown.read == sum(
        grown.rows[name] for name in FRAMES if name not in {"stages", "decisions", "sightings"}
    )
    store.close()
    copy.close()


async def test_what_becomes_visible_behind_a_later_row_is_not_missed(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for _ in range(3):
        await town.settled()
    note = tmp_path / "export.json"
    [part] = analytics.export(town.store, tmp_path).parts["postings"]
    # As if a transaction in the middle had not been visible yet when the export was made.
    rows = pl.read_parquet(tmp_path / part.file)
    late = rows["transaction_id"].unique().sort()[2]
    seen = rows.filter(pl.col("transaction_id") != late)
    seen.write_parquet(tmp_path / part.file)
    note.write_text(note.read_text().replace(f'"rows": {rows.height}', f'"rows": {seen.height}'))
    monkeypatch.setattr(growing, "REREAD", 1)

    grown = await exported_behind(town, tmp_path)

    assert grown.rows["postings"] == rows.height


async def test_on_postgresql_a_transaction_that_ends_late_is_in_the_next_export(
    postgres_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(growing, "REREAD", 1)
    store, other = Store.open(postgres_settings), Store.open(postgres_settings)
    town = await build_town(store)
    session_id = (await town.place()).session_id
    seen: list[Exported] = []
    note = NewEvent("note.written", town.buyer.id, {"text": "late"})
    money = {"amount_minor": 5, "currency": "XTS"}

    def slowly(uow: UnitOfWork) -> None:
        """Write; then somebody else does, and an export is made, all before this ends."""
        sessions.append(uow, session_id=session_id, events=[note])
        ledger.mint(uow, agent_id=town.buyer.id, idempotency_key="early", **money)
        other.write_now(ledger.mint, agent_id=town.seller.id, idempotency_key="late", **money)
        seen.append(analytics.export(postgres_settings, tmp_path))

    await store.write(slowly)
    grown = await exported_behind(town, tmp_path)

    assert grown.rows["events"] == seen[0].rows["events"] + 1
    assert grown.rows["postings"] == seen[0].rows["postings"] + 2
    store.close()
    other.close()


async def test_an_export_that_was_cut_off_leaves_what_was_there(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    await town.settled()
    analytics.export(town.store, tmp_path)
    await town.settled()
    for step in range(1, 40):
        monkeypatch.setattr(Path, "replace", cut_at(step))
        with contextlib.suppress(PowerCut):
            analytics.export(town.store, tmp_path)
            break
        monkeypatch.undo()
        assert analytics.open(tmp_path).orders.collect().height == 1

    monkeypatch.undo()
    await exported_behind(town, tmp_path)
    assert step > 10
    assert analytics.open(tmp_path).orders.collect().height == 2
    assert not left_in(tmp_path)


class PowerCut(Exception):
    pass


def cut_at(step: int) -> Callable[[Path, Path], Path]:
    """Rename files until so many are; then the power fails."""
    left = step
    rename = Path.rename

    def replace(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if not left:
            raise PowerCut
        return rename(self, target)

    return replace


async def test_whoever_exports_hears_how_far_it_is(town: Town, tmp_path: Path):
    await town.settled()
    told: list[tuple[int, int]] = []

    exported = analytics.export(town.store, tmp_path, told=lambda *far: told.append(far))

    assert told[-1] == (exported.read, exported.read)
    assert all(done <= of for done, of in told)
