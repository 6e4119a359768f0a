"""The widget token against an independent reading of its documentation, and the tag that carries it."""

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroon_async import ConfigurationError, Environment, Locale, NeuroonClient, Secret, UsageError, WidgetTokenSigner
from neuroon_async.testing import verify_widget_token

KEY = "sk_0123456789abcdef0123456789abcdef"
NOW = 1_700_000_000
DAY = 24 * 3600


class Clock:
    def __init__(self, now=NOW):
        self.now = now
        self.readings = 0

    def __call__(self):
        self.readings += 1
        return self.now


def signer(clock, shop_id="shop_1", key=KEY):
    return WidgetTokenSigner(shop_id, key, clock=clock)


def signed_at(token):
    return int(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode().rsplit(":", 2)[1])


def hmac_sha256_by_hand(key, message):
    """RFC 2104, without the module that the package uses."""
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + message).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).hexdigest()


def test_a_token_is_what_openssl_makes_of_it():
    # printf 'shop_1:1700000000' | openssl dgst -sha256 -hmac sk_0123456789abcdef0123456789abcdef
    signature = "633bd2d1ccdf2b57baefacdad60ec78814908daf774ac59571649398e268ba10"
    expected = base64.b64encode(f"shop_1:1700000000:{signature}".encode(), altchars=b"-_").decode().replace("=", "")
    assert signer(Clock()).token() == expected


@given(
    shop_id=st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1), now=st.integers(0, 2**33)
)
def test_any_shop_and_time_are_signed_as_documented(shop_id, now):
    token = signer(Clock(now + 0.9), shop_id).token()
    signature = hmac_sha256_by_hand(KEY.encode(), f"{shop_id}:{now}".encode())
    assert base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode() == f"{shop_id}:{now}:{signature}"
    assert not set(token) & set("=+/")
    assert verify_widget_token(token, api_key=KEY, now=now) == shop_id


def test_a_token_is_cached_until_5_minutes_before_its_end():
    clock = Clock()
    one = signer(clock)
    first = one.token()
    clock.now = NOW + DAY - 300 - 1
    assert one.token() == first
    clock.now = NOW + DAY - 300
    renewed = one.token()
    assert signed_at(renewed) == clock.now


def test_a_clock_that_was_set_back_gives_no_token_from_the_future():
    clock = Clock()
    one = signer(clock)
    one.token()
    clock.now = NOW - 3600
    assert signed_at(one.token()) == NOW - 3600


def test_threads_share_one_token_and_never_see_half_a_renewal():
    clock = Clock()
    one = signer(clock)

    def renewals(worker):
        tokens = []
        for step in range(200):
            if worker == 0:
                clock.now = NOW + step * DAY
            tokens.append(one.token())
        return tokens

    with ThreadPoolExecutor(8) as pool:
        seen = {token for tokens in pool.map(renewals, range(8)) for token in tokens}
    for token in seen:
        assert verify_widget_token(token, api_key=KEY, now=signed_at(token)) == "shop_1"
    assert len(seen) <= 200


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.found = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def attributes_of(tag):
    tags = Tags(tag)
    ((name, attributes),) = tags.found
    assert name == "script"
    assert tags.text == ""
    return attributes


def test_the_documented_tag():
    one = signer(Clock())
    assert one.script_tag() == (
        f'<script src="https://cdn.neuroon.ai/widget.js" data-token="{one.token()}" '
        'data-container="#neuroon-search" data-theme="auto" async></script>'
    )
    assert " async" not in one.script_tag(load_async=False)


@given(container=st.text(), url=st.text())
def test_the_tag_is_one_element_whatever_its_attributes_hold(container, url):
    one = signer(Clock())
    tag = one.script_tag(container, script_url=f"/{url}")  # a path: text of any kind may begin like a foreign scheme
    assert not set(tag.removeprefix("<script ").removesuffix("></script>")) & set("<>")
    assert tag.count('"') == 8
    assert "'" not in tag


def test_attributes_arrive_as_they_were_given():
    nasty = """"><script>alert('1')</script>&amp;"""
    attributes = attributes_of(
        signer(Clock()).script_tag(
            nasty, "dark", script_url="http://127.0.0.1:1/w.js?a=1&b=2", integrity=f"sha256-{HASH}"
        )
    )
    assert attributes["data-container"] == nasty
    assert attributes["data-theme"] == "dark"
    assert attributes["src"] == "http://127.0.0.1:1/w.js?a=1&b=2"


HASH = "oqVuAfXRKap7fdgcCY5uykM6+R9GqQ8K/uxy9rx7HNQlGYl1kPzQho1wx4JwY8wC"


