"""The idempotency keys of a run, whose source may never end."""

from __future__ import annotations

from neuroon_async.sync.sender import BatchKeys

BODIES = [b"%d" % (number % 7) for number in range(50)]


def keys_of(keys):
    return [keys.next(body) for body in BODIES]


def test_no_key_comes_twice_whatever_was_forgotten():
    for most in range(1, 9):
        keys = keys_of(BatchKeys("shop_1", most))
        assert len(set(keys)) == len(BODIES)


def test_the_same_source_has_the_same_keys_after_a_restart():
    assert keys_of(BatchKeys("shop_1", 3)) == keys_of(BatchKeys("shop_1", 3))
    assert not {*keys_of(BatchKeys("shop_1", 3))} & {*keys_of(BatchKeys("shop_2", 3))}


def test_a_run_that_never_ends_remembers_a_bounded_number_of_bodies():
    keys = BatchKeys("shop_1")
    for number in range(11_000):
        keys.next(b"%d" % number)
    assert len(keys) <= 10_000
