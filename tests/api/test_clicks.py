import copy
import itertools
import json
import pickle
from http.cookies import SimpleCookie
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neuroon_async.api.clicks import ClickLog
from neuroon_async.api.contract import MAX_CLICKS_COOKIE_BYTES
from neuroon_async.api.models import Conversion, OrderLine
from neuroon_async.api.validation import check_conversion

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
ENTRIES = st.dictionaries(TEXT, TEXT, max_size=6)
HOSTILE = {'a"b\\': "1", 'x","y': 'z":"', "%2F%22": "50%", "ñ \N{PILE OF POO}": "{}", "{": "}"}


def as_json(entries):
    return json.dumps(entries, separators=(",", ":"))


def as_js_json(entries):
    return json.dumps(entries, separators=(",", ":"), ensure_ascii=False)


def js_cookie(text):
    """As the common browser library writes it: braces, colons and more stay as they are; quotes are encoded."""
    return quote(text, safe="{}:#$&+/=?@[]^`|<>~!'()*")


ENCODINGS = {
    "plain": lambda text: text,
    "percent": lambda text: quote(text, safe=""),
    "twice": lambda text: quote(quote(text, safe=""), safe=""),
    "js_cookie": js_cookie,
    "quoted": lambda text: '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"')),
    "quoted_percent": lambda text: f'"{quote(text, safe="")}"',
}


def whole_entries_before(text, cut):
    """The truth, by other means: entry by entry, how far the JSON reaches when that entry's value is closed."""
    entries, survivors = json.loads(text), {}
    for count in range(1, len(entries) + 1):
        first = dict(list(entries.items())[:count])
        for dump in (as_json, as_js_json):
            closed = dump(first)[:-1]  # without the brace
            if text.startswith(closed) and len(closed) <= cut:
                survivors = first
    return survivors


@given(entries=ENTRIES)
@example(entries=HOSTILE)
@example(entries={})
def test_a_whole_cookie_round_trips(entries):
    for encoding, dump in itertools.product(ENCODINGS, (as_json, as_js_json, json.dumps)):
        cookie = ENCODINGS[encoding](dump(entries))
        assert dict(ClickLog.parse(cookie).entries) == entries, encoding
        assert dict(ClickLog.parse(cookie.encode()).entries) == entries, encoding


@given(encoding=st.sampled_from(["plain", "percent", "twice", "js_cookie"]), entries=ENTRIES, data=st.data())
@settings(max_examples=4 * settings.default.max_examples)
def test_a_cut_cookie_keeps_every_whole_entry_and_invents_none(encoding, entries, data):
    cookie = ENCODINGS[encoding](as_js_json(entries)).encode()
    cut = data.draw(st.integers(0, len(cookie)))
    found = dict(ClickLog.parse(cookie[:cut]).entries)
    assert found.items() <= entries.items()
    closed = [ENCODINGS[encoding](as_js_json(dict(list(entries.items())[:n]))[:-1]) for n in range(1, len(entries) + 1)]
    assert len(found) == sum(len(prefix.encode()) <= cut for prefix in closed)


@pytest.mark.parametrize("encoding", ["plain", "percent", "twice", "js_cookie", "quoted"])
def test_hostile_entries_cut_at_every_single_byte(encoding):
    text = as_js_json(HOSTILE)
    for cut in range(len(text) + 1):
        cookie = ENCODINGS[encoding](text[:cut])
        found = dict(ClickLog.parse(cookie).entries)
        assert found == whole_entries_before(text, cut), cookie


@pytest.mark.parametrize("encode", [ENCODINGS["percent"], js_cookie])
def test_a_cookie_cut_off_at_its_limit(encode):
    entries = {f"SKU-{n}": f"log-{n:032d}" for n in range(300)}
    cookie = encode(as_json(entries))[:MAX_CLICKS_COOKIE_BYTES]
    log = ClickLog.parse(cookie)
    assert 60 < len(log) < 300
    assert list(log.entries.items()) == list(entries.items())[: len(log)]


