"""What people hand over instead of products, and how its fields are taken out. Pure.

One way for all of them: the fields are taken out by kind, as a mapping with the names that the item itself uses; plain
values of other libraries' types become what they stand for; then they are converted and checked as any mapping is. No
library is imported for this: kinds are recognised by what their classes are made of.

Two kinds of items are told apart. Those that *declare* their fields (dataclasses, attrs and pydantic classes, msgspec
structs, named tuples, rows of a database) are taken whole, so that a misspelt field is refused as it is in a mapping.
Objects of an ORM carry much besides a product's fields: `ignored_fields` names what is left out.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any
from weakref import WeakKeyDictionary

from msgspec import UNSET

from ..errors import InvalidProduct
from .frames import of_pandas, pandas_fields, refused_as_item
from .models import PRODUCT_FIELDS, WIRE_NAMES
from .shapes import class_of

__all__ = ["fields_of", "ignored_fields"]

_ACCEPTED = (
    "a Product or a mapping, or an object with a product's fields (a dataclass, an attrs or pydantic class, a named "
    "tuple, a database row, an ORM object)"
)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How the fields of one class of items are taken out."""

    take: Callable[[Any], dict[Any, Any]]
    of_orm: bool = False
    ignored: tuple[str, ...] = ()
    """What is left out."""


def fields_of(item: object) -> dict[Any, Any]:
    """The fields that an item carries, by its own names. Raises `InvalidProduct` where it is of no known kind."""
    try:
        kind = None if isinstance(item, type) else _kind_of(class_of(item))
        if kind is None:
            raise InvalidProduct(None, [("product", f"must be {_ACCEPTED}, {_not_taken(item)}")])
        return kind.take(item)
    except InvalidProduct:
        raise
    except Exception as error:
        raise InvalidProduct(None, [("product", f"cannot be read: {error!r}")]) from error


def _not_taken(item: object) -> str:
    if inspect.iscoroutine(item):
        item.close()  # it will not be awaited, and Python would say so once more
        return "got a coroutine, which nobody has awaited"
    if isinstance(item, type):
        return f"got the class {item.__name__} itself"
    return f"got {type(item).__name__}, which to_product= can convert"


def ignored_fields(item: object) -> tuple[str, ...]:
    """What an ORM object carries besides a product's fields. Empty for items of any other kind.

    The same for all objects of a class, so it is worth one line a run.
    """
    kind = _kind_of(class_of(item))
    return () if kind is None else kind.ignored


_kinds: WeakKeyDictionary[type[Any], _Kind | None] = WeakKeyDictionary()


def _kind_of(cls: type[Any]) -> _Kind | None:
    try:
        return _kinds[cls]
    except KeyError:
        found = (recognise(cls) for recognise in _RECOGNISERS)
        kind = _kinds[cls] = next((kind for kind in found if kind is not None), None)
        return kind


def _frame(cls: type[Any]) -> _Kind | None:
    problem = refused_as_item(cls)

    def refuse(_: object) -> dict[Any, Any]:
        raise InvalidProduct(None, [("product", f"{problem}")])

    return None if problem is None else _Kind(refuse)


# Mappings, and what is used like one


def _mapping(cls: type[Any]) -> _Kind | None:
    return _Kind(lambda item: dict(item.items())) if issubclass(cls, Mapping) else None


def _keyed_row(cls: type[Any]) -> _Kind | None:
    """`sqlite3.Row`, ``asyncpg.Record``, a pandas ``Series``: keys and values as in a mapping, without being one."""
    if not callable(getattr(cls, "keys", None)) or not hasattr(cls, "__getitem__"):
        return None
    if of_pandas(cls):
        return _Kind(lambda item: pandas_fields((key, item[key]) for key in item.keys()))  # noqa: SIM118 - as below
    return _Kind(lambda item: {key: item[key] for key in item.keys()})  # noqa: SIM118 - a Row iterates its values


# Classes that declare their fields


def _dataclass(cls: type[Any]) -> _Kind | None:
    if not dataclasses.is_dataclass(cls):
        return None
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    return _Kind(partial(_declared, defaults, _derived(cls, defaults)))


def _attrs(cls: type[Any]) -> _Kind | None:
    attributes = getattr(cls, "__attrs_attrs__", None)
    if attributes is None:
        return None
    defaults = {attribute.name: attribute.default for attribute in attributes}
    return _Kind(partial(_declared, defaults, _derived(cls, defaults)))


def _struct(cls: type[Any]) -> _Kind | None:
    names = getattr(cls, "__struct_fields__", None)
    if names is None:
        return None
    defaults = dict.fromkeys(names, ...)
    optional = cls.__struct_defaults__
    defaults |= dict(zip(names[len(names) - len(optional) :], optional, strict=True))
    return _Kind(partial(_declared, defaults, _derived(cls, defaults)))


