"""The policy by itself: pure, the tests tell the time."""

import math
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroon_async.api.contract import DOCUMENTED_RATE_LIMITS, RateLimit
from neuroon_async.api.responses import RateLimitHeaders
from neuroon_async.limits.policy import (
    IN_TRANSIT,
    SINGLE_CALL_WAIT,
    Admission,
    EffectiveLimit,
    ExternalUsage,
    Reserve,
    SlotWindow,
    counted_by_server,
    shortest_time,
)

# Slots


def test_a_slot_comes_back_one_window_after_its_answer():
    window = SlotWindow(2, per=10)
    assert [window.take(0), window.take(0), window.take(5)] == [True, True, False]
    window.answered(3)
    assert not window.take(12.9)
    assert window.take(13)


def test_a_slot_without_an_answer_comes_back_when_its_request_can_no_longer_arrive():
    window = SlotWindow(2, per=10)
    window.take(0)
    window.take(0)
    window.unanswered(3)
    window.answered(4)  # ends later, and is back before
    back = 3 + IN_TRANSIT + 10
    assert list(window.cooling) == [14, back]
    assert [window.peek_used(moment) for moment in (13.9, 14, back - 0.1, back)] == [2, 1, 1, 0]
    assert [window.available(moment) for moment in (13.9, 14, back - 0.1, back)] == [0, 1, 1, 2]


def test_slots_without_answers_keep_the_order_of_their_return():
    window = SlotWindow(4, per=10)
    for _ in range(4):
        window.take(0)
    window.unanswered(0)
    window.answered(1)
    window.unanswered(2)
    window.answered(3)
    assert list(window.cooling) == [11, 13, 15, 17]  # those without an answer may be on their way for five seconds


def test_the_earliest_turn_counts_a_slot_without_an_answer_after_one_in_flight():
    admission = Admission(RateLimit(2, per=10))
    admission.take(0, bulk=False)
    admission.take(0, bulk=False)
    admission.unanswered(0)
    assert admission.earliest(0, ahead=0, bulk=False) == 10  # the other may be answered at once
    assert admission.earliest(0, ahead=1, bulk=False) == 10 + IN_TRANSIT


def test_an_unused_slot_is_free_at_once():
    window = SlotWindow(1, per=10)
    assert window.take(0)
    window.unused()
    assert window.take(0)


def test_looking_changes_nothing():
    window = SlotWindow(3, per=10)
    window.take(0)
    window.answered(0)
    window.take(0)
    assert [window.peek_used(5), window.peek_used(10), window.peek_used(5)] == [2, 1, 2]
    assert window.returned == 0


# Others


def test_the_most_that_was_seen_of_others_within_a_window_holds():
    external = ExternalUsage(per=10)
    external.note(6, 0)
    external.note(2, 5)
    external.note(0, 6)
    external.note(-1, 6)
    assert len(external.seen) == 2
    assert [external.at(moment) for moment in (0, 9.9, 10, 14.9, 15)] == [6, 6, 2, 2, 0]


def test_only_the_latest_of_what_was_seen_no_more_of_is_kept():
    external = ExternalUsage(per=10)
    for count, moment in ((6, 0), (2, 1), (4, 2), (4, 3)):
        external.note(count, moment)
    assert list(external.seen) == [(10, 6), (13, 4)]


def test_requests_are_spaced_out_only_after_a_pause():
    admission = Admission(RateLimit(10, per=60.0))
    admission.space_out(1.0)
    assert admission.next_spaced == 0.0
    admission.pause(5.0)
    admission.space_out(6.0)
    assert admission.next_spaced == 12.0
    admission.space_out(65.0)
    assert admission.next_spaced == 12.0


def test_what_others_spend_comes_back_step_by_step():
    external = ExternalUsage(per=10)
    external.note(3, 0)
    external.note(1, 5)
    assert sorted(external.returns()) == [10, 10, 15]
    assert [external.peek(10), external.peek(0)] == [1, 3]


