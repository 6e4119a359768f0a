"""What tells the kinds of values apart."""

from __future__ import annotations

from neuroon_async.api.shapes import implements
from neuroon_async.ledger.protocols import AnsweredLedgerRun, LeasedLedgerRun, LedgerRun, PagedLedgerRun
from neuroon_async.ledger.sqlite_run import SQLiteRun
from neuroon_async.outbox.sqlite_store import SQLiteOutboxStore
from neuroon_async.outbox.store import BulkOutboxStore, OutboxStore


class Wrapper:
    """Passes everything on, as wrappers that count or log do."""

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)


def test_a_wrapper_can_do_what_is_wrapped_on_every_python():
    store = SQLiteOutboxStore("outbox.sqlite3", keep_delivered=1.0, clock=float)
    assert implements(Wrapper(store), OutboxStore)
    assert implements(Wrapper(store), BulkOutboxStore)
    assert implements(Wrapper(SQLiteRun), PagedLedgerRun)
    assert implements(Wrapper(SQLiteRun), AnsweredLedgerRun)


def test_one_method_too_few_is_not_enough():
    methods = {name for name in vars(LedgerRun) if not name.startswith("_")}
    class_of = lambda names: type("Run", (), dict.fromkeys(names, lambda self: None))  # noqa: E731
    assert implements(class_of(methods)(), LedgerRun)
    assert not implements(class_of(methods)(), LeasedLedgerRun)
    assert implements(class_of({*methods, "lease_lost"})(), LeasedLedgerRun)
    for name in methods:
        assert not implements(class_of({*methods, "lease_lost"} - {name})(), LeasedLedgerRun)
