"""The catalog: who may list what, and how it is found."""

from typing import Any

import msgspec
import pytest

from market import catalog, identity, trust
from market.base.errors import InsufficientScope
from market.base.paging import BadCursor
from market.base.store import Store
from market.base.work import UnitOfWork
from market.catalog import finding
from market.protocol.commitments import MANIFEST, ManifestClaims
from market.protocol.manifest import manifest_digest
from market.protocol.wire import AskQuote, FoundView, Page, QuoteView
from tests.factories import Party, enter, manifest, publish


@pytest.fixture
async def seller(store: Store) -> Party:
    return await enter(store, "acme", "seller")


@pytest.fixture
async def rival(store: Store) -> Party:
    return await enter(store, "rival", "seller")


@pytest.fixture
async def buyer(store: Store) -> Party:
    return await enter(store, "thrifty", "buyer")


def allowed(party: Party, *scopes: str) -> Party:
    """The same agent with a token for these scopes alone."""
    return party._replace(caller=party.caller._replace(scopes=frozenset(scopes)))


async def ask(party: Party, service_id: str) -> QuoteView:
    wanted = AskQuote(service_id=service_id, input={"pages": ["1"]})
    return await party.store.write(catalog.quote, caller=party.caller, ask=wanted)


def price(amount: str, per: str = "call") -> dict[str, str]:
    return {"per": per, "amount": amount, "currency": "XTS"}


async def find(store: Store, **asked: Any) -> Page[FoundView]:
    query = msgspec.convert(asked, catalog.SearchQuery, strict=True)
    return await store.scan(catalog.search, query=query)


async def slugs(store: Store, **asked: Any) -> list[str]:
    return [found.slug for found in (await find(store, **asked)).items]


# Publishing


async def test_a_published_service_is_shown_with_its_proof(store: Store, seller: Party):
    published = await publish(seller)

    shown = await store.read(catalog.service, service_id=published.id)

    assert shown == published
    assert (shown.slug, shown.seller_id, shown.seller_handle) == (
        "acme-pdf", seller.id, "acme"
    )  # fmt: skip
    assert shown.manifest_digest == manifest_digest(shown.manifest)
    proof = seller.key.public.read(shown.manifest_jws, typ=MANIFEST, claims=ManifestClaims)
    assert proof.manifest == shown.manifest


async def test_publishing_the_same_version_again_changes_nothing(seller: Party):
    first = await publish(seller)

    assert await publish(seller) == first


async def test_a_name_that_looks_like_an_older_one_is_flagged(
    store: Store, seller: Party, rival: Party
):
    """S14: with a warning where both are found; a seller's own names have none."""
    for party, slug in ((seller, "acme-pdf"), (seller, "acme-pdf-1"), (rival, "acrne-pdf")):
        await publish(party, id=slug)
    await publish(rival, id="other")

    found = (await find(store, q="pdf")).items

    assert {one.slug: one.flags for one in found if one.flags} == {
        "acrne-pdf": ["resembles_another"]
    }


async def test_a_higher_version_takes_the_place_of_the_lower(store: Store, seller: Party):
    first = await publish(seller, version="1.9")

    second = await publish(seller, version="1.10", summary="Faster.")

    assert (second.id, second.version) == (first.id, "1.10")
    old = await store.read(catalog.manifest_of, manifest_digest=first.manifest_digest)
    assert (old.version, old.summary) == ("1.9", "Extract tables from a PDF as JSON rows.")


@pytest.mark.parametrize("version", ["1", "1.2", "1.2.0", "0.9", "1.1.9"])
async def test_a_version_that_is_not_higher_is_refused(store: Store, seller: Party, version: str):
    first = await publish(seller, version="1.2.0")

    with pytest.raises(catalog.VersionNotHigher) as refusal:
        await publish(seller, version=version, summary="Different.")

    assert refusal.value.facts["published"] == "1.2.0"
    assert await store.read(catalog.service, service_id=first.id) == first


