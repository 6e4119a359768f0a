"""All targets by name."""

from __future__ import annotations

from fuzz.targets import answers, catalogs, files, shop_side, tables, toml
from fuzz.targets.target import Target

__all__ = ["TARGETS", "Target"]

TARGETS: dict[str, Target] = {
    target.name: target for module in (answers, catalogs, files, shop_side, tables, toml) for target in module.TARGETS
}
