"""Advice whose arguments can be renamed: Python's names here, options where a command line gives it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import EllipsisType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NOT_THE_API", "Advice", "as_argument"]


def as_argument(name: str, value: object) -> str:
    """An argument as Python writes it. ``...`` as its value stands for none."""
    return name if value is ... else f"{name}={value!r}"


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do about an error. The arguments that it names are kept apart from its words.

    ``text`` has each argument's name in braces; ``arguments`` maps the name to the advised value, or to ``...`` where
    only the argument itself is meant. `str` writes them as Python does.

    >>> advice = Advice("give {format} to map every field yourself", {"format": "csv"})
    >>> str(advice)
    "give format='csv' to map every field yourself"
    >>> advice.naming(lambda name, value: f"--{name} {value}")
    'give --format csv to map every field yourself'
    """

    text: str
    arguments: Mapping[str, object | EllipsisType] = field(default_factory=dict[str, "object | EllipsisType"])

    def naming(self, name_argument: Callable[[str, Any], str]) -> str:
        """The advice with every argument written as ``name_argument(name, value)`` writes it."""
        if not self.arguments:
            return self.text
        return self.text.format_map({name: name_argument(name, value) for name, value in self.arguments.items()})

    def __str__(self) -> str:
        return self.naming(as_argument)


NOT_THE_API = Advice(
    "this is no answer that the API documents: {base_url} may be wrong, or a proxy or firewall answered",
    {"base_url": ...},
)
"""For an error that something before the API answered with."""
