"""``python -m mutation ROOM …``: how many of a room's mutants the tests notice, and which they do not.

What was found is kept in ``build/mutation``, so that a run goes on where the last one stopped.
"""

from __future__ import annotations

import argparse
import os
import sys

from mutation.rooms import ROOMS
from mutation.runner import run_room

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("room", nargs="+", choices=sorted(ROOMS))
    parser.add_argument("--file", help="only this file of the room")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this long")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds of tests for each mutant")
    parser.add_argument("--sample", type=int, default=1, help="only each so many-th mutant")
    parser.add_argument("--start", type=int, help="from this mutant on")
    parser.add_argument("--stop", type=int, help="up to this one")
    parser.add_argument("--new", action="store_true", help="only what was never tried")
    parser.add_argument("--survivors", action="store_true", help="try the survivors again, too")
    parser.add_argument("--types", action="store_true", help="give the survivors to the type checker instead")
    parser.add_argument("--report", action="store_true", help="only what is known")
    options = parser.parse_args()
    os.environ["CI"] = "true"  # Hypothesis then tries the same examples each time
    os.environ["PYTHONHASHSEED"] = "0"
    sys.exit(max([run_room(name, options) for name in options.room]))
