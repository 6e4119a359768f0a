"""How keys in Redis are named, so that all keys of one shop lie on one node of a cluster, as scripts require.

Of a name in braces, only what stands between them decides about the node.
"""

from __future__ import annotations

from ...api.arguments import check_text
from ...errors import UsageError

__all__ = ["key_base"]


def key_base(prefix: str, name: str) -> str:
    """What the keys of one shop begin with. Raises `UsageError`."""
    check_text("prefix", prefix)
    if "{}" in prefix:
        raise UsageError("must not hold {}: the keys of a shop would lie on several nodes of a cluster", where="prefix")
    quoted = name.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
    return f"{prefix}:{{{quoted or '%'}}}"  # empty braces would not count
