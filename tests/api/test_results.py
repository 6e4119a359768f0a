import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroon_async.api.responses import decode_response
from neuroon_async.api.results import BatchResult, Health, ProductError, Shop, Verification, VerificationData

ANSWERS = (BatchResult, Health, Shop, Verification, VerificationData)
COUNTS = [
    *((BatchResult, name) for name in ("newProducts", "updatedProducts", "failed", "productsCount")),
    *((BatchResult, "remainingProducts"), (Shop, "maxProducts"), (Shop, "maxSearchesPerMonth")),
]
TEXTS = [
    *((Verification, name) for name in ("shopId", "verificationCode", "domain", "name")),
    *((VerificationData, name) for name in ("verificationCode", "domain", "instructions")),
    (Health, "status"),
]


def read(kind, document):
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return decode_response(body, kind)


def field(kind, name, value):
    """What the struct holds where the answer has ``value`` under the wire name ``name``."""
    attributes = dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return getattr(read(kind, b'{"%s": %s}' % (name.encode(), body)), attributes[name])


def test_a_batch_result_reads_the_vendors_names():
    result = read(
        BatchResult,
        {
            "newProducts": 1,
            "updatedProducts": 2,
            "failed": 1,
            "productsCount": 10,
            "remainingProducts": 90,
            "errors": [{"externalId": "SKU-9", "error": "no such parent", "more": 1}, {}],
            "unknown": {"x": 1},
        },
    )
    assert (result.created, result.updated, result.failed) == (1, 2, 1)
    assert (result.products_count, result.remaining_products) == (10, 90)
    assert [(e.external_id, e.error) for e in result.errors] == [("SKU-9", "no such parent"), (None, None)]


def test_a_batch_result_reads_the_names_of_an_older_page():
    result = read(BatchResult, {"synced": 3, "created": 1, "updated": 2, "failed": 0, "errors": []})
    assert (result.created, result.updated, result.failed, result.errors) == (1, 2, 0, [])
    assert read(BatchResult, {"created": 1, "newProducts": 7}).created == 7
    assert read(BatchResult, {"created": 1, "newProducts": "many"}).created == 1


@pytest.mark.parametrize("body", [b"{}", b'{"errors":null,"newProducts":null}', b"[]", b"null", b'"ok"', b"[1]", b"7"])
def test_a_batch_result_may_say_nothing(body):
    result = read(BatchResult, body)
    assert (result.created, result.updated, result.failed, result.errors) == (None, None, None, [])


def test_empty_results_do_not_share_their_errors():
    one, other = read(BatchResult, b"{}"), read(BatchResult, b"{}")
    one.errors.append("x")
    assert other.errors == []


@pytest.mark.parametrize(
    ("value", "count"),
    [
        *((0, 0), (3, 3), (3.0, 3), (1e6, 1_000_000), (2**53, 2**53), ("12", 12), ("12.0", 12), ("007", 7)),
        *((value, None) for value in ("1,234", "1.234", "unlimited", "", " ", "-1", "+1", "1e3", "²", "9" * 5000)),
        *((value, None) for value in (-1, 2.5, 2**70, True, False, None, {}, [], [1], {"count": 1}, ["P-1"])),
        *((value, None) for value in (b"1e400", b"-1e400", b"NaN", b"Infinity", b"9" * 5000)),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_figure_is_a_plain_number_or_nothing(value, count):
    assert {each: field(*each, value) for each in COUNTS} == dict.fromkeys(COUNTS, count)


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), ("", ""), (12, "12"), *((value, None) for value in (1.5, True, None, {}, [], ["a"], {"a": "b"}))],
    ids=repr,
)
def test_a_text_is_text_or_nothing(value, text):
    assert {each: field(*each, value) for each in TEXTS} == dict.fromkeys(TEXTS, text)


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        *((True, True), (False, False), ("true", True), ("False", False), (1, True), (0, False), ("1", True)),
        *((value, None) for value in ("yes", "", 2, 1.0, None, [], {}, ["true"])),
    ],
    ids=repr,
)
def test_a_flag_is_plain_or_nothing(value, flag):
    assert field(VerificationData, "verified", value) is flag


@pytest.mark.parametrize("when", ["2026-03-01T10:00:00", "2026-03-01T10:00:00Z", "2026-03-01T12:00:00+02:00"])
def test_a_time_without_an_offset_is_utc(when):
    assert field(VerificationData, "verifiedAt", when) == datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize("when", ["", "yesterday", "2026-13-01T00:00:00", 1772366398, True, None, [], {}])
def test_a_time_of_verification_that_is_none_is_none(when):
    assert field(VerificationData, "verifiedAt", when) is None


