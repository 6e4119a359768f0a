"""Proxies, certificates and headers of the user's own, through a real CONNECT proxy and a certificate authority."""

import asyncio
import contextlib
import ssl
import time

import aiohttp
import pytest
import trustme
from tunnel import HOST, Proxy, served_over_tls
from yarl import URL

from neuroon_async import ConfigurationError, ConnectionFailed, NeuroonClient, Product, RetryPolicy
from neuroon_async.testing import Emulator
from neuroon_async.transport.routes import Route, proxy_from_env

KEY = "sk_" + "0123456789abcdef" * 2
ONCE = RetryPolicy(attempts=1)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def client_of(port=443, **options):
    return NeuroonClient(
        **{"shop_id": "s", "api_key": KEY, "base_url": f"https://{HOST}:{port}", "retry": ONCE, **options}
    )


# Through the proxy


@pytest.mark.parametrize("own_session", [False, True])
@pytest.mark.parametrize("how", ["address", "function"])
async def test_a_request_goes_through_the_proxy_and_trusts_the_given_authority(authority, ca_file, how, own_session):
    async with served_over_tls(authority) as (port, seen), Proxy(port, credentials="user:p%40ss").running() as proxy:
        address = f"http://user:p%2540ss@{proxy.address}"
        asked = []

        def choose(url):
            asked.append(url)
            return address

        async with contextlib.AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession()) if own_session else None
            client = client_of(port, proxy=address if how == "address" else choose, ssl=ca_file, session=session)
            async with client:
                assert (await client.shop()).max_products == 7
                await client.products.delete("A")
        assert asked == ([] if how == "address" else [f"https://{HOST}:{port}/api/plugin/shops/me", asked[-1]])
    assert {head.split(" HTTP")[0] for head in proxy.requests} == {f"CONNECT {HOST}:{port}"}
    assert KEY not in "".join(proxy.requests)
    assert all("Proxy-Authorization" not in headers for headers in seen)


@pytest.mark.parametrize(
    ("refusal", "credentials", "says"),
    [
        ("403 Forbidden", None, "403 from the proxy: Forbidden; let the proxy allow this host"),
        (None, "user:pass", "407 from the proxy: Proxy Authentication Required; give the proxy's user and password"),
    ],
)
async def test_a_proxy_that_refuses_is_not_asked_again(authority, ca_file, refusal, credentials, says):
    async with (
        served_over_tls(authority) as (port, seen),
        Proxy(port, refusal=refusal, credentials=credentials).running() as proxy,
    ):
        client = client_of(port, proxy=f"http://{proxy.address}", ssl=ca_file, retry=RetryPolicy(attempts=9))
        async with client:
            with pytest.raises(ConnectionFailed) as caught:
                await client.domain.verify("https://shop.example")
            assert says in str(caught.value)
            assert caught.value.permanent
            assert not caught.value.maybe_processed
            assert len(proxy.requests) == 1
            assert client.limits()["verify_domain"].available == 5
            with pytest.raises(ConnectionFailed) as caught:  # a bulk run does not ride it out either
                await client.products.sync([Product(external_id="A", name="Tea", price=1, url="https://a.example")])
            assert caught.value.report.failed == 1
    assert seen == []


@pytest.mark.parametrize("address", ["127.0.0.1:9", None])
async def test_a_proxy_that_cannot_connect_is_asked_again(authority, address):
    async with Proxy(9, refusal="502 Bad Gateway").running() as proxy:
        policy = RetryPolicy(attempts=3, initial=0.0)
        async with client_of(proxy=f"http://{address or proxy.address}", retry=policy) as client:
            with pytest.raises(ConnectionFailed, match=r"502 from the proxy|cannot connect to the proxy") as caught:
                await client.shop()
        assert len(proxy.requests) == (3 if address is None else 0)
        assert not caught.value.maybe_processed


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "cannot connect through the proxy: it was closed without an answer; check proxy"),
        (b"<html>login</html>", "the proxy's answer is not HTTP: .*; check proxy"),
        (b"HTTP/1.1 200 OK\r\n\r\n", r"cannot connect to .*: \w+"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n", r"cannot connect to .*: \w+"),
    ],
)
async def test_a_proxy_that_is_none_is_told_as_the_proxys_fault(answer, says):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        address = f"http://user:hunter2@127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        async with client_of(proxy=address, retry=RetryPolicy(attempts=1)) as client:
            with pytest.raises(ConnectionFailed, match=says) as caught:
                await client.shop()
    assert not caught.value.maybe_processed
    assert "hunter2" not in str(caught.value)


