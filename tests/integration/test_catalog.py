"""The catalog: who may list what, how it is found, and quotes that are used once."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from market import catalog, trust
from market.base.caller import Caller
from market.base.clock import ManualClock
from market.base.errors import InsufficientScope
from market.base.paging import BadCursor
from market.base.settings import Settings
from market.base.store import Store
from market.base.work import UnitOfWork
from market.protocol.canonical import MAX_DEPTH, digest
from market.protocol.commitments import MANIFEST, QUOTE, AgentKind, ManifestClaims, QuoteClaims
from market.protocol.manifest import manifest_digest
from market.protocol.signing import SigningKey
from market.protocol.wire import AskQuote, FoundView, Page, QuoteView, ServiceView

ISSUER = "http://127.0.0.1:8700"
SCOPES = frozenset({"read", "order", "publish"})


class Party:
    """An agent with its key, as the token endpoint would present it."""

    def __init__(self, number: int, kind: AgentKind, principal_id: str | None = None) -> None:
        self.key = SigningKey.from_seed(bytes([number]) * 32)
        self.caller = Caller(
            self.key.kid,
            f"{kind}-{number}",
            kind,
            principal_id,
            SCOPES,
            {self.key.kid: self.key.public},
            ISSUER,
        )

    @property
    def id(self) -> str:
        return self.key.kid

    async def publish(self, store: Store, **changes: Any) -> ServiceView:
        claims = ManifestClaims(iss=self.id, aud=ISSUER, iat=0, manifest=tree(**changes))
        token = self.key.sign(claims, typ=MANIFEST)
        signed = self.caller.open(token, typ=MANIFEST, claims=ManifestClaims, now=store.clock.now())
        return await store.write(catalog.publish, caller=self.caller, signed=signed)

    async def quote(self, store: Store, service_id: str, **request: Any) -> QuoteView:
        ask = AskQuote(service_id=service_id, input=request or {"pages": ["1"]})
        return await store.write(catalog.quote, caller=self.caller, ask=ask)


SELLER, RIVAL = Party(1, "seller"), Party(2, "seller")
BUYER, OTHER = Party(3, "buyer"), Party(4, "buyer")


def tree(**changes: Any) -> dict[str, Any]:
    return {
        "manifest": 1,
        "id": "acme-pdf",
        "version": "1",
        "summary": "Extract tables from a PDF as JSON rows.",
        "tags": ["pdf", "table"],
        "price": {"per": "call", "amount": "0.40", "currency": "XTS"},
        "input": {
            "type": "object",
            "required": ["pages"],
            "properties": {"pages": {"type": "array", "items": {"type": "string"}}},
        },
        "output": {"type": "object", "required": ["rows"]},
        **changes,
    }


def price(amount: str, per: str = "call") -> dict[str, str]:
    return {"per": per, "amount": amount, "currency": "XTS"}


async def find(store: Store, **asked: Any) -> Page[FoundView]:
    query = msgspec.convert(asked, catalog.SearchQuery, strict=True)
    return await store.scan(partial(catalog.search, query=query))


async def slugs(store: Store, **asked: Any) -> list[str]:
    return [found.slug for found in (await find(store, **asked)).items]


# Publishing


async def test_a_published_service_is_shown_with_its_proof(store: Store):
    published = await SELLER.publish(store)

    shown = await store.read(catalog.service, service_id=published.id)

    assert shown == published
    assert (shown.slug, shown.seller_id, shown.seller_handle) == (
        "acme-pdf", SELLER.id, "seller-1"
    )  # fmt: skip
    assert shown.manifest_digest == manifest_digest(shown.manifest)
    proof = SELLER.key.public.read(shown.manifest_jws, typ=MANIFEST, claims=ManifestClaims)
    assert proof.manifest == shown.manifest


async def test_publishing_the_same_version_again_changes_nothing(store: Store):
    first = await SELLER.publish(store)

    assert await SELLER.publish(store) == first


async def test_a_higher_version_takes_the_place_of_the_lower(store: Store):
    first = await SELLER.publish(store, version="1.9")

    second = await SELLER.publish(store, version="1.10", summary="Faster.")

    assert (second.id, second.version) == (first.id, "1.10")
    old = await store.read(catalog.manifest_of, manifest_digest=first.manifest_digest)
    assert (old.version, old.summary) == ("1.9", "Extract tables from a PDF as JSON rows.")


@pytest.mark.parametrize("version", ["1", "1.2", "1.2.0", "0.9", "1.1.9"])
async def test_a_version_that_is_not_higher_is_refused(store: Store, version: str):
    first = await SELLER.publish(store, version="1.2.0")

    with pytest.raises(catalog.VersionNotHigher) as refusal:
        await SELLER.publish(store, version=version, summary="Different.")

    assert refusal.value.facts["published"] == "1.2.0"
    assert await store.read(catalog.service, service_id=first.id) == first


async def test_an_old_version_cannot_be_played_again(store: Store):
    await SELLER.publish(store, version="1")
    await SELLER.publish(store, version="2")

    with pytest.raises(catalog.VersionNotHigher):
        await SELLER.publish(store, version="1")


async def test_another_sellers_id_cannot_be_taken(store: Store):
    first = await SELLER.publish(store)

    with pytest.raises(catalog.ServiceTaken):
        await RIVAL.publish(store, version="2")

    assert (await store.read(catalog.service, service_id=first.id)).seller_id == SELLER.id


async def test_only_a_seller_publishes(store: Store):
    with pytest.raises(catalog.SellersOnly):
        await BUYER.publish(store)


async def test_publishing_needs_its_scope(store: Store):
    party = Party(1, "seller")
    party.caller = party.caller._replace(scopes=frozenset({"read"}))

    with pytest.raises(InsufficientScope):
        await party.publish(store)


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
async def test_a_manifest_that_cannot_hold_is_refused(store: Store, changes: dict[str, Any]):
    with pytest.raises(catalog.BadManifestRefused):
        await SELLER.publish(store, **changes)

    assert await slugs(store) == []


async def test_an_unknown_service_is_not_found(store: Store):
    with pytest.raises(catalog.ServiceNotFound):
        await store.read(catalog.service, service_id="svc_none")
    with pytest.raises(catalog.ServiceNotFound):
        await store.read(catalog.trust_report, service_id="svc_none")


@pytest.mark.parametrize("act", ["UPDATE manifests SET version = '9'", "DELETE FROM manifests"])
async def test_a_published_version_can_never_change(store: Store, act: str):
    published = await SELLER.publish(store)

    def tamper(uow: UnitOfWork) -> None:
        uow.connection.execute(act)

    with pytest.raises(Exception, match="manifests is append-only"):
        await store.write(tamper)

    assert await store.read(catalog.service, service_id=published.id) == published


async def test_price_changes_are_counted_and_raises_told_apart(store: Store):
    unit = {"measure": {"unit": "page", "counts": "items", "of": "pages"}}
    await SELLER.publish(store, version="1", price=price("0.40"))
    await SELLER.publish(store, version="2", price=price("0.40"), summary="Better words.")
    await SELLER.publish(store, version="3", price=price("0.50"))
    await SELLER.publish(store, version="4", price=price("0.30"))
    await SELLER.publish(store, version="5", price=price("0.90", per="unit"), **unit)

    standing = await store.read(trust.standing, seller_id=SELLER.id)

    assert (standing.price_changes, standing.price_raises) == (3, 1)


# Search


async def test_words_are_found_in_names_summary_and_prose(store: Store):
    await SELLER.publish(store)
    await SELLER.publish(
        store, id="acme-text", tags=["text"], summary="Key sentences.", description="Fast."
    )

    assert await slugs(store, q="pdf") == ["acme-pdf"]
    assert await slugs(store, q="the SENTENCE") == ["acme-text"]
    assert await slugs(store, q="fast") == ["acme-text"]
    assert await slugs(store, q="tables") == ["acme-pdf"]
    assert await slugs(store, q="extrac") == ["acme-pdf"]
    assert await slugs(store, q="nothing-like-it") == []
    assert set(await slugs(store, q="rows sentences")) == {"acme-pdf", "acme-text"}


async def test_a_new_version_is_found_by_its_new_words_alone(store: Store):
    await SELLER.publish(store)
    await SELLER.publish(store, version="2", summary="Read invoices.", tags=["invoice"])

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
async def test_no_text_is_read_as_syntax(store: Store, q: str):
    await SELLER.publish(store)

    found = await find(store, q=q)

    assert set(page.slug for page in found.items) <= {"acme-pdf"}


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


async def test_filters_leave_out_what_does_not_fit(store: Store):
    await SELLER.publish(store, limits={"p95_ms": 900}, policies={"refund": "within-window"})
    await SELLER.publish(store, id="acme-slow", tags=["pdf-table"], price=price("0.10"))

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


async def test_trust_ranks_and_filters(store: Store):
    await SELLER.publish(store)
    await RIVAL.publish(store, id="rival-pdf")
    for number in range(5):
        await store.write(
            trust.record,
            kind="order.settled",
            order_id=f"ord_{number}",
            service_id="svc_1",
            seller_id=RIVAL.id,
            buyer_id=f"buyer {number}",
        )

    found = await find(store, q="tables")

    assert [item.slug for item in found.items] == ["rival-pdf", "acme-pdf"]
    best = found.items[0]
    assert best.trust == best.parts["trust"] > 0.6
    weighted = sum(catalog.WEIGHTS[name] * part for name, part in best.parts.items())
    assert best.score == round(weighted, 4)
    assert await slugs(store, q="tables", min_trust=best.trust) == ["rival-pdf"]
    assert await slugs(store, min_trust=0.99) == []


async def test_pages_follow_each_other_without_gap_or_repeat(store: Store):
    for number in range(7):
        await SELLER.publish(store, id=f"acme-{number}", price=price(f"0.{number + 1}"))

    whole = await slugs(store, q="tables")
    pages, cursor = [], None
    while True:
        page = await find(store, q="tables", limit=3, cursor=cursor)
        pages.append([item.slug for item in page.items])
        cursor = page.next
        if cursor is None:
            break

    assert [len(page) for page in pages] == [3, 3, 1]
    assert sum(pages, []) == whole
    assert len(set(whole)) == 7


@pytest.mark.parametrize("cursor", ["x", "WzFd", "WyJhIiwiYiJd", "!"])
async def test_a_cursor_of_another_list_is_refused(store: Store, cursor: str):
    with pytest.raises(BadCursor):
        await find(store, cursor=cursor)


async def test_a_list_ends_after_the_candidates(store: Store):
    def publish_many(uow: UnitOfWork) -> None:
        for number in range(catalog.MAX_CANDIDATES + 5):
            claims = ManifestClaims(
                iss=SELLER.id, aud=ISSUER, iat=0, manifest=tree(id=f"acme-{number}")
            )
            token = SELLER.key.sign(claims, typ=MANIFEST)
            signed = SELLER.caller.open(token, typ=MANIFEST, claims=ManifestClaims, now=uow.now)
            catalog.publish(uow, caller=SELLER.caller, signed=signed)

    await store.write(publish_many)

    first = await find(store, q="tables", limit=100)
    second = await find(store, q="tables", limit=100, cursor=first.next)

    assert len(first.items) == len(second.items) == 100
    assert second.next is None


async def test_a_withdrawn_service_is_neither_found_nor_sold_until_published_again(store: Store):
    service = await SELLER.publish(store)
    quote = await BUYER.quote(store, service.id)

    await store.write(catalog.withdraw, caller=SELLER.caller, service_id=service.id)

    assert await slugs(store, q="tables") == []
    with pytest.raises(catalog.ServiceNotListed):
        await BUYER.quote(store, service.id)
    with pytest.raises(catalog.ServiceNotListed):
        await store.write(catalog.redeem_quote, quote_id=quote.id, buyer_id=BUYER.id)
    await SELLER.publish(store)
    assert await slugs(store, q="tables") == ["acme-pdf"]
    assert await store.write(catalog.redeem_quote, quote_id=quote.id, buyer_id=BUYER.id)


async def test_a_stranger_cannot_withdraw_a_service(store: Store):
    service = await SELLER.publish(store)

    with pytest.raises(catalog.ServiceNotFound):
        await store.write(catalog.withdraw, caller=RIVAL.caller, service_id=service.id)

    assert await slugs(store) == ["acme-pdf"]


async def test_a_suspended_sellers_services_are_hidden_and_come_back(store: Store):
    service = await SELLER.publish(store)
    withdrawn = await SELLER.publish(store, id="acme-old")
    await store.write(catalog.withdraw, caller=SELLER.caller, service_id=withdrawn.id)
    await RIVAL.publish(store, id="rival-pdf")

    hidden = await store.write(catalog.suspend_seller, seller_id=SELLER.id)

    assert hidden == 1
    assert await slugs(store) == ["rival-pdf"]
    with pytest.raises(catalog.ServiceNotListed):
        await BUYER.quote(store, service.id)
    assert await store.write(catalog.reinstate_seller, seller_id=SELLER.id) == 1
    assert sorted(await slugs(store)) == ["acme-pdf", "rival-pdf"]


# Quotes


async def test_a_quote_is_the_markets_signed_word_on_one_input(store: Store):
    service = await SELLER.publish(store)
    request = {"pages": ["1", "2"]}

    view = await BUYER.quote(store, service.id, **request)

    claims = store.signer.public.read(view.quote, typ=QUOTE, claims=QuoteClaims)
    assert view.digest == digest(msgspec.to_builtins(claims))
    assert (claims.quote_id, claims.buyer_id, claims.seller_id) == (view.id, BUYER.id, SELLER.id)
    assert claims.input_digest == view.input_digest == digest(request)
    assert claims.manifest_digest == service.manifest_digest
    assert (view.units, view.amount_minor, view.currency) == (1, 400_000, "XTS")
    assert claims.exp - claims.iat == store.settings.quote_ttl_seconds
    assert await store.read(catalog.quoted_input, quote_id=view.id) == request
    assert await store.read(catalog.read_quote, caller=BUYER.caller, quote_id=view.id) == view


async def test_units_are_counted_in_the_input(store: Store):
    service = await SELLER.publish(
        store,
        price=price("0.001", per="unit"),
        measure={"unit": "2 pages", "counts": "items", "of": "pages", "size": 2},
    )

    view = await BUYER.quote(store, service.id, pages=["1", "2", "3"])

    assert (view.units, view.amount_minor) == (2, 2_000)


@pytest.mark.parametrize(
    ("request_", "kind", "words"),
    [
        ({"pages": [1]}, catalog.InputDoesNotFit, "pages/0"),
        ({"rows": []}, catalog.InputDoesNotFit, "pages"),
        ({"pages": [], "big": 2**53}, catalog.InputNotPlain, r"\$\.big"),
        ({"pages": ["\0"]}, catalog.InputNotPlain, r"\$\.pages\[0\]"),
        ({"pages": [], "x": float("nan")}, catalog.InputNotPlain, "nan"),
        ({"pages": ["x" * catalog.MAX_INPUT]}, catalog.InputTooLong, "bytes"),
    ],
)
async def test_an_input_that_cannot_be_ordered_is_refused_by_name(
    store: Store, request_: dict[str, Any], kind: type[Exception], words: str
):
    service = await SELLER.publish(store)

    with pytest.raises(kind, match=words):
        await BUYER.quote(store, service.id, **request_)


async def test_an_input_nested_too_deep_is_refused(store: Store):
    service = await SELLER.publish(store)
    deep: Any = []
    for _ in range(MAX_DEPTH):
        deep = [deep]

    with pytest.raises(catalog.InputNotPlain, match="nested"):
        await BUYER.quote(store, service.id, pages=[], deep=deep)


async def test_the_longest_input_is_accepted(store: Store):
    service = await SELLER.publish(store)
    page = "x" * (catalog.MAX_INPUT - len('{"pages":[""]}'))

    assert await BUYER.quote(store, service.id, pages=[page])
    with pytest.raises(catalog.InputTooLong):
        await BUYER.quote(store, service.id, pages=[page + "x"])


async def test_a_price_beyond_the_largest_amount_is_refused(store: Store):
    service = await SELLER.publish(
        store,
        price=price("9000000000", per="unit"),
        measure={"unit": "page", "counts": "items", "of": "pages"},
    )

    assert await BUYER.quote(store, service.id, pages=["1"])
    with pytest.raises(catalog.PriceTooLarge):
        await BUYER.quote(store, service.id, pages=["1", "2"])


async def test_only_a_buyer_asks_for_quotes(store: Store):
    service = await SELLER.publish(store)

    with pytest.raises(catalog.BuyersOnly):
        await RIVAL.quote(store, service.id)


async def test_a_quote_for_an_unknown_service_is_refused(store: Store):
    with pytest.raises(catalog.ServiceNotFound):
        await BUYER.quote(store, "svc_01h455vb4pex5vsknk084sn02q")


async def test_a_principals_buyer_does_not_buy_from_its_seller(store: Store):
    house = "p" * 43
    service = await Party(5, "seller", house).publish(store)

    with pytest.raises(catalog.OwnService):
        await Party(6, "buyer", house).quote(store, service.id)

    assert await Party(7, "buyer", "q" * 43).quote(store, service.id)


async def test_a_strangers_quote_can_be_neither_read_nor_redeemed(store: Store):
    service = await SELLER.publish(store)
    quote = await BUYER.quote(store, service.id)

    with pytest.raises(catalog.QuoteNotFound):
        await store.read(catalog.read_quote, caller=OTHER.caller, quote_id=quote.id)
    with pytest.raises(catalog.QuoteNotFound):
        await store.write(catalog.redeem_quote, quote_id=quote.id, buyer_id=OTHER.id)
    with pytest.raises(catalog.QuoteNotFound):
        await store.write(catalog.redeem_quote, quote_id="qte_none", buyer_id=BUYER.id)


async def test_a_redeemed_quote_has_all_that_an_order_takes_over(store: Store):
    service = await SELLER.publish(
        store,
        limits={"deliver_seconds": 60, "max_chunks": 5},
        policies={"refund": "within-window", "refund_window_seconds": 90},
    )
    quote = await BUYER.quote(store, service.id)

    row = await store.write(catalog.redeem_quote, quote_id=quote.id, buyer_id=BUYER.id)

    assert (row.id, row.service_id, row.slug) == (quote.id, service.id, "acme-pdf")
    assert (row.seller_id, row.buyer_id) == (SELLER.id, BUYER.id)
    assert (row.manifest_digest, row.digest) == (service.manifest_digest, quote.digest)
    assert (row.input, row.input_digest) == ({"pages": ["1"]}, quote.input_digest)
    assert (row.units, row.amount_minor, row.currency) == (1, 400_000, "XTS")
    assert (row.price_per, row.deliver_seconds, row.max_chunks) == ("call", 60, 5)
    assert (row.refund, row.refund_window_seconds) == ("within-window", 90)
    assert row.tags == ["pdf", "table"]


async def test_a_quote_is_redeemed_once(store: Store):
    service = await SELLER.publish(store)
    quote = await BUYER.quote(store, service.id)
    await store.write(catalog.redeem_quote, quote_id=quote.id, buyer_id=BUYER.id)

    with pytest.raises(catalog.QuoteUsed):
        await store.write(catalog.redeem_quote, quote_id=quote.id, buyer_id=BUYER.id)


async def test_a_quote_outlives_the_version_it_was_made_for(store: Store):
    service = await SELLER.publish(store)
    quote = await BUYER.quote(store, service.id)
    await SELLER.publish(store, version="2", price=price("9"))

    row = await store.write(catalog.redeem_quote, quote_id=quote.id, buyer_id=BUYER.id)

    assert (row.amount_minor, row.manifest_digest) == (400_000, service.manifest_digest)


async def test_a_quote_holds_until_it_expires_and_no_longer(settings: Settings):
    clock = ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
    store = Store.open(settings, clock=clock)
    try:
        service = await SELLER.publish(store)
        early, late = [await BUYER.quote(store, service.id) for _ in range(2)]

        clock.advance(timedelta(seconds=settings.quote_ttl_seconds) - timedelta(microseconds=1))
        assert await store.write(catalog.redeem_quote, quote_id=early.id, buyer_id=BUYER.id)

        clock.advance(timedelta(microseconds=1))
        with pytest.raises(catalog.QuoteExpired):
            await store.write(catalog.redeem_quote, quote_id=late.id, buyer_id=BUYER.id)
    finally:
        store.close()


# Contracts


async def test_delivered_chunks_are_checked_against_the_bought_version(store: Store):
    first = await SELLER.publish(store)
    await SELLER.publish(store, version="2", output={"type": "object", "required": ["table"]})

    checker = await store.read(catalog.output_checker, manifest_digest=first.manifest_digest)

    assert checker.is_valid({"rows": []})
    assert not checker.is_valid({"table": []})


async def test_a_contract_is_compiled_once(store: Store):
    service = await SELLER.publish(store)

    one = await store.read(catalog.contract_of, manifest_digest=service.manifest_digest)
    two = await store.scan(catalog.contract_of, manifest_digest=service.manifest_digest)

    assert one is two


async def test_an_unpublished_manifest_has_no_contract(store: Store):
    with pytest.raises(catalog.ServiceNotFound):
        await store.read(catalog.contract_of, manifest_digest="none")
