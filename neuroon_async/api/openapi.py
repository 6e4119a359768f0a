"""The Plugin API as an OpenAPI 3.1 document, made from the contract and the structs.

Pure. What the documentation does not say outright, and the SDK has concluded from samples, is marked
``x-inferred: true``. What it tells in several ways is there in each of them.
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from .contract import (
    API_KEY_HEADER,
    ENDPOINTS,
    HEALTH,
    IDEMPOTENCY_KEY_HEADER,
    RATE_LIMIT_HEADER,
    RATE_REMAINING_HEADER,
    REQUEST_ID_HEADER,
    RETRY_AFTER_HEADER,
    VERIFY_DOMAIN_SHORT,
    Environment,
    Locale,
)
from .openapi_schemas import schemas

if TYPE_CHECKING:
    from .contract import Endpoint

__all__ = ["openapi"]

Document = dict[str, Any]

_ABOUT = """\
An independent description of Neuroon's Plugin API, made from its public documentation by the authors of an SDK. \
The vendor publishes none. `x-inferred: true` marks what was concluded from samples.

Limits count per shop and endpoint, over all processes that use the key; `x-rate-limit` gives them as `requests` in \
any `window` (seconds). The server's algorithm is not documented. A synced product can be found 2 to 5 seconds after \
the answer. Repeat only 429, 5xx and failures of the transport, and where `x-repeat-safe` is false only what the \
server certainly did not process.\
"""

_SYNC = """\
`INCREMENTAL` leaves alone what it does not mention. `FULL` does not, and how a `FULL` sync in several requests is \
delimited is documented nowhere. One bad product fails its whole batch, or is listed under `errors` of the answer: \
both occur.\
"""

_OPERATIONS: dict[str, tuple[str, str, str | None, str | None]] = {
    # name: summary, description, schema of the body, schema of the answer (None: 204)
    "shop": ("The shop's plan", "More fields than the two documented ones exist.", None, "Shop"),
    "sync_products": (
        "Create or update products",
        _SYNC,
        "SyncRequest",
        "SyncAnswer",
    ),
    "delete_product": ("Delete a product", "A 404 to a repeated request means that the first one worked.", None, None),
    "verify_domain": (
        "Verify the shop's domain",
        "A 409 to a repeated request means that the first one worked.",
        "VerificationRequest",
        "Verification",
    ),
    "verification_data": ("The state of the verification", "Two shapes are documented.", None, "VerificationData"),
    "unverify_domain": ("Remove the verification", "", None, None),
    "track_conversion": (
        "Report an order that searches led to",
        "An order counts once by its `orderId`. The answer's body is not documented.",
        "Conversion",
        "Anything",
    ),
    "health": ("Is the service up?", "", None, "Health"),
}

_ERRORS: dict[int, tuple[str, str]] = {
    # status: name of the response, description
    400: (
        "BadRequest",
        "A field breaks a rule. `message` joins `field: reason` by commas; it does not name the product.",
    ),
    401: ("Unauthorized", "The key is missing or wrong. On one page also: it does not belong to the shop in the path."),
    403: ("Forbidden", "Another shop's key, an `Origin` that is not the shop's URL, or a domain that is not verified."),
    404: ("NotFound", "There is no such product."),
    409: ("Conflict", "Verified already; an `externalId` twice in a `FULL` sync; drift during a sync."),
    415: ("UnsupportedMediaType", "The body is not announced as JSON in UTF-8."),
    422: ("UnprocessableEntity", "A business rule: a parent that is nowhere, currencies that differ within a batch."),
    429: ("TooManyRequests", "The limit is spent. `Retry-After` equals the whole window."),
    500: ("InternalServerError", "The server failed."),
    502: ("BadGateway", "A service behind the server failed."),
    503: ("ServiceUnavailable", "An open circuit breaker, or maintenance."),
}
_ALWAYS = (400, 401, 403, 429, 500, 502, 503)
_ALSO = {
    "sync_products": (409, 415, 422),
    "delete_product": (404,),
    "verify_domain": (409, 415, 422),
    "track_conversion": (415,),
}
_INFERRED_ERRORS = {("verify_domain", 422)}

_KNOWN_MESSAGES = (
    "products: Must provide between 1 and 500 products per batch",
    "externalId: External ID is required",
    "name: Product name is required",
    "price: Price must be positive",
    "description: size must be between 0 and 5000",
    "currency: size must be between 0 and 3",
    "rating: must be less than or equal to 5.0",
)


def openapi(*, server: str | None = None) -> Document:
    """The document, as plain JSON values.

    Args:
        server: The address it describes; ``None``, the default, names the two hosted environments.

    >>> openapi()["openapi"]
    '3.1.0'
    """
    endpoints = (*ENDPOINTS.values(), HEALTH)
    paths: dict[str, Document] = {}
    for endpoint in endpoints:
        paths.setdefault(_path(endpoint), {})[endpoint.method.lower()] = _operation(endpoint, endpoint.name)
    paths[_path(VERIFY_DOMAIN_SHORT)] = {"post": _operation(VERIFY_DOMAIN_SHORT, "verify_domain_without_shop_id")}
    document: Document = {
        "openapi": "3.1.0",
        "info": {"title": "Neuroon Plugin API", "version": "unversioned", "description": _ABOUT},
        "servers": [{"url": server}] if server else [{"url": known.value} for known in Environment],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": API_KEY_HEADER}},
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
            "responses": {name: _error_response(status) for status, (name, _) in _ERRORS.items()},
            "schemas": schemas(),
        },
    }
    return deepcopy(document)  # the caller may change it


