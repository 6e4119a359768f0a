"""How the commands reach the server: proxies, certificates, addresses, and advice in the command's own words."""

from __future__ import annotations

import json
import time

import pytest
import trustme
from test_cli import KEY, environment, neuroon
from tunnel import HOST, Proxy, in_thread, served_over_tls

from neuroon_async import RetryPolicy
from neuroon_async.testing import DEFAULT_API_KEY, verify_widget_token


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(autouse=True)
def once(monkeypatch):
    monkeypatch.setattr("neuroon_async.client.RetryPolicy", lambda: RetryPolicy(attempts=1))
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


def market(folder, port):
    (folder / "tea.jsonl").write_text('{"externalId": "T", "name": "Tea", "price": 1, "url": "https://shop.example/t"}')
    file = folder / "markets.toml"
    file.write_text(
        'file = "tea.jsonl"\n[[market]]\nname = "es"\nshop_id = "s"\napi_key_variable = "NEUROON_API_KEY"\n'
        f'api_url = "https://{HOST}:{port}"\n'
    )
    return file


@pytest.mark.parametrize("by", ["options", "variables"])
def test_every_network_command_goes_through_the_proxy_and_trusts_the_authority(authority, ca_file, tmp_path, by):
    with in_thread(served_over_tls(authority)) as [(port, seen)], in_thread(Proxy(port).running()) as [proxy]:
        environ = environment() | {"NEUROON_API_URL": f"https://{HOST}:{port}"}
        options = ["--proxy", f"http://{proxy.address}", "--ca-file", ca_file]
        if by == "variables":
            environ |= {"HTTPS_PROXY": proxy.address, "SSL_CERT_FILE": str(ca_file)}
            options = []
        commands = [
            ["shop"],
            ["verify", "--status"],
            ["delete", "A"],
            ["sync", market(tmp_path, port).parent / "tea.jsonl"],
            ["markets", tmp_path / "markets.toml"],
        ]
        for number, command in enumerate(commands, 1):
            neuroon(*command, *options, env=environ)
            assert (len(proxy.requests), len(seen)) == (number, number), command
        if by == "variables":
            neuroon("shop", env=environ | {"NO_PROXY": HOST})
            assert len(proxy.requests) == len(commands)


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        ("407 Who", "407 from the proxy: Who; give the proxy's user and password: --proxy http://user:password@"),
        ("403 No", "403 from the proxy: No; let the proxy allow this host, or name another one with --proxy"),
        (None, "where a proxy of your network reads TLS, give its certificate authority: --ca-file /path/to/ca.pem"),
    ],
)
def test_advice_names_options_of_the_command(authority, refusal, advice):
    with (
        in_thread(served_over_tls(authority)) as [(port, _)],
        in_thread(Proxy(port, refusal=refusal).running()) as [proxy],
    ):
        environ = environment() | {"NEUROON_API_URL": f"https://{HOST}:{port}"}
        result = neuroon("shop", "--proxy", f"http://{proxy.address}", env=environ)
    assert result.exit_code == 3
    assert advice in result.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["--api-url", "https://"],
            "--api-url must be an absolute URL such as 'https://api.neuroon.ai'; it names no host",
        ),
        (["--api-url", "api.neuroon.ai"], "it does not begin with https://"),
        (["--api-url", "http://emulator:8080"], "or with --allow-plain-http for a network that you trust"),
        (["--api-url", "https://x.example", "--proxy", "https://"], "--proxy must be the address of an HTTP proxy"),
        (["--ca-file", "/nowhere/ca.pem"], "--ca-file /nowhere/ca.pem cannot be read"),
        (["--shop-id", KEY], "--shop-id holds what looks like an API key; the key belongs into --api-key"),
        (["--shop-id", "a b"], "--shop-id must be text without spaces"),
    ],
)
def test_settings_are_refused_by_the_names_of_the_options(options, says):
    result = neuroon("shop", *options, env=environment())
    assert result.exit_code == 2
    assert says in result.stderr


def test_plain_http_can_be_allowed():
    result = neuroon("shop", "--api-url", "http://emulator.invalid:8080", "--allow-plain-http", env=environment())
    assert result.exit_code == 3
    assert "cannot find the host emulator.invalid" in result.stderr
    assert "Error" not in result.stderr


def test_no_token_is_signed_for_an_address_that_is_none():
    for address in ("x", "https://", KEY):
        result = neuroon("token", "--tag", "--api-url", address, env=environment())
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == "error: --api-url must be an address such as https://dev-api.neuroon.ai\n"


def test_the_token_as_json():
    environ = environment(key=DEFAULT_API_KEY) | {"NEUROON_API_URL": ""}
    document = json.loads(neuroon("token", "--json", env=environ).stdout)
    assert verify_widget_token(document["token"], api_key=DEFAULT_API_KEY, now=time.time()) == document["shop_id"]
    assert sorted(document) == ["shop_id", "token", "valid_until"]
    tag = json.loads(neuroon("token", "--json", "--tag", "--api-url", "https://dev-api.neuroon.ai", env=environ).stdout)
    assert 'data-api-url="https://dev-api.neuroon.ai"' in tag["tag"]