async def test_an_old_version_cannot_be_played_again(seller: Party):
    """S8."""
    await publish(seller, version="1")
    await publish(seller, version="2")

    with pytest.raises(catalog.VersionNotHigher):
        await publish(seller, version="1")


async def test_another_sellers_id_cannot_be_taken(store: Store, seller: Party, rival: Party):
    """S8."""
    first = await publish(seller)

    with pytest.raises(catalog.ServiceTaken):
        await publish(rival, version="2")

    assert (await store.read(catalog.service, service_id=first.id)).seller_id == seller.id


async def test_only_a_seller_publishes(buyer: Party):
    with pytest.raises(catalog.SellersOnly):
        await publish(allowed(buyer, "publish"))


async def test_publishing_needs_its_scope(seller: Party):
    with pytest.raises(InsufficientScope):
        await publish(allowed(seller, "read"))


@pytest.mark.parametrize(
    "changes",
    [
        {"price": {"per": "call", "amount": "0", "currency": "XTS"}},
        {"price": {"per": "call", "amount": "1", "currency": "EUR"}},
        {"input": {"type": "nonsense"}},
        {"summary": "hidden \u200b sign"},
        {"fee": 0},
    ],
)
async def test_a_manifest_that_cannot_hold_is_refused(
    store: Store, seller: Party, changes: dict[str, Any]
):
    with pytest.raises(catalog.BadManifestRefused):
        await publish(seller, **changes)

    assert await slugs(store) == []


async def test_an_unknown_service_is_not_found(store: Store):
    with pytest.raises(catalog.ServiceNotFound):
        await store.read(catalog.service, service_id="svc_none")
    with pytest.raises(catalog.ServiceNotFound):
        await store.read(catalog.trust_report, service_id="svc_none")


async def test_a_trust_report_knows_the_seller_and_the_service(store: Store, seller: Party):
    service = await publish(seller)

    report = await store.read(catalog.trust_report, service_id=service.id)

    entered = await store.read(identity.agent, agent_id=seller.id)
    assert (report.service_id, report.slug, report.seller_id) == (service.id, "acme-pdf", seller.id)
    assert report.registered_at == entered.registered_at
    assert report.flags == ["new"]


@pytest.mark.parametrize("act", ["UPDATE manifests SET version = '9'", "DELETE FROM manifests"])
async def test_a_published_version_can_never_change(store: Store, seller: Party, act: str):
    published = await publish(seller)

    def tamper(uow: UnitOfWork) -> None:
        uow.connection.execute(act)

    with pytest.raises(Exception, match="manifests is append-only"):
        await store.write(tamper)

    assert await store.read(catalog.service, service_id=published.id) == published


async def test_price_changes_are_counted_and_raises_told_apart(store: Store, seller: Party):
    unit = {"measure": {"unit": "page", "counts": "items", "of": "pages"}}
    await publish(seller, version="1", price=price("0.40"))
    await publish(seller, version="2", price=price("0.40"), summary="Better words.")
    await publish(seller, version="3", price=price("0.50"))
    await publish(seller, version="4", price=price("0.30"))
    await publish(seller, version="5", price=price("0.90", per="unit"), **unit)

    standing = await store.read(trust.standing, seller_id=seller.id)

    assert (standing.price_changes, standing.price_raises) == (3, 1)


# Search


async def test_a_search_among_many_services_is_no_quick_one_on_sqlite(
    store: Store, seller: Party, monkeypatch: pytest.MonkeyPatch
):
    await publish(seller)
    await publish(seller, id="acme-tables")
    query = catalog.SearchQuery(q="tables")
    whole = await store.scan(catalog.search, query=query)

    monkeypatch.setattr(finding, "QUICK_SERVICES", 2)
    assert await store.read(catalog.quick_search, query=query) == whole

    monkeypatch.setattr(finding, "QUICK_SERVICES", 1)
    looked = await store.read(catalog.quick_search, query=query)
    assert looked == (None if store.settings.dialect == "sqlite" else whole)


