import copy
import logging
import pickle
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroon_async import NeuroonClient, WidgetTokenSigner
from neuroon_async.api.contract import Environment, Locale
from neuroon_async.errors import ConfigurationError
from neuroon_async.settings import Secret, Settings, settings_from_env

KEY = "sk_0123456789abcdef0123456789ABCDEF"


def make(**changes):
    key = changes.pop("api_key", KEY)
    return Settings(**({"shop_id": "shop_1", "api_key": Secret(key)} | changes))


def test_the_defaults_are_production_and_nothing_optional():
    settings = make()
    assert settings.base_url == Environment.PRODUCTION == "https://api.neuroon.ai"
    assert (settings.locale, settings.origin, settings.user_agent) == (None, None, None)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (Environment.DEVELOPMENT, "https://dev-api.neuroon.ai"),
        ("https://api.neuroon.ai/", "https://api.neuroon.ai"),
        ("HTTPS://proxy.example:8443/neuroon//", "HTTPS://proxy.example:8443/neuroon"),
        ("http://127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("http://127.8.8.8", "http://127.8.8.8"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://LOCALHOST", "http://LOCALHOST"),
        ("http://[::1]:8765/", "http://[::1]:8765"),
    ],
)
def test_good_addresses(url, kept):
    assert make(base_url=url).base_url == kept


@pytest.mark.parametrize("path", ["/api/plugin", "/api/plugin/shops/", "/shop/api/plugin/shops/shop_1/products/sync"])
def test_an_address_that_was_copied_with_the_apis_own_path_is_refused(path):
    with pytest.raises(ConfigurationError, match="base_url must not hold the path /api/plugin/shops, which the SDK"):
        make(base_url=f"https://api.neuroon.ai{path}")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.neuroon.ai",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://127.0.0.1\\.evil.example",
        "http://[::2]",
        "HTTP://api.neuroon.ai",
    ],
)
def test_plain_http_stays_on_this_machine(url):
    with pytest.raises(ConfigurationError, match="plain http"):
        make(base_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.neuroon.ai",
        "//api.neuroon.ai",
        "ftp://api.neuroon.ai",
        "https://",
        "https:///path",
        "https://:443",
        "https://api.neuroon.ai:port",
        "https://api.neuroon.ai:99999",
        "https://[::1",
        "https://api.neuroon.ai\r\nX-Evil: 1",
        "https://api.neuroon.ai /",
        "https://ñ.example",
        "https://api.neuroon.ai?",
        "https://api.neuroon.ai?a=b",
        "https://api.neuroon.ai#",
        "https://api.neuroon.ai/#x",
        "https://user@api.neuroon.ai",
        "https://user:hunter2@api.neuroon.ai",
        "http://127.0.0.1@evil.example",
        "http://127.0.0.1\\@evil.example",
    ],
)
def test_bad_addresses(url):
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        make(base_url=url)
    assert "hunter2" not in str(caught.value)


BAD_KEYS = [f"{KEY}\n", f"{KEY}\r\nX-Evil: 1", f" {KEY}", f"{KEY[:9]} {KEY[9:]}", f"{KEY}\0", f"{KEY}ñ", f"{KEY}\ud800"]


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_that_no_header_can_carry_is_refused_and_never_quoted(key):
    with pytest.raises(ConfigurationError, match="API key") as caught:
        make(api_key=key)
    assert KEY[3:9] not in str(caught.value) + repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("key", ["", None])
def test_a_missing_key_names_its_variable(key):
    with pytest.raises(ConfigurationError, match="NEUROON_API_KEY"):
        make(api_key=key)


def test_a_key_of_another_shape_is_used_with_a_warning_that_does_not_quote_it():
    with pytest.warns(UserWarning, match="used as it is") as caught:
        settings = make(api_key="sk_live_abcdefgh")
    assert "abcdefgh" not in str(caught[0].message)
    assert settings.api_key.reveal() == "sk_live_abcdefgh"


class OwnClient(NeuroonClient):
    """As an application may have it."""

    def __init__(self, **options):
        super().__init__(**options)


ODD = {"shop_id": "shop_1", "api_key": "sk_live_abcdefgh"}


@pytest.mark.parametrize(
    "make_it",
    [
        lambda: NeuroonClient(**ODD),
        lambda: NeuroonClient.from_env(**ODD),
        lambda: OwnClient(**ODD),
        lambda: WidgetTokenSigner(**ODD),
    ],
    ids=["client", "from_env", "subclass", "signer"],
)
def test_a_warning_names_the_line_that_has_called_the_package(make_it, monkeypatch):
    monkeypatch.setenv("NEUROON_LOG", "loud")
    with pytest.warns(UserWarning, match=r"used as it is|NEUROON_LOG must be") as caught:
        make_it()
    assert {warning.filename for warning in caught} == {__file__}
    assert any("API key" in str(warning.message) for warning in caught)


def test_a_documented_key_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make()


@given(st.text())
def test_any_key_is_carried_exactly_or_refused_by_our_error(key):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            settings = make(api_key=key)
        except ConfigurationError:
            assert not key or not key.isascii() or not key.isprintable() or " " in key
        else:
            assert settings.api_key.reveal() == key


