"""Answers are unpacked in bounded steps: every packing that is asked for, every cut, no bomb."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroon_async.transport.unpacking import MAX_ANSWER_BYTES, DamagedAnswer, UnpackedAnswer, UnreadableAnswer


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKINGS = {
    None: bytes,
    "identity": bytes,
    "gzip": gzip.compress,
    " GZip ": gzip.compress,
    "x-gzip": gzip.compress,
    "gzip, identity": gzip.compress,
    ", gzip": gzip.compress,
    "deflate": zlib.compress,
}


def unpack(encoding, data, cuts=()):
    answer = UnpackedAnswer(encoding)
    start = 0
    for cut in [*sorted(cuts), len(data)]:
        answer.feed(data[start:cut])
        start = max(start, cut)
    return answer.whole()


@given(
    body=st.one_of(st.binary(max_size=3_000), st.integers(0, 300_000).map(lambda size: b"ab" * size)),
    encoding=st.sampled_from(list(PACKINGS)),
    cuts=st.lists(st.integers(0, 3_000), max_size=5),
)
def test_what_was_packed_comes_back_however_it_is_cut(body, encoding, cuts):
    assert unpack(encoding, PACKINGS[encoding](body), cuts) == body


@pytest.mark.parametrize("encoding", PACKINGS)
def test_each_packing_is_known(encoding):
    assert unpack(encoding, PACKINGS[encoding](b'{"success":true}')) == b'{"success":true}'


@given(st.binary(max_size=2_000))
def test_a_bare_deflate_stream_is_read_too(body):
    assert unpack("deflate", raw_deflate(body)) == body


def test_what_a_step_has_left_inside_comes_out_where_nothing_more_arrives():
    for size in range(65_500, 66_100):
        assert len(unpack("deflate", raw_deflate(b" " * size))) == size


def test_members_of_gzip_one_after_another_are_one_body_and_padding_is_none():
    assert unpack("gzip", gzip.compress(b'{"a":') + gzip.compress(b"1}") + b"\0" * 9) == b'{"a":1}'


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_nothing_at_all_is_an_empty_body(encoding):
    assert unpack(encoding, b"") == b""


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(b"x" * 999, mtime=0)[:-9],
        gzip.compress(b"{}", mtime=0)[:4],
        gzip.compress(b"{}", mtime=0) + b"junk",
        gzip.compress(b"{}", mtime=0) + b"data",
    ],
)
def test_packed_data_that_breaks_off_or_goes_wrong_is_damaged(data):
    with pytest.raises(DamagedAnswer, match="gzip"):
        unpack("gzip", data)


def test_what_is_not_packed_as_it_says_is_damaged():
    for data in (b"not packed", b"made up", b"text", zlib.compress(b"{}")):
        with pytest.raises(DamagedAnswer, match="its gzip data is damaged"):
            unpack("gzip", data)


@pytest.mark.parametrize("body", [b'{"a":1}', b"[]", b" {}", b"\xef\xbb\xbf{}", b"<html>"])
def test_text_that_was_unpacked_on_its_way_is_the_body(body):
    assert unpack("gzip", body, cuts=[1]) == body


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br", "aws-chunked"])
def test_a_packing_that_was_not_asked_for_is_named_unless_the_body_is_json_as_it_stands(encoding):
    for body in (b' {"a":1}', b'\xef\xbb\xbf{"a":1}', b"\r\n\t[]"):
        assert unpack(encoding, body) == body
    assert unpack(encoding, b"") == b""
    for data in (b"\x0b\x00\x80{}\x03", b"date"):
        with pytest.raises(UnreadableAnswer, match=f"Content-Encoding {encoding} cannot be read"):
            unpack(encoding, data)


def test_one_step_of_unpacking_gives_64_kibibytes():
    answer = UnpackedAnswer("gzip")
    answer.feed(gzip.compress(b" " * 200_000))
    assert [len(chunk) for chunk in answer._chunks] == [65_536, 65_536, 65_536, 3_392]


def test_the_bound_is_exact():
    assert len(unpack(None, b"x" * MAX_ANSWER_BYTES)) == MAX_ANSWER_BYTES
    assert len(unpack("gzip", gzip.compress(b"x" * MAX_ANSWER_BYTES, 1))) == MAX_ANSWER_BYTES
    for encoding in (None, "gzip"):
        with pytest.raises(UnreadableAnswer, match="longer than 16 MiB"):
            unpack(encoding, PACKINGS[encoding](b"x" * (MAX_ANSWER_BYTES + 1)))


def test_a_bomb_takes_little_more_memory_than_the_bound():
    packer = zlib.compressobj(1, wbits=31)
    bomb = b"".join(packer.compress(b" " * 2**20) for _ in range(100)) + packer.flush()
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableAnswer):
            unpack("gzip", bomb)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * MAX_ANSWER_BYTES
    finally:
        tracemalloc.stop()
