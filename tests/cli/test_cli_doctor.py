"""`neuroon doctor` as its users meet it: exit codes, the table, JSON, and what a narrow or plain terminal shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from test_cli import KEY, NO_CREDENTIALS, PROJECT, environment, neuroon, served

from neuroon_async.testing import Fault

ADDRESS = "http://127.0.0.1:9"


@pytest.fixture
def server():
    with served() as emulator:
        yield emulator


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({}, 0, "All is well."),
        ({"NEUROON_API_KEY": None}, 2, "set NEUROON_API_KEY"),
        ({"NEUROON_API_KEY": "sk_" + "1" * 32}, 3, "answers 401"),
        ({"NEUROON_SHOP_ID": "other"}, 3, "not for other"),
        ({"NEUROON_SHOP_ID": KEY}, 2, "holds what looks like an API key"),
        ({"NEUROON_API_URL": ADDRESS}, 3, "check --api-url"),
        ({"NEUROON_API_URL": "https://neuroon.invalid"}, 3, "name it: --proxy http://host:port"),
        ({"SSL_CERT_FILE": "/nowhere"}, 2, "/nowhere cannot be read"),
        ({"NEUROON_API_KEY": "0"}, 3, "answers 401"),
    ],
    ids=[
        "well",
        "no key",
        "wrong key",
        "other shop",
        "key as shop",
        "nobody there",
        "no name",
        "authorities",
        "key within the address",
    ],
)
def test_exit_codes_are_those_of_the_other_commands(server, change, code, says):
    env = NO_CREDENTIALS | environment(server) | change
    result = neuroon("doctor", env=env)
    assert (result.exit_code, result.stderr) == (code, "")
    assert says in " ".join(result.stdout.split())
    document = json.loads(neuroon("doctor", "--json", env=env).stdout)
    assert (document["ok"], document["exit_code"]) == (code == 0, code)
    assert says == "All is well." or any(says in f"{f['what']}; {f['advice']}" for f in document["findings"])


def test_json_holds_all_that_was_seen(server):
    document = json.loads(neuroon("doctor", "--json", env=environment(server)).stdout)
    assert {"topic", "verdict", "what", "advice"} == set(document["findings"][0])
    assert {"point": "request id", "seen": "sent (X-Request-ID)", "documented": True} in document["readings"]
    assert document["requests"][1].items() >= {"method": "GET", "status": 200}.items()
    assert "what one bad product does to its batch" in document["not_asked"]
    assert "X-Request-ID: req_" in document["support"]


def test_hostile_text_does_not_steer_the_terminal(server):
    server.fail("shop", Fault.status(401, f"\x1b[2Jgone {KEY}"), times=None)
    result = neuroon("doctor", env=environment(server))
    assert "\x1b" not in result.stdout
    assert "\\x1b[2Jgone [API key]" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "encoding", "terminal"), [(40, "utf-8", "xterm"), (80, "ascii", "dumb")])
def test_it_fits_narrow_terminals_and_plain_encodings(server, columns, encoding, terminal):
    variables = environment(server) | {"COLUMNS": str(columns), "PYTHONIOENCODING": encoding, "TERM": terminal}
    command = (
        "import pty, sys; sys.exit(pty.spawn([sys.executable, '-m', 'neuroon_async', 'doctor', '--timeout', '9']) >> 8)"
    )
    done = subprocess.run(
        [sys.executable, "-c", command],
        env=os.environ | variables | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )
    text = re.sub("\x1b[^m]*m", "", done.stdout.decode())
    assert done.returncode == 0, text
    table = text.partition("For a support request")[0]
    assert max(len(line.rstrip()) for line in table.splitlines()) <= columns
    assert ("✓" in text, "+ API key" in text) == ((encoding == "utf-8"), (encoding == "ascii"))
    assert "\\u2192" not in text
    assert "…" not in table