def test_a_cookie_that_the_standard_library_wrote():
    jar = SimpleCookie()
    jar["neuroon_clicks"] = as_js_json({"SKU,1": "log;1", "ñ": 'a"b'})
    assert dict(ClickLog.parse(jar["neuroon_clicks"].coded_value).entries) == {"SKU,1": "log;1", "ñ": 'a"b'}


@pytest.mark.parametrize(
    "junk",
    [
        None,
        "",
        b"",
        "   ",
        "null",
        "[]",
        '["a","b"]',
        '"a":"b"',
        "{",
        "{}",
        '{"a"',
        '{"a":1}',
        '{"a":null}',
        '{"a":{"b":"c"}}',
        '{"":"log"}',
        '{"a":""}',
        '{"a":"\\ud800"}',
        '{"\\x":"b"}',
        '{a:"b"}',
        "{'a':'b'}",
        "%",
        "%7B%22a%22",
        "%FF%FE",
        b"\xff\xfe{",
        "\\",
        '"',
        '"{',
    ],
)
def test_junk_is_an_empty_log(junk):
    assert dict(ClickLog.parse(junk).entries) == {}


@given(st.text() | st.binary())
def test_nothing_makes_it_raise(junk):
    log = ClickLog.parse(junk)
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in log.entries.items())


@given(st.text(st.sampled_from('{}":,\\%27B2x ')))
def test_nothing_that_looks_like_a_cookie_makes_it_raise(junk):
    ClickLog.parse(junk)


def test_what_stands_before_junk_counts_and_what_cannot_travel_is_left_out():
    assert dict(ClickLog.parse('{"a":"1","b":"\\ud800","c":"3",junk').entries) == {"a": "1", "c": "3"}


def test_a_hostile_cookie_takes_linear_time():
    assert len(ClickLog.parse('{"' + "\\" * 200_000)) == 0
    assert len(ClickLog.parse("%25" * 100_000)) == 0


@pytest.mark.parametrize("copied", [lambda log: pickle.loads(pickle.dumps(log)), copy.deepcopy], ids=["pickle", "copy"])
def test_the_log_travels_to_another_process(copied):
    log = ClickLog.parse('{"SKU-1":"log-1"}')
    assert copied(log) == log
    with pytest.raises(TypeError):
        copied(log).entries["SKU-2"] = "log-2"


def test_the_log_is_read_like_a_mapping_and_cannot_be_changed():
    log = ClickLog.parse('{ "SKU-1" : "log-1" }')
    assert log.get("SKU-1") == "log-1"
    assert log.get("SKU-2") is None
    assert "SKU-1" in log
    assert "SKU-2" not in log
    assert 1 not in log
    assert len(log) == 1
    assert len(ClickLog()) == 0
    with pytest.raises(TypeError):
        log.entries["SKU-1"] = "other"


@pytest.mark.parametrize(
    "cookie",
    [
        '{"a":1,"b":"y"}',
        '{"a":null,"b":"y"}',
        '{"a":{"z":1},"b":"y"}',
        '{"a":["z"],"b":"y"}',
        '\ufeff{"b":"y"}',
        '{"a":"\\ud800","b":"y"}',
    ],
)
def test_a_value_that_is_no_text_costs_only_itself(cookie):
    assert dict(ClickLog.parse(cookie).entries) == {"b": "y"}


def test_ids_as_databases_have_them_are_found_as_they_were_synced():
    number, uuid = 7, UUID(int=7)
    clicks = ClickLog({"7": "by-number", str(uuid): "by-uuid"})
    assert [clicks.get(each) for each in (number, uuid, "7", 8)] == ["by-number", "by-uuid", "by-number", None]
    assert number in clicks
    assert True not in clicks
    lines = [OrderLine(product_id=each, quantity=1, line_total=1) for each in (number, uuid, 8)]
    order = Conversion.from_order(order_id="1", order_value=3, currency="EUR", lines=lines, clicks=clicks)
    assert [item.product_id for item in order.conversions] == ["7", str(uuid)]
    assert order.left_out == (8,)
    check_conversion(order)
