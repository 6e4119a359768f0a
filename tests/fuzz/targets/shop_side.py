"""What the shop's own side is given by strangers: the click cookie, stored bodies, widget tokens, settings, JSON."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from html.parser import HTMLParser

import msgspec

from fuzz.targets.target import KEY, SECRET, Target, assert_no_key
from neuroon_async import ClickLog, Conversion, OrderLine
from neuroon_async.api.fast_lane import from_json
from neuroon_async.api.models import encode
from neuroon_async.api.requests import as_product
from neuroon_async.api.responses import read_json
from neuroon_async.api.validation import check_conversion
from neuroon_async.errors import ConfigurationError, InvalidConversion, InvalidProduct, UsageError
from neuroon_async.outbox.bodies import UnreadableBody, conversion_of, same_content, stored_body
from neuroon_async.resources.widget import WidgetTokenSigner
from neuroon_async.settings import Secret, Settings
from neuroon_async.testing.widget import InvalidWidgetToken, verify_widget_token

__all__ = ["TARGETS"]


def check_cookie(data: bytes) -> None:
    log = ClickLog.parse(data)
    assert ClickLog.parse(data.decode("utf-8", "replace")) == log
    for external_id, search in log.entries.items():
        assert external_id
        assert search
        msgspec.json.encode((external_id, search))
        assert log.get(external_id) == search
    assert ClickLog.parse(json.dumps(dict(log.entries))) == log, "what was read is read again as the same"
    lines = [OrderLine(product_id=each, quantity=1, line_total=Decimal(1)) for each in log.entries]
    order = Conversion.from_order(order_id="1", order_value=1, currency="EUR", lines=lines, clicks=log)
    if lines:
        check_conversion(order)
        assert conversion_of(stored_body(order)).conversions == order.conversions


def check_stored_body(data: bytes) -> None:
    try:
        conversion = conversion_of(data)
    except UnreadableBody:
        assert same_content(data, data)
        assert not same_content(data, data + b" x")
        return
    assert same_content(data, data)
    try:
        check_conversion(conversion)
    except InvalidConversion:
        return  # a stored one was checked before, so this is none of ours
    body = stored_body(conversion)
    assert conversion_of(body) == conversion
    assert stored_body(conversion_of(body)) == body, "the same bytes at each delivery"


def check_product_json(data: bytes) -> None:
    """The fast lane takes nothing that the careful lane refuses, and what it takes stays the same when sent again."""
    product = from_json(data)
    try:
        document = json.loads(data, parse_float=Decimal)
    except (ValueError, RecursionError, InvalidOperation):
        document = None
    if isinstance(document, dict):
        try:
            careful = as_product(document)
        except InvalidProduct as error:
            careful, refusal = None, error
        else:
            encode(careful)
            refusal = None
        assert product is None or careful is not None, f"only the careful lane refuses it: {refusal}"
        assert product is None or _same(product, careful), (product, careful)
    if product is not None:
        sent = encode(product)
        again = from_json(sent)
        assert again is not None, f"what was sent cannot be read again: {sent!r}"
        assert encode(again) == sent


def _same(one: object, other: object) -> bool:
    return encode(one) == encode(other)


def check_json(data: bytes) -> None:
    try:
        document = read_json(data)
    except msgspec.DecodeError:
        return
    json.dumps(document)
    json.dumps(document, ensure_ascii=False).encode()


def check_token(data: bytes) -> None:
    token = data.decode("utf-8", "replace")
    try:
        shop = verify_widget_token(token, api_key=KEY, now=1_700_000_000.0)
    except InvalidWidgetToken as error:
        assert_no_key(error)
    else:
        raise AssertionError(f"a token that nobody signed is taken for one of {shop!r}")


class _Scripts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


_ATTRIBUTES = ("container", "theme", "locale", "position", "api_url", "version", "integrity", "nonce", "script_url")


def check_script_tag(data: bytes) -> None:
    """Lines of ``name=value``; ``shop`` is the shop's id. Whatever they hold, the page gets one element and no key."""
    given = dict(line.partition("=")[::2] for line in data.decode("utf-8", "replace").split("\n"))
    options = {name: given[name] for name in _ATTRIBUTES if name in given}
    try:
        signer = WidgetTokenSigner(given.get("shop", "shop_1"), SECRET, clock=lambda: 1_700_000_000.5)
        token = signer.token()
        tag = signer.script_tag(**options)
    except (ConfigurationError, UsageError) as error:
        assert_no_key(error)
        return
    assert verify_widget_token(token, api_key=KEY, now=1_700_000_001.0) == given.get("shop", "shop_1")
    page = _Scripts()
    page.feed(tag)
    page.close()
    assert [name for name, _ in page.tags] == ["script"], tag
    attributes = page.tags[0][1]
    assert attributes["data-token"] == token
    assert attributes["data-container"] == options.get("container", "#neuroon-search")
    assert not any(name.startswith("on") for name in attributes)
    assert_no_key(tag, repr(signer))