def test_the_earliest_turn_comes_after_what_others_spend():
    admission = Admission(RateLimit(10, per=60.0))
    admission.external.note(10, 0.0)
    assert admission.earliest(1.0, ahead=0, bulk=False) == 60.0
    admission.external.note(12, 2.0)
    assert admission.earliest(2.0, ahead=0, bulk=False) == 62.0


# The server's own limit


def limit_header(text):
    return RateLimitHeaders.of({"X-RateLimit-Limit": text})


def test_a_lower_limit_of_the_server_is_followed_and_never_one_above_the_table():
    effective = EffectiveLimit(RateLimit(10, per=60))
    assert effective.observe(limit_header("6"), granted=0)
    assert (effective.requests, effective.generation) == (6, 1)
    assert effective.observe(limit_header("6"), granted=1) is False
    assert effective.observe(limit_header("500"), granted=1)
    assert effective.requests == 10


def test_an_answer_to_a_request_from_before_the_change_changes_nothing():
    effective = EffectiveLimit(RateLimit(10, per=60))
    effective.observe(limit_header("6"), granted=0)
    assert effective.observe(limit_header("10"), granted=0) is False
    assert effective.requests == 6


@pytest.mark.parametrize("text", ["0", "", "abc", "-1", "1.5", "٣", "4" * 5_000])
def test_a_limit_that_is_none_changes_nothing(text):
    assert not EffectiveLimit(RateLimit(10, per=60)).observe(limit_header(text), granted=0)


# The reserve


@pytest.mark.parametrize(
    ("requests", "per", "most"),
    [(100, 60, 10), (99, 60, 9), (20, 60, 2), (9, 60, 0), (1, 60, 0), (5, 300, 0), (100, 300, 2), (20, 2, 2)],
)
def test_the_reserve_is_never_more_than_comes_back_in_time(requests, per, most):
    reserve = Reserve(requests, per)
    assert reserve.most == most
    assert reserve.keep(1_000) == most
    assert reserve.keep(0) == min(2, most)
    assert most <= requests * 0.1
    assert most <= requests * SINGLE_CALL_WAIT / per


def bulk_until_full(admission, now):
    """Let bulk calls go that are answered at once."""
    count = 0
    while (stamp := admission.take(now, bulk=True)) is not None:
        admission.answered(now, stamp=stamp)
        count += 1
    return count


def test_a_bulk_call_may_leave_when_enough_is_free_or_comes_back_soon():
    admission = Admission(RateLimit(100, per=60))
    assert bulk_until_full(admission, 0) == 98
    assert admission.next_admission(0, bulk=True) == 54
    assert admission.next_admission(0, bulk=False) == 0
    assert bulk_until_full(admission, 53.9) == 0
    assert bulk_until_full(admission, 54) == 2


def test_single_calls_of_the_last_two_windows_enlarge_the_reserve():
    admission = Admission(RateLimit(100, per=60))
    for _ in range(5):
        stamp = admission.take(0, bulk=False)
        admission.unused(0)
    assert stamp is not None
    assert bulk_until_full(admission, 0) == 100 - 7
    for _ in range(50):
        admission.take(60, bulk=False)
        admission.unused(60)
    assert bulk_until_full(admission, 60) == 100 - 10
    assert bulk_until_full(admission, 180) == 100 - 2


def test_requests_in_flight_promise_nothing():
    admission = Admission(RateLimit(20, per=2))
    assert [admission.take(0, bulk=True) is not None for _ in range(19)] == [True] * 18 + [False]
    assert admission.next_admission(0, bulk=True) is None
    for _ in range(18):
        admission.answered(0.5, stamp=0)
    assert admission.take(0.5, bulk=True) is not None  # all come back within 6 s


