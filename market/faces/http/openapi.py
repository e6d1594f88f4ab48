"""The OpenAPI 3.1 document, from what the handlers declare.

Schemas are msgspec's own, so they say what is enforced: patterns, bounds, and that unknown
members are refused (Litestar's generator leaves these out).
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from market import identity
from market.base.settings import Settings
from market.faces.http.answers import JSON, PROBLEM
from market.faces.http.operations import Operation
from market.protocol.wire import Problem

REF: Final = "#/components/schemas/{name}"
IDEMPOTENCY_KEY: Final = "^[A-Za-z0-9_-]{1,64}$"
_WORDS: Final = {
    400: "Malformed",
    401: "Unauthenticated",
    402: "Payment required",
    403: "Forbidden",
    404: "Not found",
    409: "Conflict",
    408: "Body too slow",
    410: "Gone",
    413: "Body too large",
    415: "Unsupported media type",
    421: "For another host",
    422: "Invalid",
    429: "Too much, or too often",
    431: "Headers too large",
    503: "Busy",
}


class Published(NamedTuple):
    """An operation at its place."""

    method: str
    path: str
    tags: tuple[str, ...]
    operation: Operation


def openapi(
    settings: Settings, *, title: str, version: str, published: Sequence[Published]
) -> dict[str, Any]:
    """Return the document for these operations."""
    types = _types(published)
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    by_type = dict(zip(map(_key, types), schemas, strict=True))
    paths: dict[str, Any] = {}
    for place in published:
        described = _operation(place, by_type)
        paths.setdefault(place.path, {})[place.method.lower()] = described
    document = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": settings.issuer}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _security(settings.issuer)},
    }
    portable_document: dict[str, Any] = portable(document)
    return portable_document


def portable(tree: Any) -> Any:
    """Return a schema with patterns that every reader of JSON Schema knows.

    Elsewhere the end of a text is ``$``, and text has no lone surrogates that one could exclude.
    """
    if isinstance(tree, dict):
        return {
            name: _pattern(value)
            if name == "pattern" and isinstance(value, str)
            else portable(value)
            for name, value in tree.items()
        }
    return [portable(item) for item in tree] if isinstance(tree, list) else tree


def _pattern(pattern: str) -> str:
    return pattern.replace(r"\Z", "$").replace(r"\ud800-\udfff", "")


def _types(published: Iterable[Published]) -> list[Any]:
    found: dict[Any, Any] = {_key(Problem): Problem}
    for _, _, _, operation in published:
        wanted = [
            operation.answer,
            operation.takes.body,
            operation.says.form,
            operation.says.refusal,
        ]
        wanted += operation.takes.paths.values()
        wanted += [field.type for field in operation.takes.headers.values()]
        wanted += [field.type for field in msgspec.structs.fields(operation.takes.query)]
        for kind in wanted:
            if kind is not None:
                found.setdefault(_key(kind), kind)
    return list(found.values())


def _key(kind: Any) -> Any:
    # Annotated types with a list in their notes have no hash; their text is as good a name.
    return repr(kind)


def _operation(place: Published, schemas: dict[Any, Any]) -> dict[str, Any]:
    operation = place.operation
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": list(place.tags),
        "summary": operation.summary,
        "parameters": _parameters(operation, schemas),
        "responses": _responses(place.method, operation, schemas),
        "security": _needed(operation),
    }
    if operation.description:
        described["description"] = operation.description
    for media, kind in ((JSON, operation.takes.body), (_FORM, operation.says.form)):
        if kind is not None:
            content = {media: {"schema": schemas[_key(kind)]}}
            described["requestBody"] = {"required": True, "content": content}
    return described


def _needed(operation: Operation) -> list[dict[str, list[str]]]:
    """Return what a caller must show: a token with one of the scopes, each a way of its own."""
    if not operation.takes.needs_caller:
        return []
    return [{"bearer": [scope]} for scope in operation.says.scopes]


_FORM: Final = "application/x-www-form-urlencoded"


def _parameters(operation: Operation, schemas: dict[Any, Any]) -> list[dict[str, Any]]:
    found = [
        {"name": name, "in": "path", "required": True, "schema": schemas[_key(kind)]}
        for name, kind in operation.takes.paths.items()
    ]
    for field in msgspec.structs.fields(operation.takes.query):
        found.append(
            {
                "name": field.encode_name,
                "in": "query",
                "required": field.required,
                "schema": _with_default(schemas[_key(field.type)], field.default),
            }
        )
    for header in operation.takes.headers.values():
        schema = schemas[_key(header.type)]
        found.append({"name": header.header, "in": "header", "required": False, "schema": schema})
    if operation.takes.takes_key:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": operation.takes.needs_key,
                "description": "New for each new request; the same one for a repeat.",
                "schema": {"type": "string", "pattern": IDEMPOTENCY_KEY},
            }
        )
    return found


def _with_default(schema: dict[str, Any], default: Any) -> dict[str, Any]:
    if default is None or default is msgspec.NODEFAULT:
        return schema
    return {**schema, "default": default}


def _responses(method: str, operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    schema = schemas[_key(operation.answer)]
    answered: dict[str, Any] = {
        "description": "Done",
        "headers": {"X-Request-Id": {"schema": {"type": "string"}}},
    }
    if operation.says.status != 204:
        answered["content"] = {
            media: {"schema": {"type": "string"} if media.startswith("text/") else schema}
            for media in operation.says.media
        }
    if operation.says.location:
        answered["headers"]["Location"] = {"schema": {"type": "string"}}
    responses = {str(operation.says.status): answered}
    for status in sorted(_refusals(method, operation)):
        is_own = status in operation.says.refuses and operation.says.refusal is not Problem
        media, kind = (JSON, operation.says.refusal) if is_own else (PROBLEM, Problem)
        content = {media: {"schema": schemas[_key(kind)]}}
        responses[str(status)] = {"description": _WORDS[status], "content": content}
    return responses


def _refusals(method: str, operation: Operation) -> set[int]:
    """Return the statuses of what may be refused, beyond what the handler itself declares."""
    found = {400, 421, 429, 431, 503, *operation.says.refuses}
    if operation.takes.needs_caller:
        found |= {401, 403}
    if operation.takes.paths:
        found.add(404)
    if operation.takes.body is not None or operation.says.form is not None:
        found |= {413, 415, 422}
    if operation.takes.takes_key or "cursor" in operation.takes.query.__struct_fields__:
        found.add(422)
    if method != "GET":
        found.add(408)
    return found


def _security(issuer: str) -> dict[str, Any]:
    scopes = dict.fromkeys(identity.ALL_SCOPES, "")
    flow = {"tokenUrl": f"{issuer}/oauth/token", "scopes": scopes}
    return {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "client_credentials": {"type": "oauth2", "flows": {"clientCredentials": flow}},
    }