def test_verified_by_either_shape():
    assert read(VerificationData, {"verifiedAt": "2024-05-01"}).is_verified
    assert read(VerificationData, {"verified": True}).is_verified
    assert not read(VerificationData, {"verified": "perhaps", "verifiedAt": "soon"}).is_verified


def test_both_shapes_of_verification_data():
    one = read(VerificationData, {"verificationCode": "abc", "instructions": "Put it", "verified": False})
    assert (one.verification_code, one.instructions, one.verified, one.verified_at) == ("abc", "Put it", False, None)
    other = read(VerificationData, {"domain": "d", "verificationCode": "abc", "verifiedAt": None})
    assert (other.domain, other.verified, other.verified_at) == ("d", None, None)


def test_the_shop_and_the_verification():
    assert read(Shop, {"maxProducts": 500, "maxSearchesPerMonth": 10, "plan": "x"}) == Shop(
        max_products=500, max_searches_per_month=10
    )
    body = {"shopId": "shop_1", "verificationCode": "abc", "domain": "https://shop.example", "name": "Shop"}
    assert read(Verification, body) == Verification(
        shop_id="shop_1", verification_code="abc", domain="https://shop.example", name="Shop"
    )


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("body", [b"", b"  ", b"<html>", b"OK", b'{"newProducts":\xff}', b"[" * 100_000, b'{"a":1'])
def test_what_is_no_json_is_no_answer(kind, body):
    with pytest.raises(msgspec.DecodeError):
        read(kind, body)


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b"\xef\xbb\xbf{}"])
def test_an_empty_answer_says_nothing(kind, body):
    assert read(kind, body) == kind()


@pytest.mark.parametrize("kind", [kind for kind in ANSWERS if kind is not BatchResult])
@pytest.mark.parametrize("body", [b"[1]", b'"ok"', b"7", b"true"])
def test_where_an_object_is_documented_other_json_is_no_answer(kind, body):
    with pytest.raises(msgspec.DecodeError, match="expected a JSON object"):
        read(kind, body)


def test_json_that_only_some_readers_take_is_read():
    body = b'\xef\xbb\xbf{"newProducts": NaN, "failed": 1, "errors": [{"externalId": "A\xff", "error": "\\ud800 bad"}]}'
    result = read(BatchResult, body)
    assert (result.created, result.failed) == (None, 1)
    assert result.errors == [ProductError("A\ufffd", "? bad")]


@pytest.mark.parametrize("text", ["SKU\\u002d1", "a\\u006eb", "\\\\u0061", "\\", "a\\/b", "ñ\U0001f469"])
def test_ids_come_back_as_they_are(text):
    assert read(BatchResult, {"errors": [{"externalId": text, "error": text}]}).errors == [ProductError(text, text)]


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([{"externalId": 7, "error": {"code": "bad"}}], [("7", '{"code":"bad"}')]),
        ([{"externalId": "A", "message": "bad"}], [("A", "bad")]),
        (["SKU-1: bad", None], [(None, "SKU-1: bad"), (None, None)]),
        ({"SKU-1": "bad"}, [("SKU-1", "bad")]),
        ({"externalId": "SKU-1", "error": "bad"}, [("SKU-1", "bad")]),
        ("all bad", [(None, "all bad")]),
        *((nothing, []) for nothing in ({}, [], "", 0, False, None)),
    ],
    ids=repr,
)
def test_errors_of_another_shape_are_kept_as_text(errors, expected):
    result = read(BatchResult, {"failed": 1, "errors": errors})
    assert [(error.external_id, error.error) for error in result.errors] == expected


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        ([{"externalId": "P-1", "error": "bad"}], [("P-1", "bad")]),
        (["P-1"], [("P-1", None)]),
        ({"P-1": "bad"}, [("P-1", "bad")]),
        *((nothing, []) for nothing in ([], {}, 0, 2, "2", "many", None, True)),
    ],
    ids=repr,
)
def test_products_named_where_their_number_belongs_have_failed(failed, expected):
    result = read(BatchResult, {"newProducts": 2, "failed": failed})
    assert [(error.external_id, error.error) for error in result.errors] == expected
    assert result.created == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted({name for kind in ANSWERS for name in kind.__struct_encode_fields__} | {"created", "updated"})


@given(st.sampled_from(ANSWERS), st.dictionaries(st.sampled_from(NAMES), JSON))
def test_no_field_whatever_costs_the_answer(kind, document):
    result = read(kind, document)
    msgspec.convert(msgspec.to_builtins(result), kind)  # each field holds what its type says
    assert result == read(kind, b"\xef\xbb\xbf" + json.dumps(document).encode())
