"""The published documents over HTTP, and the sign of life. No token is asked for."""

import asyncio
from typing import Any, Final

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath

from market import catalog
from market.base.errors import NotFound, Overloaded
from market.base.store import Store
from market.base.work import UnitOfWork
from market.catalog import SearchQuery
from market.faces.http.answers import JSON, MARKDOWN, PUBLIC, TEXT, Answer, encode, fixed_headers
from market.faces.http.binding import get
from market.faces.http.call import Call
from market.faces.http.documents import entry_markdown, problem_markdown
from market.protocol.wire import View

MAX_PRICES: Final = 20
"""Services whose prices the entry document lists."""

HEALTH_SECONDS: Final = 2.0
"""How long the store may take to answer before it counts as ill."""

SCHEMA: Final = "application/schema+json"


class HealthView(View, frozen=True, kw_only=True):
    """``commits`` and ``units``: what the writer has done since it started."""

    status: str
    commits: int
    units: int
    open_streams: int


class PublishedController(Controller):
    tags = ("published",)

    @get("/", status=303, answer=str, media=(TEXT,), location="/agents")
    async def read_root(self, call: NamedDependency[Call]) -> Answer:
        """Lead to the entry document, ``/agents``."""
        return Answer(
            b"See /agents.\n",
            status=303,
            request_id=call.request_id,
            fixed=fixed_headers(TEXT, PUBLIC),
            extra=((b"location", b"/agents"),),
        )

    @get("/agents", answer=dict[str, Any], media=(JSON, MARKDOWN))
    async def read_entry(self, call: NamedDependency[Call]) -> Answer:
        """Tell an agent how to start: access, endpoints, prices, policies; JSON or Markdown."""
        entry = call.desk.documents.entry
        if _wants_markdown(call):
            return _answer(call, entry_markdown(entry).encode(), MARKDOWN)
        found = await call.desk.store.scan(catalog.search, query=SearchQuery(limit=MAX_PRICES))
        prices = {**entry["prices"], "listed": found.items}
        return _answer(call, encode({**entry, "prices": prices}), JSON)

    @get("/llms.txt", answer=str, media=(TEXT,))
    async def read_llms(self, call: NamedDependency[Call]) -> Answer:
        """List the documents, for language models (llmstxt.org)."""
        return _answer(call, call.desk.documents.llms.encode(), TEXT)

    @get("/openapi.json", answer=dict[str, Any])
    async def read_openapi(self, call: NamedDependency[Call]) -> Answer:
        """Describe every operation (OpenAPI 3.1)."""
        return _answer(call, call.desk.documents.openapi, JSON)

    @get("/schemas/{name:str}", answer=dict[str, Any], media=(SCHEMA,))
    async def read_schema(self, name: FromPath[str], call: NamedDependency[Call]) -> Answer:
        """Describe a manifest, an event, a decision or a problem (JSON Schema 2020-12)."""
        schema = call.desk.documents.schemas.get(name.removesuffix(".json"))
        return _answer(call, _known(schema), SCHEMA)

    @get("/problems", answer=dict[str, Any])
    async def list_problems(self, call: NamedDependency[Call]) -> Answer:
        """List every refusal with its code, status and what to do about it."""
        problems = list(call.desk.documents.problems.values())
        return _answer(call, encode({"items": problems, "next": None}), JSON)

    @get("/problems/{code:str}", answer=dict[str, Any], media=(JSON, MARKDOWN))
    async def read_problem(self, code: FromPath[str], call: NamedDependency[Call]) -> Answer:
        """Explain one refusal, as JSON or Markdown."""
        problem = _known(call.desk.documents.problems.get(code))
        if _wants_markdown(call):
            return _answer(call, problem_markdown(problem).encode(), MARKDOWN)
        return _answer(call, encode(problem), JSON)

    @get("/healthz")
    async def read_health(self, call: NamedDependency[Call]) -> HealthView:
        """Say that the writer takes work and the database answers; 503 if not."""
        store = call.desk.store
        await _check(store)
        return HealthView(
            status="ok",
            commits=store.commits,
            units=store.units,
            open_streams=call.desk.gate.open_streams,
        )


def _known(document: Any) -> Any:
    if document is None:
        raise NotFound("There is no such document.")
    return document


def _wants_markdown(call: Call) -> bool:
    return call.accept.best_match([JSON, "text/markdown", "text/plain"], JSON) != JSON


def _answer(call: Call, body: bytes, media: str) -> Answer:
    return Answer(body, request_id=call.request_id, fixed=fixed_headers(media, PUBLIC))


async def _check(store: Store) -> None:
    try:
        async with asyncio.timeout(HEALTH_SECONDS):
            await store.write(_nothing)
    except TimeoutError as error:
        raise Overloaded("The store does not answer.", retry_after_seconds=1) from error


def _nothing(uow: UnitOfWork) -> None:
    """Pass through the writer without a trace."""
