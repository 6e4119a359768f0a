"""The command's numbers: an estimate looks like one, nothing is cut, and no time is foretold that nobody knows."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace

import pytest
from rich.console import Console
from test_cli import catalog, environment, neuroon, served

from neuroon_async import RateLimit, SyncProgress
from neuroon_async.cli import console, progress
from neuroon_async.cli.progress import Length, _bar, _table, limit_of, progress_bar, progress_table, status_parts
from neuroon_async.testing import Emulator

NOW = SyncProgress(
    received=600, done=500, accepted=490, unchanged=0, superseded=0, failed=10, deleted=0, requests=5, total=None,
    elapsed=5.0, rate=100.0, remaining_seconds=None, waited=1.0, waiting_for_limit=False,
)  # fmt: skip
WAITING = replace(NOW, waiting_for_limit=True)
AWAY = replace(WAITING, failing_for=65.0, gives_up_in=2_635.0)
EXACT, GUESS = Length(9_000, sure=True), Length(18_236, sure=False)


def line(*arguments):
    return " · ".join(part.plain for part in status_parts(*arguments))


@pytest.mark.parametrize(
    ("moment", "length", "next_in", "told"),
    [
        (NOW, EXACT, 0, "500/9,000 products · 100/s · 5 requests · 10 failed · ETA ~1:25"),
        (NOW, GUESS, 0, "500/~18,200 products · 100/s · 5 requests · 10 failed · ETA ~2:57"),
        (NOW, None, 0, "500 products · 100/s · 5 requests · 10 failed"),
        (NOW, Length(400, sure=False), 0, "500/~500 products · 100/s · 5 requests · 10 failed"),
        (
            WAITING,
            EXACT,
            41.7,
            "500/9,000 products · 100/s · 5 requests · 10 failed · waiting for the rate limit, 0:42 left",
        ),
        (WAITING, EXACT, 0, "500/9,000 products · 100/s · 5 requests · 10 failed · waiting for the rate limit"),
        (replace(NOW, failed=0, requests=1), EXACT, 9, "500/9,000 products · 100/s · 1 request · ETA ~1:25"),
        (
            AWAY,
            EXACT,
            9,
            "500/9,000 products · 100/s · 5 requests · 10 failed · no answer for 1:05, giving up in 43:55",
        ),
        (
            replace(AWAY, gives_up_in=0.0),
            EXACT,
            9,
            "500/9,000 products · 100/s · 5 requests · 10 failed · no answer for 1:05, giving up after these attempts",
        ),
    ],
)
def test_the_status_tells_of_pace_failures_and_rate_limits(moment, length, next_in, told):
    assert line(moment, length, next_in) == told


@pytest.mark.parametrize("number", [0, 7, 999, 1_000, 18_236, 999_999, 4_321_987])
def test_an_estimate_is_rounded_and_has_a_tilde(number):
    shown = str(Length(number, sure=False))
    assert shown.startswith("~")
    assert abs(int(shown[1:].replace(",", "")) - number) <= number / 200
    assert len(shown.replace(",", "").rstrip("0")) <= 4
    assert str(Length(number, sure=True)) == f"{number:,}"


@pytest.mark.parametrize("width", [30, 45, 80, 120])
@pytest.mark.parametrize("moment", [NOW, WAITING, AWAY], ids=["running", "waiting", "away"])
def test_nothing_is_cut(moment, width):
    moment = replace(moment, done=12_345_678, received=12_345_678, requests=24_692, failed=1_234)
    length = Length(98_765_432, sure=False)
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(
        _bar("Syncing", moment, length, 52.0, width)
    )
    shown = out.getvalue()
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
    words = " ".join(shown.split())
    for part in status_parts(moment, length, 52.0):
        assert part.plain in words


@pytest.mark.parametrize("width", [60, 80, 120])
def test_markets_have_a_row_each_and_nothing_is_cut(width):
    moment = replace(NOW, done=12_345_678, received=12_345_678, failed=1_234)
    rows = {
        "es": (moment, Length(98_765_432, sure=False), 0.0),
        "a-market-with-a-long-name": (replace(moment, waiting_for_limit=True), None, 52.0),
        "fr": None,
    }
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(_table(rows))
    shown = out.getvalue()
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width
    words = "".join(shown.split())
    for part in ("~12%", "12,345,678/~98,800,000", "1,234failed", "0:52left", "notbegun", "a-market", "name"):
        assert part in words, part


def test_lines_of_several_markets_name_the_market(monkeypatch, capsys):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with progress_table(["es", "fr"]) as show:
        for seconds in range(1, 16):
            clock[0] = 100.0 + seconds
            show("es", replace(NOW, done=seconds * 100), EXACT, 0.0)
    assert capsys.readouterr().err.splitlines() == ["es: 1,000/9,000 products, 100/s, 5 requests, 10 failed, ETA ~1:20"]
    with progress_table(["es"], lines=False) as nobody:
        assert nobody is None


def test_lines_appear_from_time_to_time_where_there_is_no_terminal(monkeypatch, capsys):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with progress_bar("Syncing", lambda: GUESS, next_in=lambda: 30.0) as show:
        for seconds in range(1, 26):
            clock[0] = 100.0 + seconds
            show(replace(NOW, done=seconds * 100))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "Syncing: 1,000/~18,200 products, 100/s, 5 requests, 10 failed, ETA ~2:52",
        "Syncing: 2,000/~18,200 products, 100/s, 5 requests, 10 failed, ETA ~2:42",
    ]
    with progress_bar("Syncing", lambda: GUESS, quiet=True) as nobody:
        assert nobody is None
    with progress_bar("Syncing", lambda: GUESS, lines=False) as nobody:
        assert nobody is None


def test_a_piped_run_prints_lines_and_json_none(monkeypatch, tmp_path):
    monkeypatch.setattr(progress, "LINES_EVERY", 0.0)
    assert console.err().is_terminal is False
    with served(algorithm="off") as server:
        result = neuroon("sync", catalog(tmp_path, count=3), env=environment(server))
        assert "Syncing: 3/3 products" in result.stderr
        for option in ("--json", "--quiet"):
            assert neuroon("sync", catalog(tmp_path, count=3), option, env=environment(server)).stderr == ""


@pytest.mark.virtual_time
async def test_the_end_of_the_wait_is_the_limiters():
    limits = {"shop": RateLimit(1, per=60.0)}
    async with Emulator(algorithm="off") as emulator, emulator.client(rate_limits=limits) as client:
        next_in = limit_of(client)
        assert next_in() == 0.0
        await client.shop()
        assert next_in() == 0.0
        second = asyncio.create_task(client.shop())
        await asyncio.sleep(20)
        assert next_in() == pytest.approx(40, abs=0.5)
        assert client.limits()["shop"].next_in == next_in()
        await second
        assert next_in() == 0.0
