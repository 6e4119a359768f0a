"""The policy's smaller promises: after a pause, under another clock, and what a late call is told. Pure."""

import pytest

from neuroon_async.api.contract import RateLimit
from neuroon_async.limits.policy import Admission, Reserve, would_be_late

LIMIT = RateLimit(10, per=60.0)


def leave(admission, moment):
    """A single call that is answered at once."""
    stamp = admission.take(moment, bulk=False)
    assert stamp is not None
    admission.answered(moment, stamp=stamp)


# Single calls


@pytest.mark.parametrize("per", [0.5, 2.0, 60.0])
def test_a_single_call_counts_for_two_windows(per):
    assert Reserve(100, per).memory == 2 * per
    admission = Admission(RateLimit(100, per=per))
    for _ in range(3):
        assert admission.take(0.0, bulk=False) is not None
        admission.unused(0.0)
    for moment, remembered in ((1.9 * per, 3), (2 * per, 0)):
        admission.next_admission(moment, bulk=True)
        assert len(admission.singles) == remembered


# After a pause


def test_the_earliest_turn_after_a_pause_is_the_one_it_turns_out_to_be():
    admission = Admission(LIMIT)
    admission.pause(100.0)
    told = [admission.earliest(0.0, ahead=ahead, bulk=False) for ahead in range(35)]
    left = []
    now = 0.0
    for _ in told:
        now = admission.next_admission(now, bulk=False)
        leave(admission, now)
        left.append(now)
    assert left[:3] == [100.0, 106.0, 112.0]
    assert told == pytest.approx(left)


@pytest.mark.parametrize("begun", [0.0, 1.0, 30.0, 59.0, 60.0, 200.0])
def test_the_earliest_turn_is_never_later_than_it_turns_out_to_be(begun):
    """However long after the pause the first one comes."""
    admission = Admission(LIMIT)
    admission.pause(100.0)
    now = 100.0 + begun
    told = [admission.earliest(now, ahead=ahead, bulk=False) for ahead in range(35)]
    for earliest in told:
        now = admission.next_admission(now, bulk=False)
        leave(admission, now)
        assert earliest <= now + 1e-9


def test_the_earliest_turn_comes_after_the_share_of_the_one_before():
    admission = Admission(LIMIT)
    admission.pause(100.0)
    leave(admission, 105.0)
    assert admission.next_admission(105.0, bulk=False) == 111.0
    assert admission.earliest(105.0, ahead=0, bulk=False) == 111.0


# Another clock


@pytest.mark.parametrize("seconds", [1_000.0, -1_000.0])
def test_a_clock_that_is_set_moves_every_time_that_is_remembered(seconds):
    admission = Admission(RateLimit(100, per=60.0))
    admission.pause(5_000.0)
    for moment in (5_000.0, 5_001.0):
        leave(admission, moment)
    admission.external.note(3, 5_002.0)
    admission.shift(seconds)
    assert list(admission.window.cooling) == [5_060.0 + seconds, 5_061.0 + seconds]
    assert list(admission.external.seen) == [(5_062.0 + seconds, 3)]
    assert list(admission.singles) == [5_000.0 + seconds, 5_001.0 + seconds]
    assert (admission.not_before, admission.next_spaced) == (5_000.0 + seconds, 5_001.6 + seconds)


def test_another_clock_makes_no_pause_where_there_was_none():
    admission = Admission(LIMIT)
    admission.shift(1_000.0)
    assert (admission.not_before, admission.next_spaced) == (0.0, 0.0)
    assert admission.next_admission(5.0, bulk=False) == 5.0


def test_under_another_clock_no_more_single_calls_are_remembered_than_matter():
    admission = Admission(RateLimit(100, per=60.0))
    admission.shift(1_000.0)
    for _ in range(30):
        assert admission.take(1_000.0, bulk=False) is not None
        admission.unused(1_000.0)
    assert len(admission.singles) == 10


# What a late call is told


@pytest.mark.parametrize(("wait", "advice"), [(12.34, "; come back in 12.3 s"), (None, "")])
def test_a_late_call_is_told_the_limit_that_nothing_is_left_and_when_to_come_back(wait, advice):
    error = would_be_late("shop", requests=7, wait=wait)
    assert str(error) == (f"shop: not sent, for the wait for the rate limit would outlast the call's deadline{advice}")
    assert (error.limit, error.remaining, error.retry_after, error.local) == (7, 0, wait, True)
