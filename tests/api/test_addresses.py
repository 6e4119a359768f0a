import pytest
from msgspec import UNSET

from neuroon_async.api.addresses import (
    all_plain_addresses,
    is_absolute,
    is_site_address,
    names_no_host,
    relative_addresses,
)
from neuroon_async.api.models import Product


def product(**changes):
    return Product(**{"external_id": "A", "name": "Tea", "price": 1, "url": "https://shop.example/a"} | changes)


@pytest.mark.parametrize("address", ["https://shop.example", "http://a", "HTTPS://A", "Http://a"])
def test_absolute(address):
    assert is_absolute(address)
    assert relative_addresses(product(url=address, image_url=address)) == ()


@pytest.mark.parametrize(
    "address", ["/tea", "tea", "//shop.example/tea", "shop.example:80/tea", "http:tea", " https://a"]
)
def test_relative(address):
    assert not is_absolute(address)
    assert relative_addresses(product(url=address)) == ("url",)
    assert relative_addresses(product(image_url=address)) == ("imageUrl",)
    assert relative_addresses(product(url=address, image_url=address)) == ("url", "imageUrl")


@pytest.mark.parametrize("nothing", [None, UNSET, ""])
def test_no_picture_is_no_relative_address(nothing):
    assert relative_addresses(product(image_url=nothing)) == ()


@pytest.mark.parametrize(
    "address", ["https://", "http:///tea", "HTTPS://?q", "https://#a", " https:// /tea", "ht\ntp://"]
)
def test_an_address_that_stops_where_its_host_should_be_names_none(address):
    assert names_no_host(address) is True


@pytest.mark.parametrize("address", ["https://a", "http://a/", "/tea", "", "https:", "ftp://"])
def test_an_address_with_a_host_or_of_another_kind_is_not_one_without(address):
    assert names_no_host(address) is False


def test_addresses_of_sites():  # those that are none: tests/catalogs/test_catalog_options.py
    for address in (
        *("https://shop.example", "HTTP://shop.example/", "https://shop.example:8443/es", "http://localhost:8000"),
        *("https://tienda.españa.example", "https://[2001:db8::1]:8080/x", "https://my_shop.internal"),
        *("https://shop.example/@user", "https://shop.example.", "https://xn--caf-dma.example"),
    ):
        assert is_site_address(address), address
    for other in (
        *(None, 5, b"https://shop.example", ["https://shop.example"]),
        *("https://shop.example:0", "https://shop..example", "https://shop.example:65536", "https://a\ud800.example"),
    ):
        assert is_site_address(other) is False, other
    assert is_site_address("https://shop.example:1")


def test_many_addresses_are_told_as_each_of_them_alone():
    """Also where they do not begin alike."""
    assert all_plain_addresses(["https://shop.example/b", "http://other.example", "https://shop.example/a"]) is True
    assert all_plain_addresses(["https://shop.example/b", "/tea", "https://shop.example/a"]) is False
