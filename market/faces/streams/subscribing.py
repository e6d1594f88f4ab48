"""Subscriptions, as requests under ``__ds/``: each is parsed, one verb, and told.

What a worker answers to a wake carries the wake's token in the place of an access token. A refusal
is a problem document with the protocol's own ``error`` beside it.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from market import identity, rawstreams
from market.base.caller import Caller
from market.base.errors import Invalid, MarketError, NotFound
from market.base.outgoing import AddressRefused, Outgoing
from market.base.store import Store
from market.faces.http.answers import JSON, PRIVATE, Header, encode
from market.faces.http.desk import Desk
from market.faces.http.problems import MethodNotAllowed, invalid_fields
from market.faces.streams import headers as h
from market.faces.streams.control import (
    KEYS,
    SUBSCRIPTIONS,
    claimed_tree,
    subscription_tree,
)
from market.faces.streams.logs import need_raw, need_writing
from market.faces.streams.reading import Reply
from market.rawstreams import (
    ANYONE,
    MAX_LINKS,
    Answer,
    BadStreamRequest,
    InvalidOffset,
    Kind,
    NewSubscription,
    NoPendingWork,
    TokenInvalid,
    Wake,
    WebhookUrlRejected,
)

MAX_BODY: Final = 1024 * 1024
_NAME: Final = re.compile(r"[!-.0-~]{1,256}")
_PROTOCOL: Final = "INVALID_REQUEST"
_JSON: Final[tuple[Header, ...]] = (
    (b"content-type", JSON.encode()),
    (b"cache-control", PRIVATE.encode()),
)
_KEYS: Final[tuple[Header, ...]] = (
    (b"content-type", b"application/jwk-set+json"),
    (b"cache-control", b"public, max-age=300"),
)

Path = Annotated[str, Meta(min_length=1, max_length=h.MAX_PATH)]
Paths = Annotated[list[Path], Meta(max_length=MAX_LINKS)]
LeaseMs = Annotated[int, Meta(ge=1_000, le=600_000)]
Worker = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Prose = Annotated[str, Meta(max_length=1_000)]
Body = TypeVar("Body", bound=msgspec.Struct)


class _Webhook(msgspec.Struct, frozen=True):
    url: str


class _Create(msgspec.Struct, frozen=True, kw_only=True):
    type: Kind
    pattern: Path | None = None
    streams: Paths = []
    webhook: _Webhook | None = None
    wake_stream: Path | None = None
    lease_ttl_ms: LeaseMs = 30_000
    description: Prose | None = None


class _Streams(msgspec.Struct, frozen=True):
    streams: Annotated[Paths, Meta(min_length=1)]


class _Claim(msgspec.Struct, frozen=True):
    worker: Worker


class _Ack(msgspec.Struct, frozen=True, kw_only=True):
    offset: str
    stream: str = ""
    path: str = ""


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    wake_id: str | None = None
    generation: int | None = None
    acks: Annotated[list[_Ack], Meta(max_length=MAX_LINKS)] = []
    done: bool = False


class Request(NamedTuple):
    """A request under ``__ds/``; who asks, and the body, are found out when they are needed."""

    desk: Desk
    method: str
    path: str
    headers: dict[bytes, bytes]
    admit: Callable[[], Awaitable[Caller | None]]
    read: Callable[[int], Awaitable[bytes]]

    async def writer(self) -> Caller | None:
        """Return who asks, if it may write."""
        caller = await self.admit()
        need_writing(caller)
        return caller

    async def body(self, kind: type[Body]) -> Body:
        """Return the body, of its form."""
        try:
            return msgspec.json.decode(await self.read(MAX_BODY) or b"{}", type=kind)
        except msgspec.ValidationError as error:
            raise invalid_fields(BadStreamRequest, "body", error) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadStreamRequest("The body is not JSON.") from error

    def need(self, *methods: str) -> None:
        """Let pass these methods alone."""
        if self.method not in methods:
            raise MethodNotAllowed(f"This path knows {', '.join(methods)}.", allow=list(methods))


async def control(request: Request) -> Reply:
    """Answer a request under ``__ds/``.

    Raises:
        MarketError: it is refused; the protocol's ``error`` is among its facts.
    """
    try:
        return await _answer(request)
    except MarketError as refusal:
        is_ours = type(refusal).__module__ == "market.rawstreams.errors"
        is_plain = isinstance(refusal, BadStreamRequest) or not is_ours
        code = _PROTOCOL if is_plain and isinstance(refusal, Invalid) else refusal.code.upper()
        facts = {name: fact for name, fact in refusal.facts.items() if name != "errors"}
        refusal.facts["error"] = {"code": code, "message": refusal.detail, **facts}
        raise


async def _answer(request: Request) -> Reply:
    if request.path == KEYS:
        request.need("GET")
        keys = [rawstreams.webhook_signer(request.desk.store.signer).jwk]
        return Reply(200, _KEYS, encode({"keys": keys}))
    name, _, rest = request.path.removeprefix(SUBSCRIPTIONS).partition("/")
    act, _, stream = rest.partition("/")
    if not request.path.startswith(SUBSCRIPTIONS) or not _NAME.fullmatch(name):
        raise NotFound("There is nothing at this address for you.")
    if not rest:
        return await _base(request, name)
    if act == "streams":
        return await _streams(request, name, stream)
    if stream or act not in ("callback", "claim", "ack", "release"):
        raise NotFound("There is nothing at this address for you.")
    request.need("POST")
    if act == "claim":
        return await _claim(request, name)
    return await _worked(request, name, act)


async def _base(request: Request, name: str) -> Reply:
    request.need("PUT", "GET", "DELETE")
    store = request.desk.store
    if request.method == "GET":
        caller = await request.admit()
        if caller is not None:
            caller.need("read")
        found = await store.read(rawstreams.subscription, caller=caller, name=name)
        return _told(200, subscription_tree(store.settings, store.signer, found))
    caller = await request.writer()
    if request.method == "DELETE":
        await store.write(rawstreams.unsubscribe, caller=caller, name=name)
        return Reply(204, ())
    new = _new(await request.body(_Create))
    if new.url is not None:
        await _check(request.desk, new.url)
    made = await store.write(rawstreams.subscribe, caller=caller, name=name, new=new)
    tree = subscription_tree(store.settings, store.signer, made.subscription)
    return _told(201 if made.is_new else 200, tree)


async def _streams(request: Request, name: str, stream: str) -> Reply:
    store = request.desk.store
    if stream:
        request.need("DELETE")
        caller = await request.writer()
        await store.write(rawstreams.unfollow, caller=caller, name=name, path=stream)
        return Reply(204, ())
    request.need("POST")
    caller = await request.writer()
    paths = _paths((await request.body(_Streams)).streams)
    await store.write(rawstreams.follow_also, caller=caller, name=name, paths=paths)
    return Reply(204, ())


async def _claim(request: Request, name: str) -> Reply:
    caller = await request.writer()
    worker = (await request.body(_Claim)).worker
    claimed = await request.desk.store.write(
        rawstreams.claim, caller=caller, name=name, worker=worker
    )
    if claimed is None:
        raise NoPendingWork("Wait for the next wake.")
    return _told(200, claimed_tree(claimed))


async def _worked(request: Request, name: str, act: str) -> Reply:
    store = request.desk.store
    scheme, _, token = (h.text_of(request.headers, b"authorization") or "").partition(" ")
    if scheme.lower() != "bearer":
        raise TokenInvalid("Send the wake's token as 'Authorization: Bearer ...'.")
    # A token that this market did not make costs it no unit of work.
    wake = rawstreams.opened(store.signer, token.strip())
    await _need_owner(store, wake)
    said = await request.body(_Answer)
    answer = Answer(
        name=name,
        kind="webhook" if act == "callback" else "pull-wake",
        wake=wake,
        wake_id=said.wake_id,
        generation=said.generation,
        acks=[(rawstreams.plain(ack.stream or ack.path), _offset(ack.offset)) for ack in said.acks],
        is_done=said.done,
    )
    if act == "release":
        await store.write(rawstreams.release, answer=answer)
        return Reply(204, ())
    has_next = await store.write(rawstreams.acknowledge, answer=answer)
    return _told(200, {"ok": True, "next_wake": has_next})


async def _need_owner(store: Store, wake: Wake) -> None:
    """Let pass a worker whose subscription's owner is not shut out.

    Raises:
        InvalidToken, Suspended: the owner is.
    """
    owner_id = await store.read(rawstreams.owner_of, subscription_id=wake.subscription_id)
    if owner_id not in (None, ANYONE):
        await store.read(identity.caller_of, agent_id=owner_id, scopes=())


async def _check(desk: Desk, url: str) -> None:
    try:
        await Outgoing(desk.settings).check(url)
    except AddressRefused as refusal:
        raise WebhookUrlRejected(str(refusal)) from refusal


def _new(body: _Create) -> NewSubscription:
    pattern = None if body.pattern is None else _path(body.pattern)
    if pattern is None and not body.streams:
        raise BadStreamRequest("Name a 'pattern', or some 'streams', or both.")
    url, wake_path = None, None
    if body.type == "webhook":
        if body.webhook is None:
            raise BadStreamRequest("A webhook needs 'webhook': {'url': ...}.")
        url = body.webhook.url
    elif body.wake_stream is None:
        raise BadStreamRequest("A pull-wake needs 'wake_stream'.")
    else:
        [wake_path] = _paths([body.wake_stream])
    paths = _paths(body.streams)
    if wake_path in paths:
        raise BadStreamRequest("A subscription does not follow its own stream of wakes.")
    return NewSubscription(
        kind=body.type,
        pattern=pattern,
        paths=paths,
        url=url,
        wake_path=wake_path,
        lease_ms=body.lease_ttl_ms,
        description=body.description,
    )


def _paths(texts: list[str]) -> tuple[str, ...]:
    paths = tuple(_path(text) for text in texts)
    for path in paths:
        need_raw(path)
    return paths


def _path(text: str) -> str:
    path = rawstreams.plain(text)
    if not path or not path.isprintable():
        raise BadStreamRequest("A path is text, and more than slashes.")
    return path


def _offset(text: str) -> int:
    try:
        return h.read_offset(text, "offset")
    except BadStreamRequest as refusal:
        raise InvalidOffset("Acknowledge an offset that this market has given out.") from refusal


def _told(status: int, tree: dict[str, Any]) -> Reply:
    return Reply(status, _JSON, encode(tree))
