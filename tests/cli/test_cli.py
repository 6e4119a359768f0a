"""The command line as its users meet it: exit codes, what is printed where, and what reaches the server."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from neuroon_async import ProductFailure, RetryPolicy, SyncReport
from neuroon_async.cli import main
from neuroon_async.cli.app import app
from neuroon_async.cli.bulk import Output
from neuroon_async.cli.console import clean
from neuroon_async.testing import DEFAULT_API_KEY, DEFAULT_SHOP_ID, Emulator, Fault, verify_widget_token

KEY = "sk_" + "5ec7e7" * 5 + "00"
PROJECT = Path(__file__).parents[2]
DATA = Path(os.environ.get("NEUROON_TEST_DATA") or PROJECT.parent / "shared" / "data")
# A process started in the background may inherit SIGINT as ignored; a terminal's does not.
START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "import neuroon_async.cli; neuroon_async.cli.main()"
)


@contextmanager
def served(**options) -> Iterator[Emulator]:
    """An emulator in a thread of its own: the command brings its own event loop."""
    emulator = Emulator(api_key=KEY, **options)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(emulator.start(), loop).result(60)
        yield emulator
    finally:
        asyncio.run_coroutine_threadsafe(emulator.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def server() -> Iterator[Emulator]:
    with served(algorithm="off") as emulator:
        yield emulator


def environment(server: Emulator | None = None, key: str = KEY) -> dict[str, str]:
    variables = {"NEUROON_API_KEY": key, "NEUROON_SHOP_ID": DEFAULT_SHOP_ID}
    return variables | {"NEUROON_API_URL": "http://127.0.0.1:9" if server is None else server.url}


NO_CREDENTIALS = dict.fromkeys(("NEUROON_API_URL", "NEUROON_API_KEY", "NEUROON_SHOP_ID"))


def runner():
    """Click before 8.2 mixes both streams unless told otherwise; later ones never do."""
    mixes = "mix_stderr" in inspect.signature(CliRunner).parameters
    return CliRunner(mix_stderr=False) if mixes else CliRunner()


def neuroon(*arguments: object, env=NO_CREDENTIALS):
    """Run in this process. The key must come out nowhere, whatever the command does."""
    result = runner().invoke(app, [str(argument) for argument in arguments], env=env, prog_name="neuroon")
    assert KEY not in result.output
    assert "Traceback" not in result.output or "--debug" in arguments
    return result


@contextmanager
def started(*arguments: object, env: dict[str, str], stdin=subprocess.DEVNULL) -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(
        [sys.executable, "-c", START, *map(str, arguments)],
        env={name: value for name, value in os.environ.items() if not name.startswith("NEUROON_")}
        | (env | {"PYTHONPATH": str(PROJECT)}),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen, given: str | None = None) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(given, timeout=120)
    assert KEY not in stdout + stderr
    assert "Traceback" not in stderr
    return process.returncode, stdout, stderr


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def catalog(folder: Path, *products: dict, count: int = 0) -> Path:
    file = folder / "products.jsonl"
    tea = {"name": "Tea", "price": 4.5, "url": "https://shop.example/t"}
    rows = [*({"externalId": f"P-{n}", **tea} for n in range(count)), *products]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


BAD = {"externalId": "BAD", "name": "Refund", "price": -1, "url": "https://shop.example/b"}


# Exit codes


def test_0_when_everything_arrived(server, tmp_path):
    result = neuroon("sync", catalog(tmp_path, count=3), env=environment(server))
    assert (result.exit_code, result.stderr) == (0, "")
    assert set(server.products) == {"P-0", "P-1", "P-2"}
    assert re.search(r"received +3\n +accepted +3  3 created\n +failed +0\n +requests +1\n", result.stdout)


def test_1_when_some_products_failed_and_the_others_arrived(server, tmp_path):
    result = neuroon("sync", catalog(tmp_path, BAD, count=3), env=environment(server))
    assert result.exit_code == 1
    assert set(server.products) == {"P-0", "P-1", "P-2"}
    assert re.search(r"BAD .*price: must be 0 or more, got -1 .* local", result.stdout)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["sync", "FILE"], "NEUROON_API_KEY and NEUROON_SHOP_ID are not set"),
        (["sync", "FILE", "--dry-run", "--map", "title"], "--map takes FIELD=COLUMN"),
        (["sync", "FILE", "--dry-run", "--map", "name=a", "--map", "name=b"], "--map gives 'name' twice"),
        (["sync", "FILE", "--dry-run", "--map", "nome=title"], "error: --map: 'nome' is not a product field"),
        (["sync", "FILE", "--dry-run", "--currency", "euro"], "currency must be a code of three letters"),
        (["sync", "FILE", "--dry-run", "--batch-size", "501"], "batch-size"),
        (["sync", "FILE", "--dry-run", "--dead-letter", "FILE"], "is the file being synced"),
        (["shop", "--api-url", "http://api.example", "--api-key", "sk_" + "1" * 32, "--shop-id", "s"], "plain http"),
        (["delete"], "name the products to delete"),
        (["delete", "A-1", "--file", "FILE"], "or the file that lists them, not both"),
        (["verify"], "give exactly one"),
        (["verify", "https://a.example", "--remove"], "give exactly one"),
        (["nonsense"], "nonsense"),
    ],
)
def test_2_for_usage_and_configuration(arguments, complaint, tmp_path):
    file = catalog(tmp_path, count=1)
    result = neuroon(*(file if argument == "FILE" else argument for argument in arguments))
    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.split())
    assert file.stat().st_size


@pytest.mark.parametrize("status", [401, 403])
def test_3_when_the_api_stops_the_run(server, status, tmp_path):
    server.fail("sync_products", Fault.status(status, f"no, {KEY}"), times=100)
    result = neuroon("sync", catalog(tmp_path, count=3), env=environment(server))
    assert result.exit_code == 3
    assert re.search(r"accepted +0\n +failed +3", result.stdout)
    assert re.fullmatch(rf"error: {status} .*\n", result.stderr)


def test_3_when_the_network_does_not_reach_the_api(monkeypatch):
    with served() as stopped:
        env = environment(stopped)
    monkeypatch.setattr("neuroon_async.client.RetryPolicy", lambda: RetryPolicy(attempts=1))
    result = neuroon("shop", env=env)
    assert (result.exit_code, result.stdout) == (3, "")
    assert re.fullmatch(r"error: shop_test: GET .*cannot connect.*\n", result.stderr)


def test_4_when_the_file_is_not_there(tmp_path):
    result = neuroon("sync", tmp_path / "nothing.csv", "--dry-run")
    assert (result.exit_code, result.stdout) == (4, "")
    assert re.fullmatch(r"error: .*nothing\.csv: cannot be opened: No such file or directory\n", result.stderr)


def test_4_when_the_file_breaks_off_and_what_came_before_was_sent(server, tmp_path):
    file = tmp_path / "cut.json"
    file.write_text("[" + catalog(tmp_path, count=3).read_text().strip().replace("\n", ",")[:-5])
    result = neuroon("sync", file, env=environment(server))
    assert result.exit_code == 4
    assert set(server.products) == {"P-0", "P-1"}
    assert "stopped before its end" in result.stdout
    assert re.search(r"accepted +2", result.stdout)
    assert result.stderr.startswith("error: cut.json")


def test_4_when_the_dead_letter_file_cannot_be_written_and_nothing_was_sent(server, tmp_path):
    arguments = ("sync", catalog(tmp_path, count=1), "--dead-letter", tmp_path / "no" / "folder.jsonl")
    assert neuroon(*arguments, env=environment(server)).exit_code == 4
    assert server.requests == []


def test_help_documents_the_exit_codes():
    for arguments in ((), ("sync",), ("delete",)):
        text = " ".join(neuroon(*arguments, "--help").stdout.split())
        for promise in ("0 everything arrived", "1 some products failed", "2 usage", "130 interrupted"):
            assert promise in text


@pytest.mark.parametrize("command", [(), ("sync",), ("sandbox",), ("ledger",), ("ledger", "forget")], ids=" ".join)
def test_no_switch_looks_as_if_a_value_had_to_follow(command):
    assert "<bool>" not in neuroon(*command, "--help").stdout


# What is printed where


@pytest.mark.slow
def test_json_is_one_object_and_nothing_else(server, tmp_path):
    with started("sync", catalog(tmp_path, BAD, count=3), "--json", env=environment(server)) as process:
        code, stdout, stderr = ended(process)
    document = json.loads(stdout)
    assert (code, stderr) == (1, "")
    assert (document["ok"], document["exit_code"], document["error"]) == (False, 1, None)
    assert (document["received"], document["accepted"], document["failed"]) == (4, 3, 1)
    assert document["failures"][0]["external_id"] == "BAD"


@pytest.mark.parametrize("missing", ["file", "credentials"])
def test_json_tells_of_errors_too(missing, tmp_path):
    file = tmp_path / "nothing.csv" if missing == "file" else catalog(tmp_path, count=1)
    result = neuroon("sync", file, "--json")
    document = json.loads(result.stdout)
    assert document["exit_code"] == result.exit_code == (4 if missing == "file" else 2)
    assert document["error"] in result.stderr


@pytest.mark.slow
def test_piped_output_has_no_colours_and_no_bar(server, tmp_path):
    with started("sync", catalog(tmp_path, BAD, count=3), env=environment(server)) as process:
        _, stdout, stderr = ended(process)
    assert "\x1b" not in stdout + stderr
    assert "Syncing" not in stdout + stderr


@pytest.mark.slow
def test_on_a_terminal_the_bar_is_on_stderr_and_json_stays_pure(server, tmp_path):
    server.latency = 0.3
    pty = pytest.importorskip("pty", reason="this system has no such terminals")
    terminal, stderr = pty.openpty()
    command = [sys.executable, "-c", START, "sync", str(catalog(tmp_path, count=3)), "--json"]
    variables = environment(server) | {"PYTHONPATH": str(PROJECT), "TERM": "xterm"}
    with subprocess.Popen(command, env=os.environ | variables, stdout=subprocess.PIPE, stderr=stderr) as process:
        stdout, _ = process.communicate(timeout=120)
    drawn = os.read(terminal, 65_536).decode()
    os.close(stderr)
    os.close(terminal)
    assert json.loads(stdout)["accepted"] == 3
    assert "Syncing" in drawn
    assert "/3 products" in drawn


def test_quiet_says_nothing_of_success_and_all_of_failure(server, tmp_path):
    good = neuroon("sync", catalog(tmp_path, count=3), "--quiet", env=environment(server))
    assert (good.exit_code, good.output) == (0, "")
    bad = neuroon("sync", catalog(tmp_path, BAD), "--quiet", env=environment(server))
    assert bad.exit_code == 1
    assert "must be 0 or more" in bad.stdout


@pytest.mark.slow
def test_foreign_text_does_not_steer_the_terminal(server, tmp_path):
    hostile = BAD | {"externalId": "\x1b[2J[bold]\u202e"}
    with started("sync", catalog(tmp_path, hostile), env=environment(server)) as process:
        code, stdout, _ = ended(process)
    assert code == 1
    assert r"\x1b[2J[bold]\u202e" in stdout


def test_clean_leaves_ordinary_text_alone():
    assert clean("Café [50 %]\n größer") == "Café [50 %] größer"


def test_failures_for_one_reason_share_a_row(server, tmp_path):
    rows = [BAD | {"externalId": f"BAD-{n}"} for n in range(50)]
    result = neuroon("sync", catalog(tmp_path, *rows), env=environment(server))
    assert result.stdout.count("must be 0 or more") == 1
    assert "and 49 more" in result.stdout


def test_debug_shows_the_traceback(tmp_path):
    result = neuroon("sync", tmp_path / "nothing.csv", "--debug")
    assert result.exit_code == 4
    assert "Traceback" in result.stderr


def test_reasons_advise_options_of_the_command_that_were_not_given(tmp_path):
    file = tmp_path / "file.csv"
    file.write_text(
        f'id,name,price,url\n1,{"long " * 200},1,https://s.example/1\n2,n,1,/p/2\n3,n,1,\n4,n,"1,299",u:x\n'
    )
    dead = tmp_path / "dead.jsonl"
    told = neuroon("sync", file, "--dry-run", "--json", "--dead-letter", dead).stdout
    reasons = [failure["reason"] for failure in json.loads(told)["failures"]]
    assert reasons[0].endswith("; --fit cuts it at a word")
    assert all(reason.endswith("give the shop's address (--shop-url)") for reason in reasons[1:3])
    assert reasons[3].endswith("(--decimal . or --decimal ,)")
    assert [json.loads(line)["failure"]["reason"] for line in dead.read_text().splitlines()] == reasons
    told = neuroon("sync", file, "--dry-run", "--fit", "--shop-url", "https://s.example", "--decimal", ".").stdout
    assert "url: is required" in told
    assert "--fit cuts" not in told
    assert "--shop-url" not in told
    refused = neuroon("sync", file, "--dry-run", "--shop-url", "s.example").stderr
    assert refused.startswith("error: --shop-url must be an address")


# Dry runs and dead letters


def test_dry_run_checks_everything_and_sends_nothing(server, tmp_path):
    file = catalog(tmp_path, BAD, count=1100)
    result = neuroon("sync", file, "--dry-run", env=environment(server))
    assert result.exit_code == 1
    assert server.requests == []
    assert re.search(
        r"to send +1,100  87,007 bytes\n +failed +1\n +requests +3  3 to sync\n +takes +0 s", result.stdout
    )


def test_dry_run_refuses_a_full_sync_of_several_requests(tmp_path):
    result = neuroon("sync", catalog(tmp_path, count=501), "--dry-run", "--mode", "full")
    assert result.exit_code == 2
    assert "a FULL sync must fit into one request of 500 products and" in result.stderr
    assert "add --ledger FILE --delete-missing" in result.stderr
    assert "unsent     501  never part of a request" in result.stdout
    assert "allow_multi_request_full" not in result.output
    document = neuroon("sync", catalog(tmp_path, count=501), "--dry-run", "--mode", "full", "--json").stdout
    assert "allow_multi_request_full" not in document


def test_dead_letters_can_be_mended_and_synced_again(server, tmp_path):
    dead = tmp_path / "dead.jsonl"
    clean_run = neuroon("sync", catalog(tmp_path, count=3), "--dead-letter", dead, env=environment(server))
    assert clean_run.exit_code == 0
    assert not dead.exists()
    result = neuroon("sync", catalog(tmp_path, BAD), "--dead-letter", dead, env=environment(server))
    assert result.exit_code == 1
    assert f"neuroon sync {dead}" in result.stderr
    dead.write_text(dead.read_text().replace('"price":-1', '"price":1.5'))
    assert neuroon("sync", dead, env=environment(server)).exit_code == 0
    assert server.products["BAD"]["price"] == Decimal("1.5")


def test_a_dead_letter_file_that_exists_is_kept_even_where_it_is_empty(server, tmp_path):
    dead = tmp_path / "dead.jsonl"
    dead.touch()
    assert neuroon("sync", catalog(tmp_path, count=1), "--dead-letter", dead, env=environment(server)).exit_code == 0
    assert dead.exists()


# Standard input and interruptions


@pytest.mark.slow
def test_standard_input(server, tmp_path):
    with started("sync", "-", env=environment(server), stdin=subprocess.PIPE) as process:
        code, stdout, _ = ended(process, catalog(tmp_path, count=3).read_text())
    assert code == 0
    assert stdout.startswith("Sync of standard input\n")
    assert len(server.products) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_in_flight_the_partial_report_accounts_for_everything(number, expected, tmp_path):
    with served(algorithm="off") as server:
        server.fail("sync_products", Fault.hang(), when=lambda request: request.number > 2)
        file = catalog(tmp_path, count=40)
        arguments = ("sync", file, "--json", "--batch-size", 10, "--concurrency", 1)
        with started(*arguments, env=environment(server)) as process:
            until(lambda: len(server.requests) == 3)
            process.send_signal(number)
            code, stdout, stderr = ended(process)
    document = json.loads(stdout)
    assert (code, document["exit_code"]) == (expected, expected)
    assert document["received"] in {30, 40}  # one batch in flight, and perhaps the next one read
    assert (document["accepted"], document["failed"]) == (20, document["received"] - 20)
    assert stderr == f"error: {document['error']}\n"


@pytest.mark.slow
def test_interrupted_while_a_pipe_is_silent(server):
    reader, writer = os.pipe()
    with started("sync", "-", env=environment(server) | {"PYTHONFAULTHANDLER": "1"}, stdin=reader) as process:
        os.write(writer, b'[{"externalId": "A",')
        until(lambda: _pipe_is_empty(reader))  # the command has begun to read, and goes on waiting
        process.send_signal(signal.SIGINT)
        code, stdout, stderr = ended(process)
        os.close(writer)
        os.close(reader)
    assert code == 130
    assert "stopped before its end" in stdout
    again = "the catalog may not have been sent to its end: run the same command again"
    assert stderr == f"{again}\nerror: interrupted\n"


def _pipe_is_empty(reader: int) -> bool:
    return not select.select([reader], [], [], 0)[0]


# The other commands


@pytest.mark.slow
def test_delete(server, tmp_path):
    assert neuroon("sync", catalog(tmp_path, count=5), env=environment(server)).exit_code == 0
    ids = tmp_path / "ids.txt"
    ids.write_bytes(b"P-1\r\nP-2\n\n")
    assert neuroon("delete", "--file", ids, env=environment(server)).exit_code == 0
    assert neuroon("delete", "P-0", "--quiet", env=environment(server)).output == ""
    result = neuroon("delete", "P-3", "P-9", env=environment(server))
    assert result.exit_code == 1
    assert re.search(r"P-9 .*404 Not Found.* server 404", result.stdout)
    assert set(server.products) == {"P-4"}
    with started("delete", "-", "--json", env=environment(server), stdin=subprocess.PIPE) as process:
        code, stdout, _ = ended(process, "P-4\n")
    assert (code, json.loads(stdout)["deleted"], server.products) == (0, 1, {})


def test_delete_refuses_a_list_that_is_not_text(tmp_path):
    ids = tmp_path / "ids.txt"
    ids.write_bytes(b"P-1\n\xff\n")
    result = neuroon("delete", "--file", ids)
    assert result.exit_code == 4
    assert "byte 4 is not UTF-8" in result.stderr


def test_shop(server):
    result = neuroon("shop", env=environment(server))
    assert result.exit_code == 0
    assert re.search(r"products at most +1,000,000\n", result.stdout)


def test_shop_and_verify_as_json(server):
    def answer(*arguments: str) -> dict[str, object]:
        result = neuroon(*arguments, "--json", env=environment(server))
        assert (result.exit_code, result.stderr) == (0, "")
        return json.loads(result.stdout)

    plan = answer("shop")
    assert plan.keys() == {"shop_id", "max_products", "max_searches_per_month"}
    assert (plan["shop_id"], plan["max_products"]) == (DEFAULT_SHOP_ID, 1_000_000)
    code = answer("verify", "https://shop.example")["verification_code"]
    assert code == server.verification_code
    state = answer("verify", "--status")
    assert (state["verification_code"], state["domain"]) == (code, "https://shop.example")
    assert answer("verify", "--remove") == {"removed": True}


def test_shop_with_a_wrong_key(server):
    result = neuroon("shop", env=environment(server, key="sk_" + "b" * 32))
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("error: 401")


def test_verify_status_and_remove(server):
    result = neuroon("verify", "https://shop.example", env=environment(server))
    assert result.exit_code == 0
    assert server.verification_code in result.stdout
    assert "https://shop.example" in neuroon("verify", "--status", env=environment(server)).stdout
    assert neuroon("verify", "--remove", env=environment(server)).exit_code == 0
    assert not server.verified


def test_token_is_all_that_stdout_holds():
    result = neuroon("token", env=environment())
    verify_widget_token(result.stdout.removesuffix("\n"), api_key=KEY, now=time.time())
    tag = neuroon("token", "--tag", env=environment()).stdout
    assert tag.startswith("<script src=")
    assert tag.count("\n") == 1


def test_an_unusual_key_is_warned_of_in_one_line(server):
    result = neuroon("shop", env=environment(server, key="sk_live_x"))
    assert result.exit_code == 3
    assert result.stderr.startswith("warning: the API key does not look like")


@pytest.mark.slow
def test_sandbox_serves_what_it_says_to_export(tmp_path):
    with started("sandbox", "--port", 0, env={"PYTHONUNBUFFERED": "1"}) as process:
        exported, printed = {}, []
        for line in process.stdout:
            printed.append(line)
            if match := re.fullmatch(r"export (\w+)=(\S+)\n", line):
                exported[match[1]] = match[2]
            if len(exported) == 3:
                break
        assert exported["NEUROON_API_KEY"] == DEFAULT_API_KEY
        assert neuroon("sync", catalog(tmp_path, count=3), env=exported).exit_code == 0
        with urllib.request.urlopen(f"{exported['NEUROON_API_URL']}/", timeout=60) as response:
            page = response.read().decode()
        assert "<h1>Sandbox</h1>" in page
        assert DEFAULT_API_KEY not in page
        process.send_signal(signal.SIGINT)
        code, stdout, stderr = ended(process)
    assert (code, stderr) == (0, "")
    assert "POST   /api/plugin/shops/shop_test/products/sync" in stdout
    assert "Watch it in a browser: http://127.0.0.1:" in "".join(printed)
    assert "The sandbox has ended." in stdout


def test_sandbox_on_a_port_that_is_taken(server):
    result = neuroon("sandbox", "--port", server.port)
    assert result.exit_code == 2
    assert f"port {server.port} is in use" in result.stderr


def test_demo(monkeypatch, tmp_path):
    monkeypatch.setattr("neuroon_async.cli.commands.demo._LATENCY", 0.0)
    result = neuroon("demo", "--products", 1000, "--svg", tmp_path / "demo.svg")
    assert result.exit_code == 0
    assert re.search(r"superseded +2 ", result.stdout)
    assert re.search(r"requests +\d+  2 retries\n", result.stdout)
    for external_id in ("X-NEGATIVE", "X-NAMELESS", "X-RATED", "X-PRICELESS", "X-TYPO", "X-ORPHAN-42", "X-RECALLED"):
        assert external_id in result.stdout
    assert "exactly those accepted" in result.stdout
    token = re.search(r"24 hours:\n  (\S+)\n", result.stdout)
    assert token is not None
    picture = ET.parse(tmp_path / "demo.svg")  # well-formed, and it fetches nothing
    drawn = "".join(picture.getroot().itertext()).replace("\N{NO-BREAK SPACE}", " ")
    assert "X-ORPHAN-42" in drawn
    assert token[1] in drawn
    assert "url(" not in drawn.replace("url(#", "")


def test_without_the_extra_one_line_says_what_to_install(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] in {"typer", "rich", "click"}]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "neuroon_async.cli.app")
    for name in [name for name in sys.modules if name.startswith("neuroon_async.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "error: the neuroon command needs an extra: pip install 'neuroon-async[cli]'\n"


# A real catalog


def test_a_real_catalog_is_accounted_for_to_the_last_product(server):
    file = DATA / "bestbuy.json"
    if not file.is_file():
        pytest.skip(f"bestbuy.json is not in {DATA} (set NEUROON_TEST_DATA to the folder of real catalogs)")
    mapping = ("external_id={image:hash}", "url=https://shop.example/p/{name:slug}-{image:hash}")
    options = [option for pair in mapping for option in ("--map", pair)]
    result = neuroon("sync", file, *options, "--currency", "USD", "--json", env=environment(server))
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["received"] == 3291
    assert document["accepted"] + document["superseded"] + document["failed"] == 3291
    assert document["accepted"] == len(server.products) == len({p["url"] for p in server.products.values()})
    assert document["ignored_fields"] == {"popularity": 3291}


def test_products_that_were_never_sent_are_told_apart_from_failures(capsys):
    unsent = [ProductFailure(f"U{n}", "not sent: the run was cancelled", "transport", unsent=True) for n in range(40)]
    bad = ProductFailure("BAD", "price: must be 0 or more", "local")
    report = SyncReport(received=41, failed=41, unsent=40, failures=[bad, *unsent])
    Output().show(report, asyncio.CancelledError(), "Sync")
    shown = " ".join(capsys.readouterr().out.split())
    assert "failed 1" in shown
    assert "unsent 40 never part of a request" in shown
    assert "BAD" in shown
    assert "U1" not in shown
    assert "other failures" not in shown
    Output(json=True).show(report, asyncio.CancelledError(), "Sync")
    document = json.loads(capsys.readouterr().out)
    assert document["unsent"] == 40
    assert [failure["unsent"] for failure in document["failures"][:2]] == [False, True]


def test_the_help_of_markets_names_its_tables():
    text = " ".join(neuroon("markets", "--help").stdout.split())
    assert "in tables [[market]], its shops" in text
    assert "in [market.map] the columns" in text


def test_a_file_of_authorities_that_cannot_be_read_is_named_as_the_shell_does(tmp_path):
    gone = tmp_path / "gone.pem"
    result = neuroon(
        "sync", catalog(tmp_path, count=1), "--ca-file", gone, env={"NEUROON_API_KEY": KEY, "NEUROON_SHOP_ID": "s"}
    )
    assert result.exit_code == 2
    assert "error: --ca-file" in result.stderr
    assert f"{gone} cannot be read as a file of certificate authorities: No such file or directory" in result.stderr