def test_after_a_lowered_limit_the_surplus_must_come_back_first():
    admission = Admission(RateLimit(3, per=10))
    for moment in (0, 1, 2):
        admission.answered(moment, stamp=admission.take(moment, bulk=False))
    admission.set_requests(1)
    assert admission.next_admission(5, bulk=False) == 12
    assert [admission.take(11.9, bulk=False), admission.available(12)] == [None, 1]


def test_what_others_spend_takes_free_slots():
    admission = Admission(RateLimit(3, per=10))
    stamp = admission.take(0, bulk=False)
    admission.answered(0, stamp=stamp, counted=3)
    assert admission.available(0) == 0
    assert admission.next_admission(1, bulk=False) == 10


def test_others_that_spend_must_come_back_too_after_a_lowered_limit():
    admission = Admission(RateLimit(3, per=10))
    admission.take(0, bulk=False)
    stamp = admission.take(0, bulk=False)
    admission.unanswered(0)
    admission.answered(0, stamp=stamp, counted=3)
    admission.set_requests(1)
    assert admission.next_admission(1, bulk=False) == 10 + IN_TRANSIT  # of own ones at 10 and then, and another's at 10


def test_an_answer_is_out_of_date_by_as_many_slots_as_came_back_since_its_request_left():
    admission = Admission(RateLimit(10, per=60))
    for _ in range(3):
        admission.answered(0, stamp=admission.take(0, bulk=False))
    stamp = admission.take(59, bulk=False)
    admission.answered(61, stamp=stamp, counted=5)  # its own, those three, and another
    assert admission.available(61) == 10 - 1 - 1


@pytest.mark.parametrize(
    ("headers", "counted"),
    [
        ({}, None),
        ({"X-RateLimit-Remaining": "4"}, 6),
        ({"X-RateLimit-Remaining": "10"}, 0),
        ({"X-RateLimit-Remaining": "12"}, 0),
        ({"X-RateLimit-Remaining": "0", "Retry-After": "3"}, None),
    ],
)
def test_what_the_server_has_counted(headers, counted):
    assert counted_by_server(RateLimitHeaders.of(headers), 10) == counted


@pytest.mark.parametrize(("limit", "most"), [(RateLimit(100, per=60), 10), (RateLimit(5, per=300), 0)])
def test_of_single_calls_no_more_is_remembered_than_matters(limit, most):
    admission = Admission(limit)
    for _ in range(30):
        assert admission.take(0, bulk=False) is not None
        admission.unused(0)
    assert len(admission.singles) == most


# How long it takes at the least


