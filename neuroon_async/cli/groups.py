"""Options that come in groups: a command takes one dataclass, and has an option for each of its fields.

typer reads a command's options from the signature of a function. It knows no groups, so `with_groups` shows it a
signature in which the fields stand in the place of the dataclass.
"""

from __future__ import annotations

import inspect
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["with_groups"]


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """For a command with keyword arguments only: makes options of each argument that is annotated with a dataclass.

    The annotation and the default of each field are those of the option. The command gets the dataclass, filled.
    """
    groups: dict[str, type] = {}
    parameters: list[Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if is_dataclass(parameter.annotation):
            groups[parameter.name] = cast("type", parameter.annotation)
            parameters += _options(parameter.annotation)
        else:
            parameters.append(parameter)

    @wraps(command)
    def with_fields(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{option.name: values.pop(option.name) for option in _options(group)})
        command(**values)

    with_fields.__dict__["__signature__"] = inspect.Signature(parameters)
    with_fields.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_fields


def _options(group: Any) -> Iterator[Parameter]:
    for field in fields(group):
        yield Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
