"""The table of limits: which overrides there are, and which are refused."""

import pytest

from neuroon_async import UsageError
from neuroon_async.api.contract import DOCUMENTED_RATE_LIMITS, RateLimit
from neuroon_async.limits.tables import check_call, limit_table, shared_table


def test_the_table_is_overridden_by_name():
    assert limit_table({"shop": None}) == {**DOCUMENTED_RATE_LIMITS, "shop": None}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"shops": RateLimit(1, per=1)}, r"rate_limits names no endpoint shops; the names are shop, sync_products"),
        ({"shop": 5}, r"rate_limits\['shop'\] must be a RateLimit or None, got 5"),
        ([], "rate_limits must map endpoint names to RateLimit, got list"),
        ({3: None}, "names no endpoint 3"),
    ],
)
def test_a_table_that_cannot_work_is_refused_by_name(overrides, message):
    with pytest.raises(UsageError, match=message):
        limit_table(overrides)


@pytest.mark.parametrize("deadline", [None, 5, 5.5])
@pytest.mark.parametrize("bulk", [False, True])
def test_a_call_may_be_bulk_and_have_a_deadline(bulk, deadline):
    check_call(bulk, deadline)


@pytest.mark.parametrize(
    ("bulk", "deadline", "message"),
    [
        (1, None, "bulk must be True or False, got 1"),
        (None, 5.0, "bulk must be True or False, got None"),
        (True, "soon", "deadline must be a time of the event loop, or None; got 'soon'"),
        (False, True, "deadline must be a time of the event loop, or None; got True"),
    ],
)
def test_arguments_of_a_call_that_cannot_be_meant_are_refused_by_name(bulk, deadline, message):
    with pytest.raises(UsageError) as caught:
        check_call(bulk, deadline)
    assert str(caught.value).startswith(message)


def test_a_burst_of_the_whole_limit_shapes_nothing_and_may_be_shared():
    limit = RateLimit(9, per=1, burst=9)
    assert shared_table({"shop": limit}) == {**DOCUMENTED_RATE_LIMITS, "shop": limit}


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (None, "rate_limits['shop'] is None: a shared limit cannot be switched off"),
        (RateLimit(9, per=1, burst=8), "rate_limits['shop'] has a burst: a shared limit cannot shape bursts"),
    ],
)
def test_a_limit_that_cannot_be_shared_is_refused_by_name(limit, message):
    with pytest.raises(UsageError) as caught:
        shared_table({"shop": limit})
    assert str(caught.value).startswith(message)
