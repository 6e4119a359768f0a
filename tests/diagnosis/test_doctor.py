"""What `neuroon doctor` finds: under every reading of the documentation, and wherever the way to the server ends."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import socket
import ssl
import time

import pytest
import trustme
from tunnel import HOST, Proxy, in_front_of

from neuroon_async import DOCUMENTED_RATE_LIMITS, RateLimit
from neuroon_async.diagnosis.findings import Cause, Verdict, diagnose
from neuroon_async.diagnosis.observations import Probe
from neuroon_async.diagnosis.probing import Access, examine
from neuroon_async.diagnosis.readings import read
from neuroon_async.diagnosis.support import support_block
from neuroon_async.settings import Secret
from neuroon_async.testing import Emulator, Fault, Readings

KEY = "sk_" + "0d0c7042" * 4
OTHER_KEY = "sk_" + "0d0c7043" * 4


def access_to(emulator, **options):
    own = {"base_url": emulator.url, "shop_id": emulator.shop_id, "api_key": Secret(emulator.api_key), "timeout": 5.0}
    return Access(**own | options)


async def doctor(access):
    """The findings by topic, and all that was seen. The key is in nothing of it."""
    seen = await examine(access)
    findings = diagnose(seen)
    shown = f"{seen}{findings}{read(seen)}{support_block(seen)}"
    assert KEY not in shown
    assert OTHER_KEY not in shown
    return {finding.topic: finding for finding in findings}, seen


def problems(findings):
    return {topic: finding.what for topic, finding in findings.items() if finding.verdict is Verdict.BAD}


def told(finding):
    return f"{finding.what}; {finding.advice}" if finding.advice else finding.what


# A server that is well


@pytest.mark.parametrize("readings", Readings.each(), ids=str)
async def test_every_reading_of_the_documentation_is_told_and_none_is_a_problem(readings):
    async with Emulator(api_key=KEY, readings=readings) as emulator:
        findings, seen = await doctor(access_to(emulator))
        products, verified = emulator.products, emulator.verified
    assert problems(findings) == {}
    seen_points = {reading.point: reading for reading in read(seen)}
    assert all(reading.documented for reading in seen_points.values())
    said = {point: reading.seen for point, reading in seen_points.items()}
    assert said["rate-limit headers"].startswith("sent" if readings.rate_headers == "sent" else "not sent")
    assert said["request id"].startswith("sent" if readings.request_id == "sent" else "not sent")
    assert said["a key at another shop's path"] == str(readings.foreign_shop)
    assert said["Referer, where there is no Origin"].startswith(readings.referer)
    named = {"verified_at": "verifiedAt"}.get(readings.verification_data, "instructions")
    assert named in said["verification data"]
    if readings.errors not in {"html", "empty", "coded", "nested"}:
        assert ("without" in said["times"]) is (readings.times == "without_offset")
    shapes = {
        None: "{timestamp, status, error, message, path}",
        "standard": "{timestamp, status, error, message, path}",
        "bare": "{timestamp, status, error, path}",
        "coded": "{code, message, details}",
        "nested": "nested {error: {code, message}}",
        "html": "a web page",
        "empty": "empty",
    }
    assert shapes[readings.errors] in said["error bodies"]
    assert (products, verified) == ({}, False)


async def test_it_spends_at_most_a_tenth_of_every_limit_and_only_reads():
    async with Emulator(api_key=KEY) as emulator:
        await doctor(access_to(emulator))
        requests = list(emulator.requests)
    assert {request.method for request in requests} == {"GET"}
    assert not any("/verify" in request.raw_path.removesuffix("verification-data") for request in requests)
    for part, name in (("/me", "shop"), ("/verification-data", "verification_data"), ("/products", "delete_product")):
        spent = sum(part in request.raw_path for request in requests)
        assert 0 < spent <= DOCUMENTED_RATE_LIMITS[name].requests / 10


async def test_all_is_told_of_a_server_that_is_well():
    async with Emulator(api_key=KEY) as emulator:
        emulator.verified = True
        findings, seen = await doctor(access_to(emulator))
    assert {finding.verdict for finding in findings.values()} == {Verdict.GOOD}
    assert findings["plan"].what == "products at most 1,000,000, searches a month 10,000"
    assert findings["shop id"].what == "the key belongs to shop_test"
    assert findings["domain"].what.startswith("verified since ")
    assert findings["clock"].what == "agrees with the server's"
    assert findings["limits"].what == "verification_data: 20 requests in 60 s, as documented, 19 left"
    assert set(seen.exchanges) == set(Probe) - {Probe.ELSEWHERE}
    block = support_block(seen)
    for needed in (
        "Environment: ",
        "Shop: shop_test",
        "X-Request-ID: req_",
        "X-RateLimit-Limit: 60",
        "timestamp: ",
        f"GET {emulator.url}/api/plugin/shops/me -> 200",
        "Payload: none",
    ):
        assert needed in block


# What the user gave


@pytest.mark.parametrize(
    ("options", "topic", "says"),
    [
        ({"api_key": None}, "API key", "not set; set NEUROON_API_KEY"),
        ({"shop_id": None}, "shop id", "not set; set NEUROON_SHOP_ID"),
        ({"api_key": Secret("sk_ 1\n")}, "API key", "holds spaces, line breaks"),
        ({"shop_id": KEY}, "shop id", "holds what looks like an API key"),
        ({"base_url": KEY}, "address", "does not begin with https://"),
        ({"shop_id": "a b"}, "shop id", "without spaces"),
        ({"base_url": "https://"}, "address", "it names no host"),
        ({"base_url": "http://emulator:1"}, "address", "plain http to emulator"),
        ({"ca_file": "/nowhere/ca.pem"}, "certificates", "/nowhere/ca.pem cannot be read"),
        ({"proxy": "socks5://p:1"}, "proxy", "must be the address of an HTTP proxy"),
        ({"base_url": "https://x.invalid", "environ": {"HTTPS_PROXY": "ftp://u:p@x"}}, "proxy", "an HTTP proxy"),
    ],
)
async def test_settings_that_cannot_work(options, topic, says):
    async with Emulator(api_key=KEY) as emulator:
        findings, _ = await doctor(access_to(emulator, **options))
        assert emulator.requests == []
    assert list(problems(findings)) == [topic]
    assert says in told(findings[topic])
    assert findings[topic].cause is Cause.SETTINGS


@pytest.mark.parametrize(
    ("key", "says"), [("sk_live_" + "4f" * 9, "older shape"), ("secret-key-of-the-shop", "does not look like")]
)
async def test_a_key_of_another_shape_is_used_and_worth_a_word(key, says):
    async with Emulator(api_key=key) as emulator:
        with pytest.warns(UserWarning, match="does not look like"):
            findings, _ = await doctor(access_to(emulator))
    assert problems(findings) == {}
    assert (findings["API key"].verdict, says in findings["API key"].what) == (Verdict.NOTE, True)


# The way there


async def test_no_such_name():
    findings, seen = await doctor(Access("https://neuroon.invalid", "s", Secret(KEY)))
    assert "cannot find the host neuroon.invalid" in problems(findings)["name"]
    assert "proxy='http://host:port'" in told(findings["name"])
    assert seen.exchanges == {}


async def test_nobody_listens():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        findings, _ = await doctor(Access(f"http://127.0.0.1:{port}", "s", Secret(KEY)))
    assert problems(findings) == {"connection": f"cannot connect to 127.0.0.1:{port}: Connection refused"}


async def test_a_server_that_does_not_speak_tls():
    async with Emulator(api_key=KEY) as emulator:
        url = emulator.url.replace("http:", "https:")
        findings, _ = await doctor(access_to(emulator, base_url=url))
        assert emulator.requests == []
    assert "may not speak TLS: check base_url" in told(findings["certificate"])
    assert list(problems(findings)) == ["certificate"]


@pytest.fixture(scope="module")
def authority():
    return trustme.CA(organization_name="Proxies of the office")


NOW = dt.datetime.now(dt.UTC)


@pytest.mark.parametrize(
    ("trusts", "certificate", "says"),
    [
        (False, {}, "not trusted: unable to get local issuer certificate; it is issued by Proxies of the office"),
        (True, {"not_before": NOW - dt.timedelta(9), "not_after": NOW - dt.timedelta(2)}, "has expired"),
        (True, {"not_before": NOW + dt.timedelta(2), "not_after": NOW + dt.timedelta(9)}, "not yet valid"),
        (True, {"identities": ["other.example"]}, "for other.example"),
    ],
    ids=["authority", "expired", "not yet valid", "host"],
)
async def test_a_certificate_that_cannot_be_trusted(authority, ca_file, trusts, certificate, says):
    issued = authority.issue_cert(*certificate.pop("identities", ["127.0.0.1"]), **certificate)
    async with Emulator(api_key=KEY) as emulator, in_front_of(emulator.port, issued) as port:
        url = f"https://127.0.0.1:{port}"
        findings, seen = await doctor(access_to(emulator, base_url=url, ca_file=ca_file if trusts else None))
        assert emulator.requests == []
    assert says in problems(findings)["certificate"]
    assert list(problems(findings)) == ["certificate"]
    assert findings["certificate"].advice is not None
    assert seen.connection.certificate.issuer == "Proxies of the office"


@pytest.mark.parametrize(
    ("days", "verdict", "says"), [(100, Verdict.GOOD, "TLSv1.3"), (3, Verdict.NOTE, "2 days are left")]
)
async def test_a_trusted_certificate_is_told_with_its_end_and_who_can_read_along(
    authority, ca_file, days, verdict, says
):
    issued = authority.issue_cert("127.0.0.1", not_after=dt.datetime.now(dt.UTC) + dt.timedelta(days))
    async with Emulator(api_key=KEY) as emulator, in_front_of(emulator.port, issued) as port:
        findings, _ = await doctor(access_to(emulator, base_url=f"https://127.0.0.1:{port}", ca_file=ca_file))
    assert problems(findings) == {}
    assert findings["certificate"].verdict is verdict
    assert says in findings["certificate"].what
    assert "Proxies of the office can read all that is sent" in findings["authority"].what


async def test_the_authority_is_told_also_where_a_variable_gives_it(authority, ca_file, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    known = ssl.get_default_verify_paths()._replace(openssl_capath=str(tmp_path), openssl_cafile="/nowhere")
    issued = authority.issue_cert("127.0.0.1")
    async with Emulator(api_key=KEY) as emulator, in_front_of(emulator.port, issued) as port:
        access = access_to(emulator, base_url=f"https://127.0.0.1:{port}", ca_file=ca_file)
        for paths, says in ((known, True), (known._replace(openssl_capath="/nowhere"), False)):
            monkeypatch.setattr(ssl, "get_default_verify_paths", lambda paths=paths: paths)
            findings, _ = await doctor(access)
            assert ("authority" in findings) is says
            assert problems(findings) == {}


async def test_through_a_proxy(authority, ca_file):
    issued = authority.issue_cert(HOST)
    async with (
        Emulator(api_key=KEY) as emulator,
        in_front_of(emulator.port, issued) as port,
        Proxy(port, credentials="user:p%40ss").running() as proxy,
    ):
        url, address = f"https://{HOST}:{port}", f"http://user:p%2540ss@{proxy.address}"
        for options in ({"proxy": address}, {"environ": {"HTTPS_PROXY": address}}):
            findings, seen = await doctor(access_to(emulator, base_url=url, ca_file=ca_file, **options))
            assert problems(findings) == {}
            assert findings["proxy"].what == f"requests go through http://{proxy.address}"
            assert "p%40ss" not in f"{seen}{support_block(seen)}"
        assert KEY not in "".join(proxy.requests)
    assert {head.split(" HTTP")[0] for head in proxy.requests} == {f"CONNECT {HOST}:{port}"}


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        ("407 Login", "407 from the proxy: Login; give the proxy's user and password: proxy='http://user:pass"),
        ("403 No", "403 from the proxy: No; let the proxy allow this host"),
        ("502 Bad Gateway", "502 from the proxy: Bad Gateway"),
        ("nonsense", "does not answer as an HTTP proxy"),
    ],
)
async def test_a_proxy_that_does_not_lead_there(refusal, says):
    async with Proxy(9, refusal=refusal).running() as proxy:
        findings, _ = await doctor(Access(f"https://{HOST}", "s", Secret(KEY), proxy=f"http://{proxy.address}"))
    assert says in told(findings["connection"])
    findings, _ = await doctor(Access(f"https://{HOST}", "s", Secret(KEY), proxy=f"http://{proxy.address}"))
    assert problems(findings) == {"connection": f"cannot connect to the proxy {proxy.address}: Connection refused"}


@pytest.mark.virtual_time
async def test_a_server_that_accepts_and_says_nothing():
    writers = []
    server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        access = Access(f"https://127.0.0.1:{port}", "s", Secret(KEY), timeout=0.2)
        findings, _ = await doctor(access)
        for writer in writers:
            writer.close()
    assert problems(findings) == {"certificate": "the TLS handshake did not end within 0.2 s"}


# What the server says


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault.status(401, f"no, {KEY}"), "answers 401: no, [API key]; check the API key and the environment"),
        (Fault.status(403, "Origin mismatch"), "answers 403: Origin mismatch; the key may belong to another shop"),
        (
            Fault.status(429, "Too many", headers={"Retry-After": "7"}),
            "something else uses up this key's limit: come back in 7 s",
        ),
        (Fault.status(500), "answers 500: Internal Server Error; see https://status.neuroon.ai"),
        (Fault.status(503), "answers 503: Service Unavailable; see https://status.neuroon.ai"),
        (Fault.html(200), "a web page answered instead of the API"),
        (Fault.html(502), "answers 502"),
        (Fault.drop(), "connection lost"),
        (Fault.hang(), "no answer within 0.3 s; a longer timeout tells whether it is only slow"),
    ],
    ids=["401", "403", "429", "500", "503", "page", "page 502", "drop", "hang"],
)
async def test_what_the_server_answers_to_the_key(fault, says):
    async with Emulator(api_key=KEY) as emulator:
        emulator.fail("shop", fault, times=None)
        findings, seen = await doctor(access_to(emulator, timeout=0.3))
    assert says in told(findings["credentials"])
    assert list(problems(findings)) == ["credentials"]
    assert findings["credentials"].cause is Cause.SERVER
    assert (Probe.VERIFICATION_DATA in seen.exchanges) is (seen.exchanges[Probe.SHOP].status in {403, 429})
    assert f"GET {emulator.url}/api/plugin/shops/me -> " in support_block(seen)


async def test_a_key_of_the_other_environment_is_recognised():
    async with Emulator(api_key=KEY) as production, Emulator(api_key=OTHER_KEY) as development:
        there = {production.url: development.url}
        access = access_to(production, api_key=Secret(OTHER_KEY), other_environments=there)
        findings, _ = await doctor(access)
        assert told(findings["credentials"]).endswith(
            f"the key is one of the other environment; use it there: NEUROON_API_URL={development.url}, "
            f"or base_url='{development.url}'"
        )
        assert [request.endpoint for request in development.requests] == ["shop"]
        findings, _ = await doctor(access_to(production, api_key=Secret("sk_" + "9" * 32), other_environments=there))
        assert "answers 401" in problems(findings)["credentials"]


async def test_the_key_of_another_shop_is_recognised():
    async with Emulator("shop_mine", KEY) as emulator:
        findings, _ = await doctor(access_to(emulator, shop_id="shop_yours"))
    assert list(problems(findings)) == ["shop id"]
    assert "the key is accepted, but not for shop_yours; the key is one of shop_mine" in findings["shop id"].what


@pytest.mark.parametrize("fault", [Fault.status(404), Fault.status(401), Fault.html(200)])
async def test_a_health_page_that_is_not_there_is_no_harm_and_one_that_is_ill_is(fault):
    async with Emulator(api_key=KEY) as emulator:
        emulator.fail("health", fault, times=None)
        findings, _ = await doctor(access_to(emulator))
        assert findings["service"].verdict is not Verdict.GOOD
        assert "plan" in findings
        emulator.faults.clear()
        emulator.fail("health", Fault.status(503), times=None)
        findings, _ = await doctor(access_to(emulator))
        assert "answers 503" in problems(findings)["service"]


@pytest.mark.parametrize(
    ("offset", "verdict", "says"),
    [
        (0, Verdict.GOOD, "agrees"),
        (3, Verdict.GOOD, "ahead of the server's"),
        (47, Verdict.NOTE, "4[5-7] s ahead of the server's"),
        (-47, Verdict.NOTE, "4[5-7] s behind the server's"),
        (1_000, Verdict.BAD, "17 min ahead of the server's: tokens for the widget are signed for the future"),
        (-90_000, Verdict.BAD, "25.0 h behind the server's: expired widget tokens are served"),
    ],
)
async def test_a_clock_that_is_off(offset, verdict, says):
    async with Emulator(api_key=KEY) as emulator:
        findings, _ = await doctor(access_to(emulator, wall_clock=lambda: time.time() + offset))
    async with Emulator(api_key=KEY, wall_clock=lambda: time.time() - offset) as emulator:
        same, _ = await doctor(access_to(emulator))
    assert findings["clock"].verdict is same["clock"].verdict is verdict
    assert re.search(says, findings["clock"].what)


async def test_limits_that_differ_are_told():
    limits = {"shop": RateLimit(30, per=60.0), "verification_data": RateLimit(40, per=60.0)}
    async with Emulator(api_key=KEY, rate_limits=limits) as emulator:
        seen = await examine(access_to(emulator))
    told_limits = [told(finding) for finding in diagnose(seen) if finding.topic == "limits"]
    assert told_limits == [
        "shop: 30 requests, 28 left; documented are 60 in 60 s; the SDK keeps to it by itself",
        "verification_data: 40 requests, 39 left; documented are 20 in 60 s; the SDK keeps to the table",
    ]
    async with Emulator(api_key=KEY) as emulator:
        emulator.spend("shop", 40)
        seen = await examine(access_to(emulator))
    used = next(finding for finding in diagnose(seen) if finding.topic == "limits")
    assert told(used).startswith("shop: 60 requests in 60 s, 18 left; something else uses this key")


async def test_a_slow_server_is_told():
    async with Emulator(api_key=KEY) as emulator:
        ticks = iter(range(1000))
        findings, _ = await doctor(access_to(emulator, wall_clock=lambda: time.time() + 3 * next(ticks)))
    assert findings["speed"].verdict is Verdict.NOTE
    assert "/me takes 3.0 s" in findings["speed"].what
