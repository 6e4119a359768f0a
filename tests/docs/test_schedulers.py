"""What the guides give to cron and to Docker Compose does there what they say."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from neuroon_async.testing import Emulator

GUIDES = Path(__file__).parents[2] / "docs" / "guides"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="needs flock")]


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_the_line_for_cron_syncs_with_nothing_but_what_it_names(tmp_path):
    page = (GUIDES / "cron.md").read_text(encoding="utf-8")
    [line] = re.findall(r"^15 3 \* \* \* shop (.*)$", page, re.MULTILINE)
    command = line.replace("/srv/shop", shlex.quote(str(tmp_path)))
    (tmp_path / "products.csv").write_text("id,name,price,url\nA-1,Tea,8.90,https://shop.example/a-1\n")
    script(tmp_path / ".venv" / "bin" / "neuroon", f'#!/bin/sh\nexec {sys.executable} -m neuroon_async "$@"\n')
    with Emulator.in_thread(algorithm="off") as emulator:
        settings = {"API_URL": emulator.url, "API_KEY": emulator.api_key, "SHOP_ID": emulator.shop_id}
        variables = [f"export NEUROON_{name}={value}\n" for name, value in settings.items()]
        (tmp_path / "neuroon.env").write_text("".join(variables))
        bare = {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            ["/bin/sh", "-c", command], env=bare, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert list(emulator.products) == ["A-1"]


def test_the_container_hands_sigterm_to_the_command(tmp_path):
    page = (GUIDES / "containers.md").read_text(encoding="utf-8")
    [command] = re.findall(r"^    command: (.*)$", page, re.MULTILINE)
    script(tmp_path / "pip", "#!/bin/sh\n")
    waiting = "import signal, sys; signal.signal(15, lambda *_: sys.exit(143)); print('.', flush=True); signal.pause()"
    script(tmp_path / "neuroon", f'#!/bin/sh\nexec {sys.executable} -c "{waiting}"\n')
    path = os.pathsep.join((str(tmp_path), os.environ["PATH"]))
    arguments = shlex.split(command)
    with subprocess.Popen(arguments, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE) as process:
        assert process.stdout.read(1) == b"."
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            process.kill()
    assert process.returncode == 143