@pytest.mark.parametrize("shop_id", ["", "shop 1", "shop_1\n", "shop_1\r\nX-Evil: 1", "a\0b", "a\x7fb", "a\ud800"])
def test_bad_shop_ids(shop_id):
    with pytest.raises(ConfigurationError, match="shop_id"):
        make(shop_id=shop_id)


@pytest.mark.parametrize("name", ["origin", "user_agent"])
@pytest.mark.parametrize("value", ["", "https://shop.example\r\nX-Evil: 1", "a\n", "a\0", "ñ", "a\tb"])
def test_headers_cannot_be_injected(name, value):
    with pytest.raises(ConfigurationError, match=name):
        make(**{name: value})


def test_good_headers():
    settings = make(origin="https://shop.example", user_agent="my-shop/1.2 (nightly)")
    assert (settings.origin, settings.user_agent) == ("https://shop.example", "my-shop/1.2 (nightly)")


@pytest.mark.parametrize(
    ("locale", "sent"),
    [*((locale, str(locale)) for locale in Locale), ("es-ES", "es-ES"), ("en_GB", "en-GB"), ("PT-br", "PT-br")],
)
def test_good_locales(locale, sent):
    assert make(locale=locale).locale == sent


@pytest.mark.parametrize(
    "locale", ["", "ja", "english", "es-", "-es", "es ES", "es\r\nX-Evil: 1", "es,en;q=0.5", "es\n", 5, b"es"]
)
def test_bad_locales(locale):
    with pytest.raises(ConfigurationError, match="locale"):
        make(locale=locale)


def test_environment_variables():
    environ = {"NEUROON_API_URL": "https://dev-api.neuroon.ai", "NEUROON_API_KEY": KEY, "NEUROON_SHOP_ID": "shop_1"}
    assert settings_from_env(environ) == {
        "base_url": "https://dev-api.neuroon.ai",
        "api_key": KEY,
        "shop_id": "shop_1",
    }
    assert settings_from_env({"NEUROON_API_KEY": "", "OTHER": "x"}) == {}


def test_the_process_environment_is_the_default(monkeypatch):
    for name in ("NEUROON_API_URL", "NEUROON_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NEUROON_SHOP_ID", "shop_from_env")
    assert settings_from_env() == {"shop_id": "shop_from_env"}


def test_nothing_shows_the_key(caplog):
    settings = make()
    secret = settings.api_key
    logging.getLogger("test").warning("%s %r %s", secret, secret, settings)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r}", "%s" % secret, repr(settings), str([settings])]  # noqa: UP031
    assert not [text for text in (*shown, caplog.text) if KEY[3:] in text]
    assert not hasattr(secret, "__dict__")
    assert secret.reveal() == KEY


@pytest.mark.parametrize("take", [pickle.dumps, copy.deepcopy])
@pytest.mark.parametrize("holder", [Secret(KEY), make()], ids=["secret", "settings"])
def test_the_key_does_not_leave_by_pickling(take, holder):
    with pytest.raises(TypeError) as caught:
        take(holder)
    assert KEY not in str(caught.value)


def test_the_key_is_taken_out_of_what_others_wrote():
    secret = Secret(KEY)
    assert secret.redact(f"bad key {KEY}, {KEY}!") == "bad key [API key], [API key]!"
    assert secret.redact(f"{KEY}{KEY}") == "[API key][API key]"
    assert secret.redact(f"cut off: {KEY[:20]}") == "cut off: [API key]"
    assert secret.redact(f"{KEY[:11]}… and {KEY[:10]}…") == f"[API key]… and {KEY[:10]}…"


def test_escapes_do_not_hide_the_key():
    escaped = "".join(f"\\u{ord(letter):04X}" for letter in KEY)
    assert Secret(KEY).redact(f'{{"key":"{escaped}"}} {KEY}') == '{"key":"[API key]"} [API key]'
    assert Secret("sk/live/0123456789+=").redact(r"a sk\/live\/0123456789\u002b= b") == "a [API key] b"


@pytest.mark.parametrize("text", ["", "nothing here", r"an id: SKU\u002d1, a\u006eb", "sk_live_ other", "\\"])
def test_other_text_stays_as_it_is(text):
    assert Secret(KEY).redact(text) is text


@pytest.mark.parametrize(
    ("key", "text", "shown"),
    [
        ("x", "expired x, next", "expired [API key], next"),
        ("test", "the latest test-1 test", "the latest [API key]-1 [API key]"),
        ("1234", '{"limit":12345,"key":"1234"}', '{"limit":12345,"key":"[API key]"}'),
        ("ab=", "ab=cd ab=", "[API key]cd [API key]"),  # a letter after its "=" belongs to another word
        ("sk_" + "5" * 5_000, "sk_" + "5" * 5_000 + "6", "[API key]6"),
    ],
)
def test_keys_of_any_length(key, text, shown):
    assert Secret(key).redact(text) == shown


@pytest.mark.parametrize("key", [b"sk_0123456789abcdef", 5, ["sk_0123456789abcdef"]], ids=repr)
def test_a_key_that_is_no_text_is_refused_without_being_quoted(key):
    with pytest.raises(ConfigurationError, match=rf"api_key must be text, got {type(key).__name__}$") as caught:
        Settings(shop_id="shop_1", api_key=Secret(key))
    assert "0123" not in repr(caught.value)
