"""Who waits for the end of the source once the server has missed a parent, and who is counted as superseded."""

from __future__ import annotations

import pytest
from sync_shop import item

from neuroon_async.sync import variants
from neuroon_async.sync.deferred import SpillFailed, VariantStore
from neuroon_async.sync.queue import SendQueue, parent_of
from neuroon_async.sync.recorder import Recorder
from neuroon_async.sync.variants import VariantHold


def ids(products):
    return [product.external_id for product in products]


class Cast:
    def __init__(self, *, holds_all=False):
        self.queue, self.recorder = SendQueue(), Recorder()
        self.hold = VariantHold(self.queue, self.recorder, holds_all=holds_all)

    @property
    def superseded(self):
        return self.recorder.report.superseded

    def queued(self):
        return ids(self.queue.remove_all())


@pytest.fixture
async def cast():
    made = Cast()
    yield made
    made.hold.close()


async def test_nothing_waits_until_a_parent_is_missing(cast):
    cast.hold.admit([item(1, parent=9), item(2)])
    assert not cast.hold.active
    assert cast.hold.defer_late([item(3, parent=2)], []) == set()
    assert cast.queued() == ["p1", "p2"]


async def test_once_a_parent_is_missing_all_variants_wait_and_nothing_else(cast):
    cast.hold.admit([item(4, parent=2)])
    cast.hold.defer([item(1, parent=9), item(2)], {"p9"})
    cast.hold.admit([item(3, parent=2), item(5)])
    assert cast.hold.active
    assert (len(cast.hold), cast.queued()) == (3, ["p2", "p5"])


async def test_a_full_sync_holds_everything():
    cast = Cast(holds_all=True)
    cast.hold.admit([item(1), item(2, parent=1)])
    assert (len(cast.hold), cast.queued()) == (2, [])
    cast.hold.close()


async def test_what_the_server_holds_already_makes_older_versions_needless(cast):
    cast.hold.admit([item(1)])
    cast.hold.discard({"p1", "p8"})
    assert (cast.superseded, cast.queued()) == (1, [])
    cast.hold.defer([item(2, parent=9), item(3, parent=9)], {"p9"})
    cast.hold.admit([item(4)])
    cast.hold.discard({"p2", "p4"})
    assert (cast.superseded, cast.queued(), len(cast.hold)) == (3, [], 1)


async def test_only_the_newest_version_waits(cast):
    cast.hold.defer([item(1, parent=9)], {"p9"})
    cast.hold.admit([item(1, parent=9, price=2), item(1, parent=9, price=3), item(2)])
    assert (cast.superseded, len(cast.hold), cast.queued()) == (2, 1, ["p2"])
    cast.hold.admit([item(1, price=4)])  # no variant any more
    assert (cast.superseded, len(cast.hold), cast.queued()) == (3, 0, ["p1"])


async def test_a_refused_version_is_dropped_where_a_newer_one_waits(cast):
    cast.hold.admit([item(1, parent=9, price=2)])
    cast.hold.defer([item(1, parent=9), item(2, parent=9)], {"p9"})
    assert (cast.superseded, len(cast.hold), cast.queued()) == (1, 2, [])


async def test_what_waits_is_released_chunk_by_chunk(cast):
    cast.hold.defer([item(n, parent="late") for n in range(1_001)], {"plate"})
    cast.hold.releasing = True
    assert [len(cast.queued()) for _ in cast.hold.next_round()] == [500, 500, 1]
    cast.hold.reset()
    assert not cast.hold.active


def released(cast):
    """What each step of a round queues."""
    cast.hold.releasing = True
    return [cast.queued() for _ in cast.hold.next_round()]


async def test_parents_are_released_before_their_variants_and_a_circle_is_not(cast, monkeypatch):
    monkeypatch.setattr(variants, "_CHUNK", 1)
    assert released(cast) == []
    cast.hold.releasing = False
    circle = [item(7, parent=8), item(8, parent=7)]
    cast.hold.defer(
        [item(3, parent=2), *circle, item(2, parent=1), item(1, parent="late")], {"p2", "p8", "p1", "plate"}
    )
    assert [step for step in released(cast) if step] == [["p1"], ["p2"], ["p3"]]
    assert [ids(chunk) for chunk in cast.hold.give_up()] == [["p7"], ["p8"]]
    assert len(cast.hold) == 0