def check_settings(data: bytes) -> None:
    """Lines of ``name=value``. The key is refused or kept, and told to nobody."""
    given = dict(line.partition("=")[::2] for line in data.decode("utf-8", "surrogateescape").split("\n"))
    names = ("base_url", "locale", "origin", "user_agent")
    key = given.get("api_key", KEY)
    try:
        settings = Settings(
            given.get("shop_id", "shop_1"), Secret(key), **{name: given[name] for name in names if name in given}
        )
    except ConfigurationError as error:
        told = f"{error}"
    else:
        told = repr(settings)
        for text in (data.decode("latin-1"), f"x{key}x", json.dumps(key)):
            redacted = settings.api_key.redact(text)
            assert len(key) < 11 or key not in redacted
            assert len(key) < 11 or settings.api_key.redact(redacted) == redacted  # a short one may be in "[API key]"
    said_anyway = [repr(Settings("shop_1", SECRET)), *(given[name] for name in ("shop_id", *names) if name in given)]
    assert len(key) < 11 or any(key in text for text in said_anyway) or key not in told


def _lines(**values: str) -> bytes:
    return "\n".join(f"{name}={value}" for name, value in values.items()).encode()


TARGETS = (
    Target(
        "cookie",
        check_cookie,
        1.5,
        (b"%7B%22", b"%22%3A%22", b"%22%2C%22", b"%22%7D", b'{"', b'":"', b'","', b'"}', b"%25", b"\\054", b"\\ud800"),
        lambda: [b"%7B%22SKU-1%22%3A%22log-1%22%2C%22SKU-2%22%3A%22lo", b'{"a":"b","c":1}', b'"{\\"a\\":\\"b\\"}"'],
    ),
    Target(
        "stored-body",
        check_stored_body,
        0.5,
        (b'"orderId"', b'"orderValue"', b'"currency"', b'"conversions"', b'"productId"', b'"lineTotal"', b"1e400"),
        lambda: [
            (
                b'{"orderId":"1","orderValue":14.50,"currency":"EUR","conversions":'
                b'[{"productId":"a","searchLogId":"l","quantity":1,"lineTotal":9}]}'
            )
        ],
    ),
    Target(
        "product-json",
        check_product_json,
        1.5,
        (
            b'"externalId"',
            b'"price"',
            b'"salePrice"',
            b'"imageUrl"',
            b'"rating"',
            b"http://",
            b"1e400",
            b"-0.0",
            b"null",
        ),
        lambda: [
            b'{"externalId":"1","name":"n","price":1.50,"url":"https://shop.example/1","rating":4.5,"tags":["a"]}',
            b'{"external_id":"1","name":"n","price":1,"url":"http://a","attributes":{"a":"b"},"sale_price":null}',
        ],
    ),
    Target(
        "json", check_json, 0.7, (b"NaN", b"1e999", b"\\ud800", b"\xef\xbb\xbf"), lambda: [b'{"a":[1,NaN,"\\ud800"]}']
    ),
    Target("widget-token", check_token, 0.3, (), lambda: [b"c2hvcF8xOjE3MDAwMDAwMDA6YWJj"], longest=512),
    Target(
        "script-tag",
        check_script_tag,
        0.7,
        (*tuple(f"{name}=".encode() for name in (*_ATTRIBUTES, "shop")), b'"><script>', b"javascript:", b"sha384-"),
        lambda: [
            _lines(container='#a"b', theme="dark", locale="es-ES", position="floating", shop="shop_1"),
            _lines(version="0.9.10", integrity="sha384-abc", nonce="abc=", api_url="https://a.example"),
            _lines(script_url="https://cdn.example/x.js"),
        ],
        longest=1_024,
    ),
    Target(
        "settings",
        check_settings,
        0.7,
        (b"shop_id=", b"api_key=", b"base_url=", b"http://127.0.0.1", b"https://[::1]:1", b"locale=es", b"\\u0073"),
        lambda: [
            _lines(shop_id="shop_1", api_key=KEY, base_url="https://api.example:8443/x/", locale="pt-BR"),
            _lines(origin="https://shop.example", user_agent="x/1", base_url="http://localhost:1"),
        ],
        longest=1_024,
    ),
)