async def test_words_are_found_in_names_summary_and_prose(store: Store, seller: Party):
    await publish(seller)
    await publish(
        seller, id="acme-text", tags=["text"], summary="Key sentences.", description="Fast."
    )

    assert await slugs(store, q="pdf") == ["acme-pdf"]
    assert await slugs(store, q="the SENTENCE") == ["acme-text"]
    assert await slugs(store, q="fast") == ["acme-text"]
    assert await slugs(store, q="tables") == ["acme-pdf"]
    assert await slugs(store, q="extrac") == ["acme-pdf"]
    assert await slugs(store, q="nothing-like-it") == []
    assert set(await slugs(store, q="rows sentences")) == {"acme-pdf", "acme-text"}


async def test_words_are_found_in_every_script(store: Store, seller: Party):
    await publish(seller, summary="Übersetzt 日本語 rapidement.", tags=["ai"])

    for q in ("ubersetzt", "ÜBERSETZT", "日本語", "日本", "ai"):
        assert await slugs(store, q=q) == ["acme-pdf"]
    assert await slugs(store, q="a") == []


async def test_a_new_version_is_found_by_its_new_words_alone(store: Store, seller: Party):
    await publish(seller)
    await publish(seller, version="2", summary="Read invoices.", tags=["invoice"])

    assert await slugs(store, q="invoice") == ["acme-pdf"]
    assert await slugs(store, q="table") == []


@pytest.mark.parametrize(
    "q",
    [
        '"', '" OR 1', "pdf NOT tables", "NEAR(pdf tables, 2)", "named_words:pdf", "pdf*", "^pdf",
        "a AND", "(pdf", "{a b}:c", "pdf & !tables | x:*", "'; DROP TABLE services; --", "\\", "%",
        "\u0660\u0661", "\U0001f600", "\u3042\u3044", "½", "x" * 200, "a " * 100,
    ],
)  # fmt: skip
async def test_no_text_is_read_as_syntax(store: Store, seller: Party, q: str):
    await publish(seller)

    found = await find(store, q=q)

    assert {item.slug for item in found.items} <= {"acme-pdf"}


@pytest.mark.parametrize(
    "asked",
    [
        {"q": "x" * 201},
        {"q": "nul \0"},
        {"tag": "Not A Tag"},
        {"min_trust": 1.5},
        {"max_price_minor": 0},
        {"limit": 101},
        {"limit": 0},
        {"sort": "price"},
    ],
)
async def test_what_search_does_not_know_is_refused(store: Store, asked: dict[str, Any]):
    with pytest.raises(msgspec.ValidationError):
        await find(store, **asked)


async def test_filters_leave_out_what_does_not_fit(store: Store, seller: Party):
    await publish(seller, limits={"p95_ms": 900}, policies={"refund": "within-window"})
    await publish(seller, id="acme-slow", tags=["pdf-table"], price=price("0.10"))

    assert await slugs(store, max_price_minor=399_999) == ["acme-slow"]
    assert len(await slugs(store, max_price_minor=400_000)) == 2
    assert await slugs(store, max_p95_ms=900) == ["acme-pdf"]
    assert await slugs(store, max_p95_ms=899) == []
    assert await slugs(store, refund="within-window") == ["acme-pdf"]
    assert await slugs(store, tag="pdf") == ["acme-pdf"]
    assert await slugs(store, tag="pdf-table") == ["acme-slow"]
    assert await slugs(store, tag="table-pdf") == []
    assert await slugs(store, q="extract", tag="pdf", max_price_minor=1) == []
    assert await slugs(store, q="extract", tag="pdf") == ["acme-pdf"]


