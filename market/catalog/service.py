"""Verbs of the catalog: publish, withdraw, read, and hide what a suspended seller offers."""

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, select, update

from market import identity, trust
from market.base.caller import Caller, Signed
from market.base.clock import parse_rfc3339, rfc3339
from market.base.settings import Settings
from market.base.sql import Sql, insert, insert_ignore
from market.base.work import Snapshot, UnitOfWork
from market.catalog.counting import need_room_for_service
from market.catalog.errors import (
    BadManifestRefused,
    PublishedMeanwhile,
    SellersOnly,
    ServiceNotFound,
    ServiceTaken,
    VersionNotHigher,
)
from market.catalog.freezing import FROZEN, frozen_since
from market.catalog.ranking import index_words
from market.catalog.tables import manifests, services
from market.protocol.commitments import ManifestClaims
from market.protocol.manifest import (
    BadManifest,
    Manifest,
    check_endpoint,
    check_manifest,
    manifest_digest,
)
from market.protocol.wire import ServiceView, TrustView

_OFFER_NAMES: Final = (
    "version", "manifest_digest", "summary", "tags", "price_per", "unit", "amount_minor",
    "currency", "p95_ms", "refund", "named_words", "summary_words", "prose_words",
    "published_at", "price_until",
)  # fmt: skip

_FIND_SLUG: Final = Sql(
    select(
        services.c.id, services.c.seller_id, services.c.version, services.c.manifest_digest,
        services.c.price_per, services.c.unit, services.c.amount_minor, services.c.state,
    ).where(services.c.slug == bindparam("slug"))
)  # fmt: skip
_FIND: Final = Sql(
    select(
        services.c.id, services.c.slug, services.c.seller_id, services.c.seller_handle,
        services.c.version, services.c.manifest_digest, services.c.published_at,
        manifests.c.manifest, manifests.c.jws,
    )
    .join(manifests, manifests.c.digest == services.c.manifest_digest)
    .where(services.c.id == bindparam("service_id"))
)  # fmt: skip
_NAME: Final = Sql(
    select(services.c.slug, services.c.seller_id).where(services.c.id == bindparam("service_id"))
)
_ADD_SERVICE: Final = Sql(insert_ignore(services, omit=("number",)))
_ADD_MANIFEST: Final = Sql(insert(manifests))
_REPLACE: Final = Sql(
    update(services)
    .where(
        services.c.id == bindparam("service_id"),
        services.c.manifest_digest == bindparam("previous_digest"),
    )
    .values({name: bindparam(f"new_{name}", type_=services.c[name].type) for name in _OFFER_NAMES})
)
_CHANGE_STATE: Final = Sql(
    update(services)
    .where(services.c.id == bindparam("service_id"), services.c.state == bindparam("from_state"))
    .values(state=bindparam("to_state"))
)
_CHANGE_SELLER_STATE: Final = Sql(
    update(services)
    .where(
        services.c.seller_id == bindparam("of_seller"), services.c.state == bindparam("from_state")
    )
    .values(state=bindparam("to_state"))
)


def publish(uow: UnitOfWork, *, caller: Caller, signed: Signed[ManifestClaims]) -> ServiceView:
    """List a service, or a new version of it, under the manifest's id.

    The id belongs to the seller that published it first. Publishing the current version again
    changes nothing (but lists a withdrawn service again); any other version must be higher, part
    by part: 1.10 is above 1.9, and 1 is 1.0.

    Raises:
        SellersOnly: the caller is no seller.
        BadManifestRefused: the manifest is wrong, or priced in another currency.
        ServiceTaken: another seller holds the id.
        QuotaExceeded: the caller has as many services as it may.
        VersionNotHigher: it is not above the published version.
        PublishedMeanwhile: another worker published under this id at the same moment.
    """
    caller.need("publish")
    if caller.kind != "seller":
        raise SellersOnly(f"The caller is registered as a {caller.kind}.")
    tree = signed.claims.manifest
    manifest = _checked(tree, uow.settings)
    digest = manifest_digest(tree)
    listed = uow.one(_FIND_SLUG, slug=manifest.id)
    if listed is not None and listed.seller_id != caller.agent_id:
        raise ServiceTaken(f"The id '{manifest.id}' belongs to another seller.", slug=manifest.id)
    if listed is not None and listed.manifest_digest == digest:
        _change_state(uow, listed.id, "withdrawn", "listed")
        return service(uow, service_id=listed.id)
    offer = _offer_columns(uow, manifest, digest)
    if listed is None:
        need_room_for_service(uow, caller.agent_id)
        service_id = _add(uow, caller, manifest.id, offer)
    else:
        service_id = listed.id
        _replace(uow, listed, manifest, offer)
        _change_state(uow, service_id, "withdrawn", "listed")
    uow.run(
        _ADD_MANIFEST,
        digest=digest,
        service_id=service_id,
        version=manifest.version,
        manifest=tree,
        jws=signed.token,
        published_at=uow.now,
    )
    return service(uow, service_id=service_id)


def withdraw(uow: UnitOfWork, *, caller: Caller, service_id: str) -> ServiceView:
    """Offer a service no more: search leaves it out and its open quotes cannot be redeemed.

    Orders that run are not touched. A repeat changes nothing; publishing lists it again.

    Raises:
        ServiceNotFound: there is none of the caller's under this id.
    """
    caller.need("publish")
    found = service(uow, service_id=service_id)
    if found.seller_id != caller.agent_id:
        raise ServiceNotFound("There is no service of yours under this id.")
    _change_state(uow, service_id, "listed", "withdrawn")
    return found


