"""The OpenAPI document: valid, complete, committed, and true of the emulator.

``python tests/api/test_openapi.py`` writes docs/openapi.json again.
"""

import json
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from neuroon_async.api.contract import ENDPOINTS, HEALTH, VERIFY_DOMAIN_SHORT, Environment
from neuroon_async.api.models import WIRE_NAMES
from neuroon_async.api.openapi import openapi
from neuroon_async.testing import Emulator, Readings

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
DOCUMENT = openapi()
SCHEMAS = DOCUMENT["components"]["schemas"]

SCHEMATHESIS = """
[parameters]
# Any other shop id is answered with 403, and would keep the rest from being reached.
"path.shopId" = "{}"

[checks]
# 422: parents and currencies, which no schema can express.
positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 422, 429, "5xx"]
"""


def as_text():
    return json.dumps(openapi(), indent=2, ensure_ascii=False) + "\n"


def operation(name):
    found = [verb for path in DOCUMENT["paths"].values() for verb in path.values() if verb["operationId"] == name]
    assert len(found) == 1
    return found[0]


def test_it_is_a_valid_openapi_document():
    validator = pytest.importorskip("openapi_spec_validator", reason="openapi-spec-validator is not installed")
    validator.validate(DOCUMENT)


def test_the_committed_document_is_the_one_that_the_code_makes():
    assert COMMITTED.read_text(encoding="utf-8") == as_text(), "run python tests/api/test_openapi.py"


def test_every_endpoint_is_there_with_its_limit():
    for endpoint in ENDPOINTS.values():
        described = operation(endpoint.name)
        assert described["x-rate-limit"] == {"requests": endpoint.limit.requests, "window": endpoint.limit.per}
        assert described["x-repeat-safe"] is endpoint.repeat_safe
        assert {"401", "403", "429", "500", "502", "503"} <= described["responses"].keys()
    assert {server["url"] for server in DOCUMENT["servers"]} == set(Environment)
    methods = sorted(method for path in DOCUMENT["paths"].values() for method in path)
    assert methods == sorted(e.method.lower() for e in (*ENDPOINTS.values(), VERIFY_DOMAIN_SHORT, HEALTH))
    assert "/api/plugin/shops/{shopId}/products/{externalId}" in DOCUMENT["paths"]


def test_every_field_of_a_product_is_there_with_its_limits():
    fields = SCHEMAS["Product"]["properties"]
    assert list(fields) == list(WIRE_NAMES.values())
    assert SCHEMAS["Product"]["required"] == ["externalId", "name", "price", "url"]
    assert (fields["name"]["minLength"], fields["name"]["maxLength"]) == (1, 512)
    assert fields["description"]["maxLength"] == 5000
    assert fields["currency"]["maxLength"] == 3
    assert (fields["rating"]["minimum"], fields["rating"]["maximum"]) == (0, 5)
    assert fields["price"] == {"type": "number", "minimum": 0}
    assert fields["stockQuantity"] == {"type": ["integer", "null"]}
    products = SCHEMAS["SyncRequest"]["properties"]["products"]
    assert (products["minItems"], products["maxItems"]) == (1, 500)


def test_what_is_concluded_from_samples_says_so():
    assert SCHEMAS["BatchResult"]["x-inferred"]
    assert SCHEMAS["Anything"]["x-inferred"]
    assert not SCHEMAS["Product"].get("x-inferred")


def test_nothing_in_it_is_pythons():
    text = as_text()
    for word in ("``", ">>>", "external_id", "None", "decimal"):
        assert word not in text.replace("track_conversion", "").replace("sync_products", "")


def test_a_call_does_not_share_its_result():
    before = as_text()
    for part in openapi()["components"].values():
        for entry in part.values():
            entry.clear()
    assert as_text() == before


async def test_the_emulator_serves_it():
    async with Emulator() as emulator, aiohttp.ClientSession() as session:
        async with session.get(f"{emulator.url}/openapi.json") as response:
            served = await response.json()
        assert served == json.loads(as_text()) | {"servers": [{"url": emulator.url}]}
        assert emulator.api_key not in json.dumps(served)


@pytest.mark.slow
def test_the_emulator_does_what_it_says(tmp_path):
    """Schemathesis sends what the document allows, and what it forbids, and holds the answers to it."""
    pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    with Emulator.in_thread(
        rate_limits=None, shop_url=None, require_search_log_id=True, readings=Readings(idempotency="ignored")
    ) as emulator:
        (tmp_path / "schemathesis.toml").write_text(SCHEMATHESIS.format(emulator.shop_id))
        command = [Path(sys.executable).with_name("schemathesis"), "run", f"{emulator.url}/openapi.json", "--no-color"]
        options = ["--header", f"X-Shop-API-Key: {emulator.api_key}", "--max-examples", "20", "--seed", "1"]
        # DELETE is allowed on /products/sync: it deletes the product with the id "sync".
        checks = ["--checks", "all", "--exclude-checks", "allow_header_conformance", "--continue-on-failure"]
        run = subprocess.run(
            [*command, *options, *checks], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240
        )
        assert run.returncode == 0, run.stdout + run.stderr
        for endpoint in ENDPOINTS:
            statuses = {request.status for request in emulator.requests_to(endpoint)}
            assert statuses & {200, 204}
            assert 401 in statuses


if __name__ == "__main__":
    COMMITTED.write_text(as_text(), encoding="utf-8")