def test_every_documented_attribute():
    one = signer(Clock())
    tag = one.script_tag(
        theme="light",
        locale=Locale.ES,
        position="floating",
        version="0.9.10",
        integrity=f"sha384-{HASH}",
        nonce="r4nd0m+/==",
        api_url="https://dev-api.neuroon.ai/",
    )
    assert attributes_of(tag) == {
        "src": "https://cdn.neuroon.ai/widget@0.9.10/widget.js",
        "data-token": one.token(),
        "data-container": "#neuroon-search",
        "data-theme": "light",
        "data-locale": "es",
        "data-position": "floating",
        "data-api-url": "https://dev-api.neuroon.ai",
        "integrity": f"sha384-{HASH}",
        "crossorigin": "anonymous",
        "nonce": "r4nd0m+/==",
        "async": None,
    }


@pytest.mark.parametrize(
    "options",
    [
        {"theme": "purple"},
        {"theme": "Dark"},
        {"position": "left"},
        {"locale": "ja"},
        {"locale": "spanish"},
        {"locale": ""},
        {"version": "latest"},
        {"version": "../evil"},
        {"version": "1.0/x"},
        {"integrity": f"sha384-{HASH}"},  # of an address that changes
        {"integrity": "md5-abc", "version": "1.0"},
        {"integrity": 'sha384-"><x', "version": "1.0"},
        {"version": "1.0", "script_url": "/widget.js"},
        {"nonce": "a b"},
        {"nonce": '"'},
        {"nonce": ""},
        {"api_url": "dev-api.neuroon.ai"},
        {"api_url": "javascript:alert(1)"},
        {"api_url": "https://user:password@dev-api.neuroon.ai"},
        {"api_url": "https://a b"},
        {"api_url": "http://["},
        {"api_url": 7},
    ],
    ids=str,
)
def test_what_the_widget_does_not_know_is_refused(options):
    with pytest.raises(UsageError) as caught:
        signer(Clock()).script_tag(**options)
    assert caught.value.where in options


@pytest.mark.parametrize("locale", ["es-ES", "en_GB", Locale.EU, "ca"])
def test_locales_may_have_a_region(locale):
    assert attributes_of(signer(Clock()).script_tag(locale=locale))["data-locale"] == locale.replace("_", "-")


DEVELOPMENT = "https://dev-api.neuroon.ai"


@pytest.mark.parametrize(
    ("options", "api_url"),
    [
        ({}, None),
        ({"environment": Environment.DEVELOPMENT}, DEVELOPMENT),
        ({"environment": DEVELOPMENT}, DEVELOPMENT),
        ({"base_url": DEVELOPMENT}, DEVELOPMENT),
        ({"base_url": f"{DEVELOPMENT}/"}, DEVELOPMENT),
        ({"base_url": "https://api.neuroon.ai", "environment": Environment.DEVELOPMENT}, None),
        ({"base_url": "https://gateway.internal"}, None),
        ({"base_url": "https://gateway.internal", "environment": Environment.DEVELOPMENT}, DEVELOPMENT),
        ({"base_url": "http://127.0.0.1:8765"}, None),
    ],
    ids=str,
)
def test_a_token_is_taken_where_it_works_and_no_internal_address_is_published(options, api_url):
    client = NeuroonClient(shop_id="shop_1", api_key=KEY, **options)
    assert attributes_of(client.widget.script_tag()).get("data-api-url") == api_url
    chosen = client.widget.script_tag(api_url="https://api.example")
    assert attributes_of(chosen)["data-api-url"] == "https://api.example"


def test_a_signer_alone_knows_its_environment():
    alone = WidgetTokenSigner("shop_1", KEY, environment=Environment.DEVELOPMENT)
    assert attributes_of(alone.script_tag())["data-api-url"] == DEVELOPMENT
    with pytest.raises(UsageError, match="environment must be one of"):
        WidgetTokenSigner("shop_1", KEY, environment="http://127.0.0.1")


def test_the_client_signs_with_its_own_credentials_without_a_loop():
    client = NeuroonClient(shop_id="shop_1", api_key=KEY)
    token = client.widget.token()
    assert verify_widget_token(token, api_key=KEY, now=signed_at(token)) == "shop_1"
    assert client.widget is client.with_options(timeout=1).widget


@pytest.mark.parametrize("given", [str, Secret])
@pytest.mark.parametrize(
    ("shop_id", "key"), [("", KEY), ("a b", KEY), (KEY, "shop_1"), ("shop_1", ""), ("shop_1", "sk_\r\n")]
)
def test_credentials_that_cannot_be_are_refused(shop_id, key, given):
    with pytest.raises(ConfigurationError):
        WidgetTokenSigner(shop_id, given(key))


def test_a_key_of_another_shape_warns_once():
    with pytest.warns(UserWarning, match="does not look like") as warned:
        NeuroonClient(shop_id="shop_1", api_key="sk_live_old")
    assert len(warned) == 1
    with pytest.warns(UserWarning, match="does not look like"):
        WidgetTokenSigner("shop_1", "sk_live_old")
