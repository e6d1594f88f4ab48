"""Binding: a handler's signature says where each value comes from; here it is read, strictly.

::

    @post(refuses=(402, 404, 409), location="/v1/orders/{id}")
    async def place_order(
        self,
        order: JSONBody[PlaceOrder],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> OrderView: ...

Litestar itself sees only ``(self, request)``: its own reading turns the text "5" into a number,
lets unknown query parameters pass, and its dependencies triple the cost of a request (105 µs of
CPU against 36 for a bare JSON POST; this road costs less than the bare one).
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import Method

from market.base.caller import Caller
from market.base.errors import MarketError, NotFound
from market.base.once import Once
from market.base.settings import Settings
from market.base.store import Store
from market.faces.http import limits
from market.faces.http.answers import Answer, encode
from market.faces.http.call import Call
from market.faces.http.desk import Desk
from market.faces.http.doors import Visitor
from market.faces.http.operations import Operation, read_operation
from market.faces.http.problems import InvalidBody, InvalidParameter, Malformed, invalid_fields
from market.protocol.wire import Problem

Handler = Callable[..., Awaitable[Any]]

_JSON: Final = b"application/json"
_PROVIDERS: Final[dict[Any, Callable[[Call], Any]]] = {
    Call: lambda call: call,
    Desk: lambda call: call.desk,
    Settings: lambda call: call.desk.settings,
    Store: lambda call: call.desk.store,
    Visitor: lambda call: call.visitor,
    Caller: lambda call: call.visitor.caller,
    Once: Call.once,
}


def get(path: str = "/", **facts: Any) -> Callable[[Handler], HTTPRouteHandler]:
    """Declare a handler that reads. Keywords: see ``declare``."""
    return declare("GET", path, **facts)


def post(path: str = "/", **facts: Any) -> Callable[[Handler], HTTPRouteHandler]:
    """Declare a handler that creates something (201), or moves it (``status=200``)."""
    return declare("POST", path, **{"status": 201, **facts})


def put(path: str = "/", **facts: Any) -> Callable[[Handler], HTTPRouteHandler]:
    """Declare a handler that writes something at a place which the caller chose."""
    return declare("PUT", path, **facts)


def delete(path: str = "/", **facts: Any) -> Callable[[Handler], HTTPRouteHandler]:
    """Declare a handler that removes something."""
    return declare("DELETE", path, **{"status": 204, **facts})


def declare(
    method: Method,
    path: str,
    *,
    status: int = 200,
    refuses: tuple[int, ...] = (),
    max_body: int = limits.BODY,
    location: str = "",
    answer: Any = None,
    form: Any = None,
    refusal: Any = Problem,
) -> Callable[[Handler], HTTPRouteHandler]:
    """Return a decorator that makes a Litestar handler of a function.

    ``refuses`` are the statuses of refusals beyond those that follow from the signature;
    ``location`` is the address of what was made, with fields of the answer in braces; ``answer``
    is the type of what is sent, where the function returns the finished bytes of it. ``form`` and
    ``refusal`` are the types of a form that is read and of ``refuses``, where these are special.
    """

    def decorate(handler: Handler) -> HTTPRouteHandler:
        operation = read_operation(
            handler,
            status=status,
            refuses=refuses,
            max_body=max_body,
            location=location,
            answer=answer,
            form=form,
            refusal=refusal,
        )
        make = HTTPRouteHandler(
            path,
            http_method=method,
            status_code=200,  # not sent: the answer has its own
            operation_id=operation.name,
            opt={"operation": operation},
        )
        return make(bind(handler, operation))

    return decorate


def bind(handler: Handler, operation: Operation) -> Callable[..., Awaitable[ASGIResponse]]:
    """Return what Litestar calls: it reads the request, calls ``handler``, encodes its answer."""
    decoder = None if operation.body is None else msgspec.json.Decoder(operation.body)
    providers = [(name, _PROVIDERS[kind]) for name, kind in operation.dependencies.items()]

    async def handle(self: Any, request: Call) -> ASGIResponse:
        if operation.needs_caller:
            await request.identify()
        values = _read_parameters(request, operation)
        if decoder is not None:
            await request.load(operation.max_body, _JSON)
            values[operation.body_name] = _decode(decoder, request.content)
        for name, provide in providers:
            values[name] = provide(request)
        return _answer(request, operation, await handler(self, **values))

    return handle


def _read_parameters(call: Call, operation: Operation) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, kind in operation.paths.items():
        try:
            values[name] = msgspec.convert(call.scope["path_params"][name], kind, strict=False)
        except msgspec.ValidationError as error:
            # A malformed id is the id of nothing: no other answer than for an unknown one.
            raise NotFound("There is nothing at this address for you.") from error
    for name, field in operation.headers.items():
        values[name] = _read_header(call, field.header, field.type, field.default)
    if call.scope["query_string"] or operation.query.__struct_fields__:
        query = _convert(InvalidParameter, "query", call.parameters(), operation.query)
        values.update(
            {operation.query_name: query} if operation.query_name else msgspec.structs.asdict(query)
        )
    return values


def _read_header(call: Call, header: str, kind: Any, default: Any) -> Any:
    text = call.header(header.lower().encode())
    if text is None:
        return default
    try:
        return msgspec.convert(text.decode("latin-1"), kind, strict=False)
    except msgspec.ValidationError as error:
        detail = str(error)
        raise InvalidParameter(
            f"In the header '{header}': {detail}.", errors=[{"field": header, "detail": detail}]
        ) from error


def _convert(refusal: type[MarketError], where: str, texts: dict[str, str], kind: Any) -> Any:
    try:
        return msgspec.convert(texts, kind, strict=False)
    except msgspec.ValidationError as error:
        raise invalid_fields(refusal, where, error) from error


def _decode(decoder: msgspec.json.Decoder[Any], content: bytes) -> Any:
    try:
        return decoder.decode(content)
    except msgspec.ValidationError as error:
        raise invalid_fields(InvalidBody, "body", error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"The body is not JSON in UTF-8: {error}.") from error
    except RecursionError as error:
        raise Malformed("The body is nested too deep.") from error


def _answer(call: Call, operation: Operation, answered: Any) -> ASGIResponse:
    if isinstance(answered, ASGIResponse):
        return answered
    body = b"" if operation.status == 204 else encode(answered)
    if not operation.location:
        return Answer(body, status=operation.status, request_id=call.request_id)
    place = operation.location.format_map(_Fields(answered)).encode()
    return Answer(
        body, status=operation.status, request_id=call.request_id, extra=((b"location", place),)
    )


class _Fields(dict[str, Any]):
    """A view's fields under their names, for an address."""

    def __init__(self, view: Any) -> None:
        super().__init__()
        self._view = view

    def __missing__(self, name: str) -> Any:
        return getattr(self._view, name)
