"""``python -m fuzz``: see `fuzz.command`."""

from __future__ import annotations

import sys

from fuzz.command import main

sys.exit(main())