async def test_a_long_chain_that_comes_with_its_last_variant_first_costs_few_looks_at_each(cast, monkeypatch):
    count, looks = 2_000, []
    monkeypatch.setattr(variants, "parent_of", lambda product: looks.append(product) or parent_of(product))
    for start in range(0, count, 500):
        chain = [item(n, parent=n + 1) for n in range(start, start + 500)]
        cast.hold.defer(chain, {f"p{start + 500}"})
    steps = [step for _ in range(4) for step in released(cast)]
    assert [set(step) for step in steps if step] == [
        {f"p{n}" for n in range(start, start + 500)} for start in (1_500, 1_000, 500, 0)
    ]
    assert len(looks) < 30 * count


async def test_nothing_that_never_waited_is_given_up(cast):
    assert list(cast.hold.give_up()) == []


async def test_what_is_given_up_comes_chunk_by_chunk(cast):
    cast.hold.defer([item(n, parent="late") for n in range(1_001)], {"plate"})
    assert [len(chunk) for chunk in cast.hold.give_up()] == [500, 500, 1]


async def test_what_comes_back_in_a_round_is_left_for_the_next_one(cast):
    cast.hold.defer([item(1, parent="late"), item(2, parent="late")], {"plate"})
    steps = 0
    for _ in cast.hold.next_round():
        steps += 1
        cast.hold.defer(cast.queue.remove_all(), {"plate"})
        assert steps < 5
    assert (steps, len(cast.hold), cast.queued()) == (1, 2, [])


async def test_a_full_sync_lets_the_server_judge_a_circle(monkeypatch):
    monkeypatch.setattr(variants, "_CHUNK", 1)
    cast = Cast(holds_all=True)
    cast.hold.admit([item(1, parent=2), item(2, parent=1), item(3)])
    cast.hold.releasing = True
    assert len([None for _ in cast.hold.next_round()]) == 5  # the circle came round twice
    assert (cast.queued(), len(cast.hold)) == (["p3", "p1", "p2"], 0)
    cast.hold.close()


async def test_once_the_source_has_ended_only_those_wait_whose_parents_are_still_to_come(cast):
    cast.hold.defer([item(2, parent=9)], {"p9"})
    cast.hold.admit([item(4)])
    orphans = [item(1, parent=2), item(3, parent=4), item(5, parent=6), item(7, parent=8)]
    assert cast.hold.defer_late(orphans, [item(6)]) == {"p1", "p3", "p5"}
    assert len(cast.hold) == 4
    cast.hold.close()  # as where its disk has failed: what waits there can no longer be asked for
    assert cast.hold.defer_late([item(10, parent=2)], []) == set()


async def test_what_has_spilled_is_gone_once_it_is_closed(cast):
    cast.hold.defer([item(1, parent=9)], {"p9"})
    cast.hold.check()
    cast.hold.close()
    cast.hold.admit([item(2, parent=9)])
    with pytest.raises(SpillFailed, match="closed"):
        cast.hold.check()


async def test_nothing_is_released_where_the_disk_no_longer_tells_whose_parents_wait(cast, monkeypatch):
    class FailsOnceSomethingIsTaken(VariantStore):
        def pop(self, count, up_to):
            taken = super().pop(count, up_to)
            self.close()
            return taken

    monkeypatch.setattr(variants, "VariantStore", FailsOnceSomethingIsTaken)
    monkeypatch.setattr(variants, "_CHUNK", 1)
    cast.hold.defer([item(1, parent=2), item(2, parent="late")], {"p2", "plate"})
    cast.hold.releasing = True
    with pytest.raises(SpillFailed):
        next(cast.hold.next_round())
    assert [*cast.queued(), *cast.hold.unresolved()] == ["p1", None]  # all are in the report


async def test_a_store_that_is_empty_when_its_round_ends_is_closed(cast):
    cast.hold.defer([item(1, parent=9)], {"p9"})
    store = cast.hold._store
    assert len(list(store.rest())) == 1
    cast.hold.reset()
    assert cast.hold._store is None
    cast.hold.reset()  # nothing is there to be closed
    cast.hold._store = store
    cast.hold.admit([item(2, parent=9)])
    with pytest.raises(SpillFailed, match="closed"):
        cast.hold.check()