async def test_what_a_function_chooses_is_checked_and_its_own_error_is_told():
    def broken(url):
        raise LookupError("no such proxy")

    for proxy, kind, says in (
        (lambda _: "ftp://x", ConfigurationError, "proxy must be"),
        (broken, ConnectionFailed, "LookupError"),
    ):
        async with client_of(proxy=proxy) as client:
            with pytest.raises(kind, match=says):
                await client.shop()


async def test_loopback_and_plain_http_never_use_a_proxy():
    def never(url):
        raise AssertionError(url)

    async with Emulator(algorithm="off") as emulator:
        for proxy in (never, "http://127.0.0.1:9"):
            client = NeuroonClient(
                shop_id=emulator.shop_id, api_key=emulator.api_key, base_url=emulator.url, proxy=proxy, retry=ONCE
            )
            async with client:
                await client.shop()
    route = Route("http://p.example:1")
    for url in ("http://emulator:8080/x", "https://127.0.0.1/x", "https://localhost/x", "https://[::1]/x"):
        assert route.proxy_for(URL(url)) is None


# Certificates


@pytest.mark.parametrize("as_context", [False, True])
async def test_a_given_authority_is_trusted(authority, ca_file, as_context):
    trust = ssl.create_default_context(cafile=ca_file) if as_context else str(ca_file)
    async with (
        served_over_tls(authority) as (port, _),
        client_of(base_url=f"https://127.0.0.1:{port}", ssl=trust) as client,
    ):
        assert (await client.shop()).max_products == 7


async def test_a_certificate_that_is_not_trusted_is_told_at_once_with_what_to_do(authority):
    async with served_over_tls(authority) as (port, seen):
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's own complaint
        async with client_of(base_url=f"https://127.0.0.1:{port}", retry=RetryPolicy(attempts=9)) as client:
            started = time.monotonic()
            with pytest.raises(
                ConnectionFailed, match=r"certificate is not trusted.*give its certificate auth"
            ) as caught:
                await client.shop()
            assert time.monotonic() - started < 20  # nine attempts would take minutes
            assert (caught.value.permanent, caught.value.maybe_processed) == (True, False)
    assert seen == []


@pytest.mark.parametrize("ssl_option", [5, False, True, "/nowhere/ca.pem", __file__])
def test_an_authority_that_cannot_be_read_is_refused(ssl_option):
    with pytest.raises(ConfigurationError, match=r"^ssl ") as caught:
        client_of(ssl=ssl_option)
    assert "_ssl.c" not in str(caught.value)


# Headers


async def test_headers_of_the_users_own_are_sent_with_every_request():
    async with Emulator(algorithm="off") as emulator:
        client = NeuroonClient(
            shop_id=emulator.shop_id,
            api_key=emulator.api_key,
            base_url=emulator.url,
            headers={"X-Gateway-Token": "t-1", "Authorization": "Bearer abc"},
        )
        async with client:
            await client.shop()
            await client.products.sync_batch([Product(external_id="A", name="Tea", price=1, url="https://a.example")])
        for request in emulator.requests:
            assert (request.headers["X-Gateway-Token"], request.headers["Authorization"]) == ("t-1", "Bearer abc")
        assert "abc" not in repr(client._transport.exchange) + repr(client._transport.exchange._route)


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"x-shop-api-key": "k"}, "must not hold x-shop-api-key: the SDK itself sends it; use the argument api_key"),
        ({"User-Agent": "k"}, "use the argument user_agent"),
        ({"Accept-Encoding": "br"}, "must not hold Accept-Encoding"),
        ({"Referer": "https://a.example"}, "must not hold Referer"),
        ({"X Y": "k"}, "no name of a header"),
        ({"X-Y": "k\r\nX-Evil: 1"}, "printable ASCII"),
        ([("X-Y", "k")], "must map names to values, got list"),
    ],
)
def test_headers_that_cannot_be_sent_are_refused(headers, says):
    with pytest.raises(ConfigurationError, match="headers") as caught:
        client_of(headers=headers)
    assert says in str(caught.value)


# Addresses


