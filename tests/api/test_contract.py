import math
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neuroon_async.api import contract
from neuroon_async.api.contract import DOCUMENTED_RATE_LIMITS, ENDPOINTS, Environment, Locale, RateLimit, SyncMode
from neuroon_async.errors import ConfigurationError

UTF8_TEXT = st.text(st.characters(codec="utf-8"), min_size=1)


def test_endpoints_are_the_documented_ones():
    shops = "/api/plugin/shops"
    assert {name: (e.method, e.path) for name, e in ENDPOINTS.items()} == {
        "shop": ("GET", f"{shops}/me"),
        "sync_products": ("POST", f"{shops}/{{shop_id}}/products/sync"),
        "delete_product": ("DELETE", f"{shops}/{{shop_id}}/products/{{external_id}}"),
        "verify_domain": ("POST", f"{shops}/{{shop_id}}/verify"),
        "verification_data": ("GET", f"{shops}/{{shop_id}}/verification-data"),
        "unverify_domain": ("DELETE", f"{shops}/{{shop_id}}/verify"),
        "track_conversion": ("POST", f"{shops}/{{shop_id}}/track/conversion"),
    }
    assert contract.VERIFY_DOMAIN_SHORT.path == f"{shops}/verify"
    assert contract.HEALTH.path == "/actuator/health"


def test_limits_are_the_documented_ones():
    assert {name: (limit.requests, limit.per, limit.burst) for name, limit in DOCUMENTED_RATE_LIMITS.items()} == {
        "shop": (60, 60, None),
        "sync_products": (100, 60, None),
        "delete_product": (100, 60, None),
        "verify_domain": (5, 300, None),
        "verification_data": (20, 60, None),
        "unverify_domain": (5, 300, None),
        "track_conversion": (100, 60, None),
    }
    assert contract.LONGEST_WINDOW == 300


def test_only_verify_may_not_be_repeated_and_what_a_retry_may_find_done():
    assert {name for name, endpoint in ENDPOINTS.items() if not endpoint.repeat_safe} == {"verify_domain"}
    assert {name: e.done_on_retry for name, e in ENDPOINTS.items() if e.done_on_retry} == {
        "delete_product": 404,
        "verify_domain": 409,
    }
    assert contract.VERIFY_DOMAIN_SHORT.repeat_safe is False
    assert contract.VERIFY_DOMAIN_SHORT.done_on_retry == 409


def test_the_tables_cannot_be_changed_by_accident():
    for table in (ENDPOINTS, DOCUMENTED_RATE_LIMITS):
        with pytest.raises(TypeError):
            table["shop"] = None


def test_names_on_the_wire():
    assert [str(locale) for locale in Locale] == ["es", "en", "fr", "de", "it", "pt", "ca", "eu", "gl"]
    assert [str(mode) for mode in SyncMode] == ["INCREMENTAL", "FULL"]
    assert Environment.PRODUCTION == "https://api.neuroon.ai"
    assert Environment.DEVELOPMENT == "https://dev-api.neuroon.ai"


@given(UTF8_TEXT, UTF8_TEXT)
@example("shop_1", "a/b?c#d%2Fe f")
@example("shop_1", "..")
@example(".", "%2E%2E")
@example("shop_1", "ñandú\N{PILE OF POO}\n\x00;=&+")
def test_any_text_is_exactly_one_segment(shop_id, external_id):
    path = contract.DELETE_PRODUCT.path_for(shop_id=shop_id, external_id=external_id)
    segments = path.split("/")
    assert segments[:4] == ["", "api", "plugin", "shops"]
    assert len(segments) == 7
    assert unquote(segments[4], errors="strict") == shop_id
    assert segments[5] == "products"
    assert unquote(segments[6], errors="strict") == external_id
    assert path.isascii()
    assert not set("?# \\\n\r\t") & set(path)
    assert not {".", ".."} & set(segments)


@given(UTF8_TEXT)
def test_braces_in_a_parameter_are_data(text):
    braced = f"{{{text}}}"
    assert contract.UNVERIFY_DOMAIN.path_for(shop_id=braced).endswith(f"/{quote(braced, safe='')}/verify")


@pytest.mark.parametrize("bad", ["", "a\ud800b", None, 5])
def test_what_cannot_be_a_segment_is_refused_by_name(bad):
    with pytest.raises(ConfigurationError, match="external_id"):
        contract.DELETE_PRODUCT.path_for(shop_id="shop_1", external_id=bad)


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ((0, 60), "requests"),
        ((-1, 60), "requests"),
        ((1, 0), "per"),
        ((1, -5), "per"),
        ((1, math.nan), "per"),
        ((1, math.inf), "per"),
        ((10, 60, 0), "burst"),
        ((10, 60, 11), "burst"),
        (("100", 60), "requests"),
        ((1.5, 60), "requests"),
        ((math.nan, 60), "requests"),
        ((True, 60), "requests"),
        ((1, "60"), "per"),
        ((1, None), "per"),
        ((10, 60, "5"), "burst"),
    ],
)
def test_impossible_limits_are_refused(arguments, culprit):
    with pytest.raises(ConfigurationError, match=culprit):
        RateLimit(*arguments)


@given(st.integers(1, 10_000), st.integers(1, 200), st.none() | st.integers(1, 10_000))
def test_shares_never_add_up_to_more_than_the_whole(requests, workers, burst):
    limit = RateLimit(requests, 60.0, None if burst is None else min(burst, requests))
    if workers > requests:
        with pytest.raises(ConfigurationError, match="shared limiter"):
            limit.share_of(workers)
        return
    share = limit.share_of(workers)
    assert share.requests * workers <= requests
    assert share.per == limit.per
    assert (share.burst is None) == (limit.burst is None)


def test_a_share_of_no_workers_is_refused():
    with pytest.raises(ConfigurationError, match="workers must be a whole number, 1 or more"):
        RateLimit(10, 60).share_of(0)