def _path(endpoint: Endpoint) -> str:
    """The path with its parameters in the API's own style: ``{shopId}``."""
    return re.sub(r"_(\w)", lambda found: found.group(1).upper(), endpoint.path)


def _ref(kind: str, name: str) -> Document:
    return {"$ref": f"#/components/{kind}/{name}"}


def _operation(endpoint: Endpoint, operation_id: str) -> Document:
    summary, description, body, answer = _OPERATIONS[endpoint.name]
    operation: Document = {"operationId": operation_id, "summary": summary}
    if endpoint is VERIFY_DOMAIN_SHORT:
        description = f"The same under the path that one family of pages gives. {description}"
    if description:
        operation["description"] = description
    if endpoint is HEALTH:
        operation["security"] = []
        operation["responses"] = {"200": _answer(answer, headers=("RequestId",))}
        return operation
    parameters = re.findall(r"{(\w+)}", _path(endpoint))
    if endpoint.name == "sync_products":
        parameters.append("IdempotencyKey")
    operation["parameters"] = [_ref("parameters", name) for name in (*parameters, "AcceptLanguage", "Origin")]
    if body is not None:
        operation["requestBody"] = {"required": True, "content": _json(_ref("schemas", body))}
    operation["responses"] = _responses(endpoint, answer)
    if endpoint.limit is not None:
        operation["x-rate-limit"] = {"requests": endpoint.limit.requests, "window": endpoint.limit.per}
    operation["x-repeat-safe"] = endpoint.repeat_safe
    return operation


def _responses(endpoint: Endpoint, answer: str | None) -> Document:
    found = {"204" if answer is None else "200": _answer(answer)}
    if endpoint.name == "delete_product":
        found["200"] = _answer("OlderDeletion") | {"description": "Deleted, as an older page tells it."}
    if endpoint.name == "track_conversion":
        found["2XX"] = {"description": "Any other success.", "x-inferred": True}
    for status in sorted({*_ALWAYS, *_ALSO.get(endpoint.name, ())}):
        inferred = (endpoint.name, status) in _INFERRED_ERRORS
        found[str(status)] = (
            _error_response(status) | {"x-inferred": True} if inferred else _ref("responses", _ERRORS[status][0])
        )
    return found


def _answer(schema: str | None, *, headers: tuple[str, ...] = ("RequestId", "Limit", "Remaining")) -> Document:
    response: Document = {"description": "Success.", "headers": _headers(*headers)}
    if schema is not None:
        response["content"] = _json(_ref("schemas", schema))
    return response


def _error_response(status: int) -> Document:
    _, description = _ERRORS[status]
    content: Document = _json(_ref("schemas", "TooManyRequests" if status == 429 else "AnyError"))
    content["text/html"] = {"schema": {"type": "string", "description": "A proxy's page."}}
    if status == 400:
        content["application/json"]["examples"] = {
            message.partition(":")[0]: {"value": _example(status, message)} for message in _KNOWN_MESSAGES
        }
    names = ("RequestId", "RetryAfter", "Limit", "Remaining") if status == 429 else ("RequestId",)
    return {"description": description, "headers": _headers(*names), "content": content}


def _example(status: int, message: str) -> Document:
    return {
        "timestamp": "2026-01-31T12:00:00.000Z",
        "status": status,
        "error": "Bad Request",
        "message": message,
        "path": "/api/plugin/shops/shop_1/products/sync",
    }


def _json(schema: Document) -> Document:
    return {"application/json": {"schema": schema}}


def _headers(*names: str) -> Document:
    return {_HEADER_NAMES[name]: _ref("headers", name) for name in names}


_HEADER_NAMES = {
    "RequestId": REQUEST_ID_HEADER,
    "RetryAfter": RETRY_AFTER_HEADER,
    "Limit": RATE_LIMIT_HEADER,
    "Remaining": RATE_REMAINING_HEADER,
}
_HEADERS: Document = {
    "RequestId": {"description": "To be quoted in support cases.", "schema": {"type": "string"}},
    "RetryAfter": {"description": "Seconds; may be absent.", "schema": {"type": "string"}},
    "Limit": {"description": "Requests in a window; may be absent.", "schema": {"type": "integer", "minimum": 1}},
    "Remaining": {"description": "What is left of them; may be absent.", "schema": {"type": "integer", "minimum": 0}},
}

_SEGMENT = {"type": "string", "minLength": 1}
_PARAMETERS: Document = {
    "shopId": {"name": "shopId", "in": "path", "required": True, "schema": _SEGMENT},
    "externalId": {
        "name": "externalId",
        "in": "path",
        "required": True,
        "description": "Any text, as exactly one percent-encoded segment.",
        "schema": _SEGMENT,
    },
    "IdempotencyKey": {
        "name": IDEMPOTENCY_KEY_HEADER,
        "in": "header",
        "description": "Recommended: a stable hash of the batch. How long it is remembered is not documented.",
        "schema": {"type": "string"},
    },
    "AcceptLanguage": {
        "name": "Accept-Language",
        "in": "header",
        "description": f"One of {', '.join(Locale)}, with or without a region; anything else means {Locale.ES}.",
        "schema": {"type": "string"},
    },
    "Origin": {
        "name": "Origin",
        "in": "header",
        "description": "Left out between servers. Where it is sent, it must be the shop's registered URL; protocol, "
        "`www.` and a trailing slash do not matter.",
        "schema": {"type": "string"},
    },
}