async def test_trust_ranks_and_filters(store: Store, seller: Party, rival: Party):
    await publish(seller)
    await publish(rival, id="rival-pdf")
    for number in range(5):
        await store.write(
            trust.record,
            kind="order.settled",
            order_id=f"ord_{number}",
            service_id="svc_1",
            seller_id=rival.id,
            buyer_id=f"buyer {number}",
            amount_minor=400_000,
        )

    found = await find(store, q="tables")

    assert [item.slug for item in found.items] == ["rival-pdf", "acme-pdf"]
    best = found.items[0]
    assert best.trust == best.parts["trust"] > 0.45
    weighted = sum(catalog.WEIGHTS[name] * part for name, part in best.parts.items())
    assert best.score == round(weighted, 4)
    assert await slugs(store, q="tables", min_trust=best.trust) == ["rival-pdf"]
    assert await slugs(store, min_trust=0.99) == []


async def test_pages_follow_each_other_without_gap_or_repeat(store: Store, seller: Party):
    for number in range(7):
        await publish(seller, id=f"acme-{number}", price=price(f"0.{number + 1}"))

    whole = await slugs(store, q="tables")
    pages, cursor = [], None
    while True:
        page = await find(store, q="tables", limit=3, cursor=cursor)
        pages.append([item.slug for item in page.items])
        cursor = page.next
        if cursor is None:
            break

    assert [len(page) for page in pages] == [3, 3, 1]
    assert [slug for page in pages for slug in page] == whole
    assert len(set(whole)) == 7


@pytest.mark.parametrize("cursor", ["x", "WzFd", "WyJhIiwiYiJd"])
async def test_a_cursor_of_another_list_is_refused(store: Store, cursor: str):
    with pytest.raises(BadCursor):
        await find(store, cursor=cursor)


async def test_a_list_ends_after_the_candidates(store: Store, seller: Party):
    def publish_many(uow: UnitOfWork) -> None:
        for number in range(catalog.MAX_CANDIDATES + 5):
            signed = seller.signs(ManifestClaims, manifest=manifest(id=f"acme-{number}"))
            catalog.publish(uow, caller=seller.caller, signed=signed)

    await store.write(publish_many)

    first = await find(store, q="tables", limit=100)
    second = await find(store, q="tables", limit=100, cursor=first.next)

    assert len(first.items) == len(second.items) == 100
    assert second.next is None


async def test_a_withdrawn_service_is_neither_found_nor_sold_until_published_again(
    store: Store, seller: Party, buyer: Party
):
    service = await publish(seller)
    quote = await ask(buyer, service.id)

    await store.write(catalog.withdraw, caller=seller.caller, service_id=service.id)

    assert await slugs(store, q="tables") == []
    with pytest.raises(catalog.ServiceNotListed):
        await ask(buyer, service.id)
    with pytest.raises(catalog.ServiceNotListed):
        await store.write(catalog.redeem_quote, quote_id=quote.id, buyer_id=buyer.id)
    await publish(seller)
    assert await slugs(store, q="tables") == ["acme-pdf"]
    assert await store.write(catalog.redeem_quote, quote_id=quote.id, buyer_id=buyer.id)


async def test_a_stranger_cannot_withdraw_a_service(store: Store, seller: Party, rival: Party):
    service = await publish(seller)

    with pytest.raises(catalog.ServiceNotFound):
        await store.write(catalog.withdraw, caller=rival.caller, service_id=service.id)

    assert await slugs(store) == ["acme-pdf"]


async def test_a_suspended_sellers_services_are_hidden_and_come_back(
    store: Store, seller: Party, rival: Party, buyer: Party
):
    service = await publish(seller)
    withdrawn = await publish(seller, id="acme-old")
    await store.write(catalog.withdraw, caller=seller.caller, service_id=withdrawn.id)
    await publish(rival, id="rival-pdf")

    hidden = await store.write(catalog.suspend_seller, seller_id=seller.id)

    assert hidden == 1
    assert await slugs(store) == ["rival-pdf"]
    with pytest.raises(catalog.ServiceNotListed):
        await ask(buyer, service.id)
    assert await store.write(catalog.reinstate_seller, seller_id=seller.id) == 1
    assert sorted(await slugs(store)) == ["acme-pdf", "rival-pdf"]
