"""The table of limits: which overrides there are, and which are refused."""

import pytest

from neuroon_async import UsageError
from neuroon_async.api.contract import DOCUMENTED_RATE_LIMITS, RateLimit
from neuroon_async.limits.tables import limit_table


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