@pytest.mark.parametrize("limit", [*dict.fromkeys(DOCUMENTED_RATE_LIMITS.values()), RateLimit(1, 10), RateLimit(34, 7)])
def test_the_shortest_time_is_what_the_policy_takes(limit):
    admission = Admission(limit)
    now = 0.0
    count = limit.requests * (4 + math.ceil(limit.per / SINGLE_CALL_WAIT))
    told = {}
    for number in range(1, count + 1):
        now = admission.next_admission(now, bulk=True)
        admission.answered(now, stamp=admission.take(now, bulk=True))
        told[number] = now
    for number in {1, 2, count, *range(1, count, max(1, limit.requests // 3 - 1))}:
        assert shortest_time(number, limit) == pytest.approx(told[number])
    assert shortest_time(0, limit) == 0
    assert shortest_time(1_000_000 * limit.requests, limit) == pytest.approx((1_000_000 - 1) * limit.per, rel=1e-5)


@pytest.mark.parametrize(("requests", "seconds"), [(1, 0), (98, 0), (99, 54), (100, 54), (101, 60), (197, 108)])
def test_the_shortest_time_at_the_documented_limit(requests, seconds):
    assert shortest_time(requests, RateLimit(100, per=60)) == seconds


# Against a model that looks at every arrival

EVENTS = st.lists(
    st.tuples(
        st.integers(0, 200),  # tenths of a second since the one before
        st.sampled_from(["single", "bulk", "bulk", "answer", "answer", "unused", "lost"]),
        st.integers(0, 20),  # which of those in flight
        st.none() | st.none() | st.integers(0, 25),  # how many the server says it has counted
    ),
    max_size=150,
)


class ByHand:
    """The rules, counted again from all that ever happened."""

    def __init__(self, limit):
        self.limit = limit
        self.in_flight = []  # when granted
        self.back = []  # when each answered slot comes back
        self.singles = []
        self.external = []  # (until when, how many)

    def free(self, moment):
        spent = max((count for until, count in self.external if until > moment), default=0)
        return self.limit.requests - len(self.in_flight) - sum(back > moment for back in self.back) - spent

    def allows(self, now, *, bulk):
        requests, per = self.limit.requests, self.limit.per
        recent = sum(moment > now - 2 * per for moment in self.singles)
        keep = min(requests // 10, math.floor(requests * SINGLE_CALL_WAIT / per + 1e-9), 2 + recent)
        return self.free(now) >= 1 and (not bulk or self.free(now + SINGLE_CALL_WAIT) - 1 >= keep)

    def answered(self, granted, now, counted):
        self.back.append(now + self.limit.per)
        others = (counted or 0) - len(self.in_flight) - sum(back > granted for back in self.back)
        if others > 0:
            self.external.append((now + self.limit.per, others))


@given(st.builds(RateLimit, st.integers(1, 30), st.sampled_from([1.0, 5.0, 60.0, 300.0])), EVENTS)
def test_every_decision_agrees_with_counting_by_hand(limit, events):
    admission, hand = Admission(limit), ByHand(limit)
    stamps, arrivals = [], []
    now = 0.0
    for wait, event, pick, counted in events:
        now += wait / 10
        if event in ("single", "bulk"):
            allowed = hand.allows(now, bulk=event == "bulk")
            stamp = admission.take(now, bulk=event == "bulk")
            assert (stamp is not None) == allowed
            if allowed:
                stamps.append(stamp)
                hand.in_flight.append(now)
                hand.singles += [now] * (event == "single")
        elif stamps:
            stamp, granted = stamps.pop(pick % len(stamps)), hand.in_flight.pop(pick % len(hand.in_flight))
            if event == "unused":
                admission.unused(now)
            elif event == "lost":
                arrivals.append(now + IN_TRANSIT)  # at the latest
                admission.unanswered(now)
                hand.back.append(now + IN_TRANSIT + limit.per)
            else:
                arrivals.append(now)
                admission.answered(now, stamp=stamp, counted=counted)
                hand.answered(granted, now, counted)
        assert admission.available(now) == max(0, hand.free(now))
        for bulk in (False, True):
            moment = admission.next_admission(now, bulk=bulk)
            if moment is not None:
                assert hand.allows(moment, bulk=bulk)
                assert admission.earliest(now, ahead=0, bulk=bulk) <= moment
    for i, start in enumerate(sorted(arrivals)):
        assert bisect_left(sorted(arrivals), start + limit.per - 1e-9) - i <= limit.requests


@given(st.builds(RateLimit, st.integers(10, 100), st.just(60.0)), st.integers(0, 600), st.integers(0, 50))
def test_the_first_single_call_waits_six_seconds_at_most(limit, silence, latency):
    """However long the bulk run before it has lasted."""
    admission = Admission(limit)
    now, in_flight = 0.0, []
    while now < silence:
        while (stamp := admission.take(now, bulk=True)) is not None:
            in_flight.append((now + latency / 10, stamp))
        moments = [in_flight[0][0]] if in_flight else []
        moments += [at for at in [admission.next_admission(now, bulk=True)] if at is not None]
        now = min(moments)
        while in_flight and in_flight[0][0] <= now:
            admission.answered(now, stamp=in_flight.pop(0)[1])
    asked = max(now, float(silence))
    moment = admission.next_admission(asked, bulk=False)
    assert moment is not None
    assert moment - asked <= SINGLE_CALL_WAIT + 1e-9
