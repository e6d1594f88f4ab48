"""Published manifests made ready for use: decoded, with compiled schemas.

A manifest is addressed by its digest and never changes, so what is made of it is kept for the
next request, and two markets in one process may share it.
"""

from threading import Lock
from typing import Final, NamedTuple

import jsonschema_rs
import msgspec
from sqlalchemy import bindparam, select

from market.base.sql import Sql
from market.base.work import Snapshot
from market.catalog.errors import ServiceNotFound
from market.catalog.tables import manifests
from market.protocol.manifest import Manifest, compile_schema

MAX_KEPT: Final = 512
"""Contracts kept in memory; beyond these the oldest goes."""

_FIND: Final = Sql(
    select(manifests.c.manifest).where(manifests.c.digest == bindparam("manifest_digest"))
)


class Contract(NamedTuple):
    """A manifest and the checkers of what goes in and what comes out."""

    manifest: Manifest
    input: jsonschema_rs.Validator
    output: jsonschema_rs.Validator


_kept: Final[dict[str, Contract]] = {}
_lock: Final = Lock()


def contract_of(snapshot: Snapshot, *, manifest_digest: str) -> Contract:
    """Return the contract of a published version, compiled once per process.

    Raises:
        ServiceNotFound: no manifest of this digest was published.
    """
    contract = _kept.get(manifest_digest)
    if contract is not None:
        return contract
    row = snapshot.one(_FIND, manifest_digest=manifest_digest)
    if row is None:
        raise ServiceNotFound("No manifest with this digest was published.")
    manifest = msgspec.convert(row.manifest, Manifest)
    contract = Contract(
        manifest,
        compile_schema(manifest.input, "input"),
        compile_schema(manifest.output, "output"),
    )
    with _lock:
        if len(_kept) >= MAX_KEPT:
            del _kept[next(iter(_kept))]
        _kept[manifest_digest] = contract
    return contract


def manifest_of(snapshot: Snapshot, *, manifest_digest: str) -> Manifest:
    """Return a published version of a manifest."""
    return contract_of(snapshot, manifest_digest=manifest_digest).manifest


def output_checker(snapshot: Snapshot, *, manifest_digest: str) -> jsonschema_rs.Validator:
    """Return the compiled schema that every delivered chunk must fit."""
    return contract_of(snapshot, manifest_digest=manifest_digest).output
