import pickle

import pytest

from neuroon_async.report import MAX_KEPT_FAILURES, ProductFailure, SyncReport


def test_a_fresh_report_is_empty_and_its_failures_are_its_own():
    one, other = SyncReport(), SyncReport()
    one.failures.append(ProductFailure("1", "broken", "local"))
    assert other.failures == []
    assert other.ok
    assert other.products_count is None
    assert MAX_KEPT_FAILURES == 1_000


@pytest.mark.parametrize(
    ("figures", "ok"),
    [
        ({"received": 6, "accepted": 3, "unchanged": 2, "superseded": 1}, True),
        ({"received": 3, "accepted": 2, "failed": 1}, False),
        ({"received": 3, "accepted": 2}, False),
    ],
)
def test_ok_means_that_every_product_ended_where_it_should(figures, ok):
    assert SyncReport(**figures).ok is ok


@pytest.mark.parametrize(("remaining", "exhausted"), [(None, False), (1, False), (0, True), (-3, True)])
def test_quota(remaining, exhausted):
    report = SyncReport(remaining_products=remaining)
    assert report.quota_exhausted is exhausted
    assert ("quota is exhausted" in str(report)) is exhausted


def test_a_report_reads_well():
    assert str(SyncReport(received=1_200, accepted=1_200, elapsed=2.04, requests=3)) == (
        "1,200 received, 1,200 accepted in 2.0 s (3 requests, 0 retries)"
    )
    full = str(SyncReport(received=9, accepted=3, unchanged=3, superseded=2, failed=1, deleted=4, retries=5))
    assert full == (
        "9 received, 3 accepted, 3 unchanged, 2 superseded, 1 failed, 4 deleted in 0.0 s (0 requests, 5 retries)"
    )


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (ProductFailure("A-1", "price: must be 0 or more", "local"), "A-1: price: must be 0 or more [local]"),
        (ProductFailure("A-1", "refused", "server", 422), "A-1: refused [server 422]"),
        (ProductFailure(None, "line 7 is no JSON", "local"), "(no id): line 7 is no JSON [local]"),
        (ProductFailure("", "no answer", "transport"), "(no id): no answer [transport]"),
    ],
)
def test_a_failure_reads_well(failure, text):
    assert str(failure) == text


@pytest.mark.parametrize("odd", ["a\nERROR b", "a\ud800", "\u202eA", "a\0", "a\u2028b", "\ufeffA"])
def test_a_failures_line_is_one_line_that_can_be_written(odd):
    line = str(ProductFailure(odd, "broken", "local"))
    assert line == f"{odd!r}: broken [local]"
    assert line.splitlines() == [line]
    assert (
        str(SyncReport(failed=1, failures=[ProductFailure("a b – 茶", "broken", "local")]).failures[0])[:8]
        == "a b – 茶:"
    )
    line.encode()
    assert str(ProductFailure(5, KeyError("x"), "local")) == "5: 'x' [local]"  # as a source's own may be
    line = str(ProductFailure("A", f"bad {odd}: is not a product field", "local"))
    assert line == f"A: bad {repr(odd)[1:-1]}: is not a product field [local]"


def test_reports_cross_processes():
    report = SyncReport(received=1, failed=1, failures=[ProductFailure("1", "broken", "local", product={"name": "x"})])
    assert pickle.loads(pickle.dumps(report)) == report


class Unshowable:
    def __repr__(self):
        raise RuntimeError("its session is closed")


@pytest.mark.parametrize("odd", [10**5000, Unshowable()], ids=["a number too long", "raises"])
def test_a_report_can_be_shown_whatever_its_failed_items_are(odd):
    failure = ProductFailure("1", "price: must be a number", "local", product={"price": odd})
    shown = repr(SyncReport(received=1, failed=1, failures=[failure]))
    assert "product=a dict that cannot be shown, unsent=False)" in shown
    assert str(failure) == "1: price: must be a number [local]"
