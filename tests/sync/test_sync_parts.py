"""The pure parts of a bulk run, each alone."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sync_shop import item, items

from neuroon_async import BatchResult, ConfigurationError, InvalidBatch, InvalidProduct, ProductFailure
from neuroon_async.api.requests import as_product, encode_batch, encode_single_request
from neuroon_async.api.results import ProductError
from neuroon_async.errors import UnprocessableEntity, ValidationFailed
from neuroon_async.report import MAX_KEPT_FAILURES
from neuroon_async.sync.bisection import halves, missing_parents, pieces, refused_items
from neuroon_async.sync.dead_letters import DeadLetterFile
from neuroon_async.sync.item_reader import ItemReader
from neuroon_async.sync.options import SyncOptions
from neuroon_async.sync.queue import SendQueue
from neuroon_async.sync.recorder import Recorder


def ids(products):
    return [product.external_id for product in products]


# Order


def test_a_product_waits_while_its_older_version_is_in_batch():
    queue = SendQueue()
    queue.add([item(1)])
    batch = queue.take(10)
    queue.add([item(1, price=2), item(2)])
    assert ids(queue.take(10).products) == ["p2"]
    assert queue.take(10) is None
    queue.done(batch)
    assert queue.take(10).products[0].price == 2


def test_a_variant_waits_for_its_parent_and_a_parent_for_its_variant():
    queue = SendQueue()
    queue.add([item("parent")])
    parent = queue.take(10)
    queue.add([item("variant", parent="parent")])
    assert queue.take(10) is None
    queue.done(parent)
    variant = queue.take(10)
    assert ids(variant.products) == ["pvariant"]
    queue.add([item("parent", price=2)])
    assert queue.take(10) is None
    queue.done(variant)
    assert ids(queue.take(10).products) == ["pparent"]


def test_a_variant_leaves_behind_its_parent_in_the_same_batch():
    queue = SendQueue()
    queue.add([item(3, parent=2), item(2, parent=1), item(4), item(1)])
    assert ids(queue.take(10).products) == ["p4", "p1", "p2", "p3"]


def test_a_full_batch_never_holds_a_variant_without_its_waiting_parent():
    queue = SendQueue()
    queue.add([item(2, parent=1), item(4), item(1)])
    assert ids(queue.take(2).products) == ["p4", "p1"]
    assert queue.take(2) is None


def test_a_newer_version_supersedes_a_waiting_one():
    queue = SendQueue()
    assert queue.add([item(1), item(2), item(1, price=2)]) == 1
    assert queue.add([item(2, price=3), item(3)]) == 1
    assert [product.price for product in queue.take(10).products] == [2, 3, 1]


def test_what_comes_back_is_older_than_what_waits():
    queue = SendQueue()
    queue.add([item(1), item(2), item(3)])
    batch = queue.take(3)
    queue.add([item(3, price=9), item(4)])
    assert queue.trim(batch, 1) == [item(3)]
    assert ids(batch.products) == ["p1"]
    assert queue.ids_in_flight == {"p1"}
    queue.done(batch)
    assert [(p.external_id, p.price) for p in queue.take(9).products] == [("p2", 1), ("p3", 9), ("p4", 1)]


def test_a_variant_in_flight_holds_none_of_its_siblings_back():
    queue = SendQueue()
    queue.add([item(3, parent=9)])
    older = queue.take(1)
    queue.add([item(2, parent=1), item(3, parent=1, price=2), item(4, parent=1), item(1)])
    assert sorted(ids(queue.take(10).products)) == ["p1", "p2", "p4"]
    queue.done(older)
    assert queue.take(10) is None, "its parent has not arrived yet"


def test_variants_that_name_each_other_leave_in_batches_of_the_size_too():
    queue = SendQueue()
    queue.add([item(1, parent=2), item(2, parent=3), item(3, parent=1)])
    assert ids(queue.take(2).products) == ["p1", "p2"]


def test_what_is_taken_out_of_the_queue_is_handed_back_and_nothing_else_goes():
    queue = SendQueue()
    queue.add([item(1), item(2, parent=1), item(3), item(4)])
    assert queue.remove({"p3", "p8"}) == [item(3)]
    assert queue.remove_variants() == [item(2, parent=1)]
    batch = queue.take(10)
    assert queue.drop(batch, "p4") == item(4)
    assert (ids(batch.products), queue.ids_in_flight) == (["p1"], {"p1"})
    queue.add(items(3))
    assert ids(queue.remove_all()) == ["p0", "p1", "p2"]
    assert len(queue) == 0
    assert queue.take(1) is None


def test_too_few_are_not_taken_at_all():
    queue = SendQueue()
    queue.add(items(3))
    assert queue.take(10, at_least=4) is None
    assert len(queue) == 3
    assert len(queue.take(10, at_least=3).products) == 3


def test_a_batch_holds_no_more_than_asked_for():
    queue = SendQueue()
    queue.add(items(5))
    assert ids(queue.take(2).products) == ["p0", "p1"]
    assert len(queue) == 3


@given(
    st.lists(st.tuples(st.integers(0, 9), st.none() | st.integers(0, 9)), max_size=40),
    st.randoms(use_true_random=False),
)
def test_batches_under_way_never_share_an_id_or_a_family(entries, chance):  # noqa: C901
    queue = SendQueue()
    batches = []
    sent = {}
    entered = {}

    def take(count):
        batch = queue.take(count)
        if batch is not None:
            batches.append(batch)
            sent.update({p.external_id: p.price for p in batch.products})
        for a in batches:
            for b in batches:
                assert a is b or (a.ids.isdisjoint(b.ids) and a.parents.isdisjoint(b.ids))
        return batch

    for position, (number, parent) in enumerate(entries):
        queue.add([item(number, price=position + 1, parent=parent)])
        entered[f"p{number}"] = position + 1
        if chance.random() < 0.5:
            take(chance.randint(1, 4))
        if batches and chance.random() < 0.5:
            queue.done(batches.pop(chance.randrange(len(batches))))
    for _ in range(200):
        if not len(queue) and not batches:
            break
        if take(3) is None:
            assert batches, "what waits while nothing is under way would wait for ever"
        if batches:
            queue.done(batches.pop(0))
    assert len(queue) == 0
    assert sent == entered


# Narrowing


def refusal(message, kind=ValidationFailed, status=400, **fields):
    return kind(status, message=message, field_errors=fields)


def test_what_the_message_names_is_tried_apart():
    batch = [item(0), item(1, description="x"), item(2), item(3)]
    assert [ids(p) for p in pieces(batch, refusal("'p2' is banned"))] == [["p2"], ["p0", "p1", "p3"]]
    assert [ids(p) for p in pieces(batch, refusal("products[3].name: bad"))] == [["p3"], ["p0", "p1", "p2"]]
    by_field = pieces(batch, refusal("description: bad", description="bad"))
    assert [ids(p) for p in by_field] == [["p1"], ["p0", "p2", "p3"]]
    # Indexes of something else, fields that most set, and names that misled before are no clue.
    assert [ids(p) for p in pieces(batch, refusal("tags[0]: no"))] == [["p0", "p1"], ["p2", "p3"]]
    assert [ids(p) for p in pieces(batch, refusal("name: no", name="no"))] == [["p0", "p1"], ["p2", "p3"]]
    assert [ids(p) for p in pieces(batch, refusal("'p2' is banned"), believe=False)] == [["p0", "p1"], ["p2", "p3"]]


def test_without_a_clue_the_batch_is_halved_parents_first():
    batch = [item(1, parent=0), item(0), item(2), item(3, parent=2)]
    assert [ids(p) for p in pieces(batch, refusal(""))] == [["p0", "p2"], ["p1", "p3"]]
    assert [len(p) for p in halves(items(5))] == [3, 2]


def test_each_currency_gets_a_piece():
    batch = [item(0, currency="EUR"), item(1, currency="USD"), item(2, currency="EUR"), item(3)]
    found = pieces(batch, refusal("Currency mismatch between items: EUR, USD", UnprocessableEntity, 422))
    assert [ids(p) for p in found] == [["p0", "p2"], ["p1"], ["p3"]]


@given(st.integers(2, 40), st.text(max_size=30), st.sampled_from(["", "name", "price", "description", "tags"]))
def test_pieces_hold_every_product_once_and_are_smaller(count, message, field):
    batch = [item(n, description="d") if n % 3 else item(n) for n in range(count)]
    found = pieces(batch, refusal(message, **({field: "bad"} if field else {})))
    assert sorted(external_id for piece in found for external_id in ids(piece)) == sorted(ids(batch))
    assert all(0 < len(piece) < count for piece in found)


def test_missing_parents_are_read_from_the_message():
    message = "parentExternalId 'a' not found, parentExternalId 'it's, b' not found"
    assert missing_parents(message) == {"a", "it's, b"}
    assert missing_parents("Currency mismatch") == set()


def test_items_refused_by_name_and_without():
    batch = items(5)
    result = BatchResult(
        failed=3, errors=[ProductError("p1", "no"), ProductError(None, "why"), ProductError("p1", "and")]
    )
    named, unnamed = refused_items(batch, result)
    assert named == {"p1": "no; and"}
    assert len(unnamed) == 2
    assert "why" in unnamed[0]
    assert refused_items(batch, BatchResult()) == ({}, [])


# Batches


def test_a_batch_is_checked_and_encoded():
    body = json.loads(encode_batch("INCREMENTAL", [item(1)]))
    assert body["syncType"] == "INCREMENTAL"
    assert body["products"][0]["externalId"] == "p1"
    with pytest.raises(InvalidProduct, match="surrogate"):
        encode_batch("INCREMENTAL", [item(1), item(2, sku="\udc00")])
    with pytest.raises(InvalidProduct, match="must be a Product or a mapping"):
        as_product(7)


def test_a_row_that_cannot_be_read_is_one_bad_product():
    class Lazy(dict):
        def items(self):
            raise OSError("the connection is gone")

    with pytest.raises(InvalidProduct, match=r"product: cannot be read: .*the connection is gone"):
        as_product(Lazy())


@pytest.mark.parametrize("count", [0, 501])
def test_a_single_request_takes_one_to_five_hundred(count):
    with pytest.raises(InvalidBatch):
        encode_single_request("FULL", items(count))


@pytest.mark.parametrize("batch", [item(1), {"externalId": "p1"}, "p1", 5, None])
def test_a_single_request_takes_a_list(batch):
    with pytest.raises(InvalidBatch, match=type(batch).__name__):
        encode_single_request("FULL", batch)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"concurrency": 0}, r"concurrency must be a whole number, in 1\.\.1000; got 0"),
        ({"concurrency": 10**9}, r"concurrency must be a whole number, in 1\.\.1000; got 1000000000"),
        ({"concurrency": "8"}, "concurrency must be .* got '8'"),
        ({"max_delete_fraction": "0.2"}, r"max_delete_fraction must lie in 0\.\.1, got '0\.2'"),
        ({"max_delete_fraction": True}, r"max_delete_fraction must lie in 0\.\.1, got True"),
        ({"max_delete_fraction": float("nan")}, r"max_delete_fraction must lie in 0\.\.1, got nan"),
        ({"batch_size": 501}, r"batch_size must be a whole number, in 1\.\.500; got 501"),
        ({"batch_size": None}, "batch_size"),
        ({"batch_size": True}, "batch_size"),
        ({"max_batch_bytes": 0.5}, "max_batch_bytes"),
        ({"ledger": "catalog.ledger"}, r"ledger must be a Ledger, such as SQLiteLedger\('catalog.ledger'\), got str"),
    ],
)
def test_options_that_cannot_work_are_refused(options, says):
    with pytest.raises(ConfigurationError, match=says):
        SyncOptions(**options)


# Source


def as_is(value):
    return value


async def test_a_source_hands_out_chunks_and_keeps_its_error():
    def broken():
        yield from range(5)
        raise RuntimeError("gone")

    source = ItemReader(broken(), as_is)
    assert await source.read(3) == [0, 1, 2]
    assert not source.exhausted
    assert await source.read(3) == [3, 4]
    assert source.exhausted
    assert str(source.error) == "gone"


async def test_a_source_that_is_interrupted_keeps_what_it_read():
    async def slow():
        yield 1
        yield 2
        await asyncio.Event().wait()

    source = ItemReader(slow(), as_is)
    reading = asyncio.create_task(source.read(10))
    await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert source.buffer == [1, 2]
    await source.close()


async def test_a_source_knows_its_length_where_the_iterable_does():
    assert ItemReader([1, 2], as_is).total == 2
    assert ItemReader(iter([1, 2]), as_is).total is None
    with pytest.raises(ConfigurationError):
        ItemReader("text", as_is)


# Dead letters


def test_dead_letters_are_one_json_line_a_failure(tmp_path):
    path = tmp_path / "failed.jsonl"
    with DeadLetterFile(path) as letters:
        assert not path.exists()
        letters(ProductFailure("p1", "no", "server", 400, item(1, price=Decimal("9.90"))))
        letters(ProductFailure(None, "what?", "local", None, None))
        letters(ProductFailure("p2", "odd", "local", None, {"name": "\ud800"}))
    assert letters.count == 3
    first, second, third = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    assert first["failure"] == {"externalId": "p1", "reason": "no", "stage": "server", "status": 400}
    assert first["product"]["price"] == 9.9
    assert second["product"] is None
    assert "name" in third["shown"]
    with DeadLetterFile(path) as letters:
        letters(ProductFailure("p3", "no", "server"))
    assert len(path.read_text(encoding="utf-8").splitlines()) == 4


def test_a_clean_run_leaves_no_dead_letter_file(tmp_path):
    with DeadLetterFile(tmp_path / "failed.jsonl"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_dead_letter_with_an_unprintable_id_is_kept_too(tmp_path):
    path = tmp_path / "failed.jsonl"
    with DeadLetterFile(path) as letters:
        letters(ProductFailure("p\ud800", "surrogate", "local", None, item("\ud800")))
        letters(ProductFailure("p1", "too long", "local", None, item(1, price=10**5_000)))
    first, second = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    assert first["failure"]["externalId"] == "p\\ud800"
    assert "price=1" in first["shown"]
    assert second["failure"]["reason"] == "too long"


# Recorder


async def test_the_recorder_keeps_the_first_thousand_and_tells_all():
    told = []
    recorder = Recorder(None, told.append)
    recorder.failed(ProductFailure(f"p{n}", "no", "local") for n in range(1_500))
    await recorder.notify()
    assert recorder.report.failed == len(told) == 1_500
    assert len(recorder.report.failures) == MAX_KEPT_FAILURES
    assert recorder.report.failures[-1].external_id == "p999"


async def test_the_recorder_sums_what_the_server_tells():
    recorder = Recorder(total=20)
    recorder.accepted(5, BatchResult(created=3, updated=2, products_count=50, remaining_products=7))
    recorder.accepted(5, BatchResult(created=None, updated=None))
    report = recorder.update_report()
    assert (report.accepted, report.created, report.updated) == (10, 3, 2)
    assert (report.products_count, report.remaining_products) == (50, 7)
    assert not report.quota_exhausted
    recorder.accepted(1, BatchResult(remaining_products=0))
    assert recorder.report.quota_exhausted
    progress = recorder.progress()
    assert (progress.done, progress.total) == (11, 20)