@pytest.mark.parametrize("proxy", ["proxy:3128", "socks5://p:1", "http://", 5, ""])
def test_a_proxy_that_is_none_is_refused_without_being_quoted(proxy):
    with pytest.raises(ConfigurationError, match=r"^proxy must be"):
        client_of(proxy=proxy)


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p.example:1"}, "http://p.example:1"),
        ({"HTTPS_PROXY": "p.example:1"}, "http://p.example:1"),
        ({"HTTPS_PROXY": "http://upper", "https_proxy": "http://lower"}, "http://lower"),
        ({"HTTPS_PROXY": " http://p.example:1\n", "https_proxy": " "}, "http://p.example:1"),
        ({"HTTP_PROXY": "http://p.example:1"}, None),
        ({"HTTPS_PROXY": "http://p.example:1", "NO_PROXY": "neuroon.ai", "no_proxy": " "}, None),
        *(
            ({"HTTPS_PROXY": "http://p.example:1", "NO_PROXY": exempt}, None)
            for exempt in (
                "*",
                "neuroon.ai",
                "a.example, .neuroon.ai",
                "api.neuroon.ai:443",
                "*.neuroon.ai",
                "API.neuroon.ai",
            )
        ),
        *(
            ({"HTTPS_PROXY": "http://p.example:1", "no_proxy": exempt}, "http://p.example:1")
            for exempt in ("", "euroon.ai", "api.neuroon.ai:8443", "neuroon.ai.example", "10.0.0.0/8", ",")
        ),
    ],
)
def test_the_proxy_of_the_environment(variables, proxy):
    assert proxy_from_env("https://api.neuroon.ai", variables) == proxy
    assert proxy_from_env("http://api.neuroon.ai", variables) is None
    assert proxy_from_env("https://127.0.0.1:8765", variables) is None


def test_networks_can_be_exempted():
    variables = {"HTTPS_PROXY": "http://p.example:1", "NO_PROXY": "10.0.0.0/8,[2001:db8::1]"}
    assert proxy_from_env("https://10.1.2.3", variables) is None
    assert proxy_from_env("https://[2001:db8::1]:8443", variables) is None
    assert proxy_from_env("https://11.1.2.3", variables) == "http://p.example:1"


def test_a_proxy_of_the_environment_that_is_none_is_named_by_its_variable():
    with pytest.raises(ConfigurationError, match=r"^HTTPS_PROXY must be"):
        proxy_from_env("https://api.neuroon.ai", {"HTTPS_PROXY": "socks5://user:secret@p:1"})
    with pytest.raises(ConfigurationError, match=r"^HTTPS_PROXY must be"):
        proxy_from_env("https://api.neuroon.ai", {"HTTPS_PROXY": "http://user:secret@exa mple:1"})


def test_from_env_takes_the_proxy_along(monkeypatch):
    monkeypatch.setenv("NEUROON_API_KEY", KEY)
    monkeypatch.setenv("NEUROON_SHOP_ID", "s")
    monkeypatch.setenv("HTTPS_PROXY", "http://p.example:1")
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    proxy_of = lambda client: client._transport.exchange._route.proxy_for(URL("https://api.neuroon.ai"))  # noqa: E731
    assert proxy_of(NeuroonClient.from_env()) == "http://p.example:1"
    assert proxy_of(NeuroonClient.from_env(proxy=None)) is None
    assert proxy_of(NeuroonClient.from_env(base_url="http://127.0.0.1:1")) is None
    assert proxy_of(NeuroonClient(shop_id="s", api_key=KEY)) is None


def test_plain_http_can_be_allowed():
    with pytest.raises(ConfigurationError, match="allow_plain_http=True"):
        NeuroonClient(shop_id="s", api_key=KEY, base_url="http://emulator:8080")
    client = NeuroonClient(shop_id="s", api_key=KEY, base_url="http://emulator:8080", allow_plain_http=True)
    assert client._transport.settings.base_url == "http://emulator:8080"


@pytest.mark.parametrize("kind", ["of the session", "of the environment"])
async def test_no_proxy_of_a_given_session_sees_what_goes_out_unencrypted(kind, monkeypatch):
    async with Emulator() as emulator, Proxy(0, refusal="502 Bad Gateway").running() as proxy:
        monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
        for exempt in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(exempt, raising=False)
        options = {"trust_env": True} if kind == "of the environment" else {"proxy": f"http://{proxy.address}"}
        async with aiohttp.ClientSession(**options) as session, emulator.client(session=session) as client:
            await client.shop()
            product = Product(external_id="A", name="Tea", price=1, url=f"{emulator.shop_url}/a")
            await client.products.sync_batch([product])
            await client.products.delete("A")
            assert proxy.requests == [], "each would have shown it the API key"
            async with session.get(emulator.url) as other:
                assert other.status == 502, "what else goes through the session is none of the SDK's business"
