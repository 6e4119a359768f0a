"""The file itself: what a line survives, and what closing it may not hide."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from neuroon_async import DeadLetterFile, Product, ProductFailure, UsageError

TEA = Product(external_id="1", name="Tea", price=1, url="https://shop.example/1")
WRITER = """
import os, signal, sys
from neuroon_async import DeadLetterFile, Product, ProductFailure
letters = DeadLetterFile(sys.argv[1])
for n in range(3):
    letters(ProductFailure(str(n), "no", "server", 422, Product(external_id=str(n), name="é" * 5000, price=1, url="u")))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_lines_survive_a_killed_process(tmp_path):
    path = tmp_path / "failed.jsonl"
    done = subprocess.run([sys.executable, "-c", WRITER, path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [json.loads(line)["product"]["externalId"] for line in path.read_text().splitlines()] == ["0", "1", "2"]


def test_each_line_is_there_when_the_call_returns(tmp_path):
    letters = DeadLetterFile(tmp_path / "failed.jsonl")
    letters(ProductFailure("1", "no", "server", 422, TEA))
    assert len(letters.path.read_text().splitlines()) == 1
    letters.close()
    letters.close()


@pytest.mark.parametrize(
    "left", [b"", b'{"failure": {}}\n', b'{"failure": {"externalId": "0", "rea', '{"é'.encode()[:-1], b"\0", b"a\r\nb"]
)
def test_a_line_that_was_cut_off_costs_only_itself(tmp_path, left):
    path = tmp_path / "failed.jsonl"
    path.write_bytes(left)
    for number in "12":
        with DeadLetterFile(path) as letters:
            letters(ProductFailure(number, "no", "server", 422, TEA))
    assert path.read_bytes().startswith(left)
    added = path.read_bytes()[len(left) :].splitlines()
    assert [json.loads(line)["failure"]["externalId"] for line in added if line] == ["1", "2"]


class Full:
    """Takes a part of a line, as a disk does that is full after it."""

    def __init__(self, file):
        self._file = file
        self._is_full = False

    def write(self, line):
        if self._is_full:
            raise OSError(28, "No space left on device")
        self._is_full = True
        return self._file.write(line[:10])

    def close(self):
        self._file.close()


def test_after_a_full_disk_the_next_line_is_whole(tmp_path):
    with DeadLetterFile(tmp_path / "failed.jsonl") as letters:
        letters(ProductFailure("1", "no", "server", 422, TEA))
        letters._file = Full(letters._file)
        with pytest.raises(OSError, match="No space"):
            letters(ProductFailure("2", "no", "server", 422, TEA))
        letters(ProductFailure("3", "no", "server", 422, TEA))
    first, _, third = letters.path.read_text().splitlines()
    assert [json.loads(line)["failure"]["externalId"] for line in (first, third)] == ["1", "3"]
    assert letters.count == 2


def test_unsent_products_are_no_dead_letters(tmp_path):
    with DeadLetterFile(tmp_path / "failed.jsonl") as letters:
        letters(ProductFailure("1", "the run ended", "transport", None, TEA, unsent=True))
    assert letters.count == 0
    assert not letters.path.exists()


class Unclosable:
    def __init__(self, file):
        self._file = file

    def write(self, line):
        return self._file.write(line[: max(1, len(line) // 2)])  # as an unbuffered file may

    def close(self):
        self._file.close()
        raise OSError(28, "No space left on device")


def test_closing_hides_no_error(tmp_path):
    letters = DeadLetterFile(tmp_path / "failed.jsonl")

    def fill():
        letters(ProductFailure("1", "no", "server", 422, TEA))
        letters._file = Unclosable(letters._file)
        letters(ProductFailure("2", "no", "server", 422, TEA))

    with pytest.raises(RuntimeError, match="the run") as caught, letters:
        fill()
        raise RuntimeError("the run")
    assert "could not be closed" in caught.value.__notes__[0]
    assert [json.loads(line)["failure"]["externalId"] for line in letters.path.read_text().splitlines()] == ["1", "2"]
    with pytest.raises(OSError, match="No space"), letters:
        fill()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "it is a folder"),
        ("none/failed.jsonl", "there is no such folder"),
        ("leads/nowhere", "there is no such folder"),
        ("a" * 300, "name too long"),
        ("a\0b", "null (byte|character)"),
    ],
)
def test_a_file_that_cannot_be_is_refused_before_a_run_begins(tmp_path, name, says):
    if name == "leads/nowhere":
        name = "link"
        (tmp_path / name).symlink_to(tmp_path / "none" / "failed.jsonl")
    with pytest.raises(UsageError, match=f"(?i)cannot be a file: .*{says}"):
        DeadLetterFile(tmp_path / name)


def test_a_file_that_may_not_be_written_is_refused_before_a_run_begins(tmp_path, monkeypatch):
    asked = []

    def access(path, mode, **_):
        asked.append((path, mode))
        return False

    monkeypatch.setattr(os, "access", access)  # to root everything is allowed
    with pytest.raises(UsageError, match="nothing may be written to its folder"):
        DeadLetterFile(tmp_path / "failed.jsonl")
    assert asked == [(tmp_path.resolve(), os.W_OK | os.X_OK)]


def test_what_is_no_json_is_shown(tmp_path):
    with DeadLetterFile(tmp_path / "failed.jsonl") as letters:
        letters(ProductFailure(None, "odd \ud800", "local", None, {"id": "\ud800"}))
        letters(ProductFailure(None, "odd", "local", None, object()))
    lines = [json.loads(line) for line in letters.path.read_text(encoding="utf-8").splitlines()]
    assert [line["product"] for line in lines] == [None, None]
    assert os.linesep not in lines[0]["shown"]