def _pydantic(cls: type[Any]) -> _Kind | None:
    """Pydantic's models, of version 2 or 1. A field goes by its alias where only that is a product's."""
    if hasattr(cls, "model_fields") and hasattr(cls, "model_validate"):
        given, fields = "model_fields_set", cls.model_fields
        decorators = getattr(cls, "__pydantic_decorators__", None)
        computed = [*getattr(decorators, "computed_fields", {})]
    elif hasattr(cls, "__fields__") and hasattr(cls, "parse_obj"):
        given, fields, computed = "__fields_set__", cls.__fields__, []
    else:
        return None
    names = {name: _name_or_alias(name, field) for name, field in fields.items() if not getattr(field, "exclude", None)}
    computed += _derived(cls, [*names.values(), *computed])
    return _Kind(partial(_of_model, given, names, computed))


def _of_model(given: str, names: Mapping[str, str], computed: Iterable[str], item: Any) -> dict[str, Any]:
    was_set: set[str] = getattr(item, given)
    values = ((name, getattr(item, name)) for name in names)
    # None as a default was not set by anybody.
    fields = {names[name]: value for name, value in values if value is not None or name in was_set}
    fields.update((name, getattr(item, name)) for name in computed)
    fields.update(getattr(item, "__pydantic_extra__", None) or {})
    return fields


def _name_or_alias(name: str, field: Any) -> str:
    aliases = (getattr(field, "serialization_alias", None), getattr(field, "alias", None))
    if name in PRODUCT_FIELDS:
        return name
    return next((alias for alias in aliases if isinstance(alias, str) and alias in PRODUCT_FIELDS), name)


def _named_tuple(cls: type[Any]) -> _Kind | None:
    """Named tuples, among them pandas' ``itertuples``, and SQLAlchemy's rows, whose names differ from row to row."""
    take = _of_pandas_tuple if of_pandas(cls) else _of_tuple
    return _Kind(take) if hasattr(cls, "_fields") and issubclass(cls, Sequence) else None


def _of_pandas_tuple(item: Any) -> dict[Any, Any]:
    return pandas_fields(zip(item._fields, item, strict=True))


def _of_tuple(item: Any) -> dict[Any, Any]:
    names: tuple[str, ...] = tuple(item._fields)
    if len(names) == 1 and names[0] not in PRODUCT_FIELDS:  # select(Product) gives rows of one object each
        kind = _kind_of(class_of(item[0]))
        if kind is not None and kind.of_orm:
            return kind.take(item[0])
    return dict(zip(names, item, strict=True))


def _declared(defaults: Mapping[str, object], derived: Iterable[str], item: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, default in defaults.items():
        value = getattr(item, name)
        if value is not UNSET and (value is not None or default is not None):  # None by default: not set by anybody
            fields[name] = value
    fields.update((name, getattr(item, name)) for name in derived)
    return fields


def _derived(cls: type[Any], declared: Iterable[str]) -> list[str]:
    """The product's fields that the class computes, as properties, and does not declare."""
    taken = {PRODUCT_FIELDS.get(name) for name in declared}
    computed = (name for name in PRODUCT_FIELDS if _is_property(cls, name))
    return [name for name in dict.fromkeys(computed) if PRODUCT_FIELDS[name] not in taken]


def _is_property(cls: type[Any], name: str) -> bool:
    return isinstance(getattr(cls, name, None), (property, cached_property))


# Objects of an ORM


def _sqlalchemy(cls: type[Any]) -> _Kind | None:
    mapper = getattr(cls, "__mapper__", None)
    if mapper is None:
        return None
    return _orm(cls, [str(key) for key in mapper.attrs.keys()])  # noqa: SIM118 - a namespace, not a mapping


def _django(cls: type[Any]) -> _Kind | None:
    """Django's models; also those of ORMs that keep their fields in ``_meta`` as Django does."""
    meta = getattr(cls, "_meta", None)
    fields = getattr(meta, "concrete_fields", None) or getattr(meta, "fields", None)
    if not fields or not hasattr(cls, "save"):
        return None
    return _orm(cls, [str(getattr(field, "attname", None) or getattr(field, "name", field)) for field in fields])


def _orm(cls: type[Any], attributes: list[str]) -> _Kind:
    known = [name for name in PRODUCT_FIELDS if name in attributes or hasattr(cls, name)]
    chosen: dict[str, str] = {}
    for name in known:  # a field under both names is the same one: ORMs have synonyms
        if name in attributes:
            chosen[PRODUCT_FIELDS[name]] = name
        else:
            chosen.setdefault(PRODUCT_FIELDS[name], name)
    ignored = tuple(name for name in attributes if name not in PRODUCT_FIELDS and not name.startswith("_"))
    return _Kind(partial(_of_object, tuple(chosen.values())), of_orm=True, ignored=ignored)


def _of_object(names: Iterable[str], item: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in names:
        try:
            fields[name] = getattr(item, name)
        except Exception as error:  # a field that is loaded only now: an async session, a detached object
            raise InvalidProduct(None, [(WIRE_NAMES[PRODUCT_FIELDS[name]], f"cannot be read: {error!r}")]) from error
    return fields


_RECOGNISERS = (
    _mapping,
    _frame,
    _sqlalchemy,
    _django,
    _pydantic,
    _struct,
    _attrs,
    _dataclass,
    _named_tuple,
    _keyed_row,
)