def suspend_seller(uow: UnitOfWork, *, seller_id: str) -> int:
    """Hide everything that a suspended seller offers; return how many services that was."""
    return uow.run(
        _CHANGE_SELLER_STATE, of_seller=seller_id, from_state="listed", to_state="suspended"
    )


def reinstate_seller(uow: UnitOfWork, *, seller_id: str) -> int:
    """Offer again what ``suspend_seller`` hid; return how many services that was."""
    return uow.run(
        _CHANGE_SELLER_STATE, of_seller=seller_id, from_state="suspended", to_state="listed"
    )


def service(snapshot: Snapshot, *, service_id: str) -> ServiceView:
    """Return a service in its current version, also one that is no longer offered.

    Raises:
        ServiceNotFound: there is none.
    """
    row = snapshot.one(_FIND, service_id=service_id)
    if row is None:
        raise ServiceNotFound("There is no service under this id.")
    return ServiceView(
        id=row.id,
        slug=row.slug,
        seller_id=row.seller_id,
        seller_handle=row.seller_handle,
        version=row.version,
        manifest=row.manifest,
        manifest_digest=row.manifest_digest,
        manifest_jws=row.jws,
        published_at=rfc3339(row.published_at),
    )


def trust_report(snapshot: Snapshot, *, service_id: str) -> TrustView:
    """Return what the market knows of a service's seller.

    Raises:
        ServiceNotFound: there is no such service.
    """
    row = snapshot.one(_NAME, service_id=service_id)
    if row is None:
        raise ServiceNotFound("There is no service under this id.")
    seller = identity.agent(snapshot, agent_id=row.seller_id)
    report = trust.report(
        snapshot,
        service_id=service_id,
        slug=row.slug,
        seller_id=row.seller_id,
        registered_at=seller.registered_at,
    )
    if frozen_since(snapshot, seller_id=row.seller_id) is None:
        return report
    return msgspec.structs.replace(report, flags=[*report.flags, FROZEN])


def _checked(tree: dict[str, Any], settings: Settings) -> Manifest:
    try:
        manifest = check_manifest(tree)
        check_endpoint(manifest, calls_loopback=settings.loopback_endpoints)
    except BadManifest as error:
        raise BadManifestRefused(f"The manifest is refused: {error}.") from error
    if manifest.price.currency != settings.currency:
        raise BadManifestRefused(f"price.currency: this market trades in {settings.currency}.")
    return manifest


def _offer_columns(uow: UnitOfWork, manifest: Manifest, digest: str) -> dict[str, Any]:
    return {
        "version": manifest.version,
        "manifest_digest": digest,
        "summary": manifest.summary,
        "tags": manifest.tags,
        "price_per": manifest.price.per,
        "unit": manifest.measure.unit if manifest.measure else None,
        "amount_minor": manifest.compared_minor(),
        "currency": manifest.price.currency,
        "p95_ms": manifest.limits.p95_ms,
        "refund": manifest.policies.refund,
        "published_at": uow.now,
        "price_until": _price_until(uow, manifest),
        **index_words(manifest)._asdict(),
    }


def _price_until(uow: UnitOfWork, manifest: Manifest) -> datetime | None:
    """Return when the price of a version that is published now runs out."""
    price = manifest.price
    ends = []
    if price.valid_until is not None:
        try:
            ends.append(parse_rfc3339(price.valid_until))
        except ValueError as error:
            raise BadManifestRefused("price.valid_until is no day of the calendar.") from error
    if price.valid_seconds is not None:
        ends.append(uow.now + timedelta(seconds=price.valid_seconds))
    until = min(ends, default=None)
    if until is not None and until <= uow.now:
        raise BadManifestRefused("price.valid_until has passed: nobody could buy.")
    return until


def _add(uow: UnitOfWork, caller: Caller, slug: str, offer: dict[str, Any]) -> str:
    service_id = uow.new_id("svc")
    is_added = uow.run(
        _ADD_SERVICE,
        id=service_id,
        slug=slug,
        seller_id=caller.agent_id,
        seller_handle=caller.handle,
        seller_principal_id=caller.principal_id,
        state="listed",
        **offer,
    )
    if not is_added:
        raise PublishedMeanwhile("Read the service, then publish a version above it.", slug=slug)
    return service_id


def _replace(uow: UnitOfWork, listed: Any, manifest: Manifest, offer: dict[str, Any]) -> None:
    if _parts(manifest.version) <= _parts(listed.version):
        raise VersionNotHigher(
            f"Version {manifest.version} is not above the published {listed.version}.",
            version=manifest.version,
            published=listed.version,
        )
    is_replaced = uow.run(
        _REPLACE,
        service_id=listed.id,
        previous_digest=listed.manifest_digest,
        **{f"new_{name}": value for name, value in offer.items()},
    )
    if not is_replaced:
        raise PublishedMeanwhile("Read the service, then publish a version above it.")
    terms = (offer["price_per"], offer["unit"])
    is_same_unit = terms == (listed.price_per, listed.unit)
    if not is_same_unit or offer["amount_minor"] != listed.amount_minor:
        trust.record_price_change(
            uow,
            service_id=listed.id,
            seller_id=listed.seller_id,
            manifest_digest=offer["manifest_digest"],
            is_raise=is_same_unit and offer["amount_minor"] > listed.amount_minor,
        )


def _change_state(uow: UnitOfWork, service_id: str, before: str, after: str) -> None:
    uow.run(_CHANGE_STATE, service_id=service_id, from_state=before, to_state=after)


def _parts(version: str) -> tuple[int, ...]:
    """``1.10`` as (1, 10, 0), so that versions compare part by part."""
    parts = [int(part) for part in version.split(".")]
    return tuple(parts + [0] * (3 - len(parts)))
