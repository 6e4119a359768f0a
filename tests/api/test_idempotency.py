import re

from hypothesis import assume, given
from hypothesis import strategies as st

from neuroon_async.api.idempotency import idempotency_key
from neuroon_async.api.models import Product, SyncRequest, encode

SHOP_IDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(SHOP_IDS, st.binary())
def test_the_same_batch_has_the_same_key(shop_id, body):
    key = idempotency_key(shop_id, body)
    assert re.fullmatch(r"[0-9a-f]{64}", key)
    assert idempotency_key(shop_id, bytes(bytearray(body))) == key


def test_the_key_survives_a_restart():
    assert idempotency_key("shop_1", b"{}") == "7627a0bb0a7aab2f60bcd504669b0fa6099f9b60c71d16a2895c54c7771e1680"


@given(st.tuples(SHOP_IDS, st.binary(max_size=8)), st.tuples(SHOP_IDS, st.binary(max_size=8)))
def test_any_difference_gives_another_key(one, other):
    assume(one != other)
    assert idempotency_key(*one) != idempotency_key(*other)


def test_the_border_between_shop_and_body_counts():
    assert idempotency_key("shop_1", b"2{}") != idempotency_key("shop_12", b"{}")


def test_a_later_price_change_and_another_mode_are_new_batches():
    def key(mode, price):
        product = Product(external_id="1", name="Tea", price=price, url="https://shop.example/1")
        return idempotency_key("shop_1", encode(SyncRequest(sync_type=mode, products=[product])))

    assert len({key("INCREMENTAL", 4.5), key("INCREMENTAL", 4.6), key("FULL", 4.5)}) == 3
