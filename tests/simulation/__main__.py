"""``python -m simulation``: see `simulation.command`.

Sets of strings iterate by ``PYTHONHASHSEED``. This fixes it: otherwise a token would mean another run in each process.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "simulation", *sys.argv[1:]])
    from simulation.command import main

    sys.exit(main())
