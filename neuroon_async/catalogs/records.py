"""What passes between the stations of a reading: a `Record` as the file holds it, a `Draft` of a product made of it.

A reader yields records, a format turns them into drafts, and the finishing station turns every draft into a product or
a failure. Nothing here knows a file format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..api.models import REQUIRED_FIELDS, WIRE_NAMES
from ..api.shapes import is_list, is_object
from .column_words import is_size
from .mapping import ATTRIBUTE_PREFIX, currency_beside
from .options import ReadingOptions
from .values.currencies import Unit, unit_named
from .values.damage import NOT_COMPUTED, is_code_attribute, is_error_code, is_like_a_date, is_shortened, unguarded
from .values.number_formats import ShownNumber
from .values.numbers import Sign
from .values.parsing import (
    CONVERTERS,
    AmbiguousNumber,
    BadValue,
    LikeADate,
    Money,
    NestedValue,
    Notation,
    UnknownWord,
    to_attribute,
)
from .values.words import means_no_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from .values.prices import Prices

__all__ = ["Ambiguous", "Draft", "Record", "cell", "cell_text"]


def cell(row: Mapping[str, Any], column: str) -> str:
    """The text in a column of a row; empty where there is none."""
    text = cell_text(row.get(column) or "")
    return text if isinstance(text, ShownNumber) else unguarded(text)


def cell_text(value: object) -> str:
    """The text of a cell without the spaces around it. A number whose cell shows something else stays one."""
    return value if isinstance(value, ShownNumber) else str(value).strip()


@dataclass(slots=True)
class Record:
    """One row or object as the file holds it, and ``where`` it stands (``file.csv:17``).

    ``problem`` says why nothing more can be made of it; ``row`` then holds what there is. Where ``row`` goes by other
    names than the file's, ``as_read`` is the row under its own.
    """

    where: str
    row: Mapping[str, Any]
    problem: str | None = None
    as_read: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A number that may be two, and the column that it stands in."""

    value: Any
    column: str
    problem: AmbiguousNumber


@dataclass(slots=True)
class Draft:
    """Product fields gathered from a record, and what was wrong with the others.

    ``units`` tells what the prices are in, where that is written beside them. ``signs`` are the decimal signs that
    clear numbers show, by column; ``ambiguous`` are the numbers that wait for them. ``left_out`` are the values that a
    product does without: ``(field, value)``. ``sale_starts``, ``sale_ends`` and ``sale_period`` (``start/end``) are
    dates as the file writes them. ``canonical`` is a product as it was sent before: its texts are taken as they are.
    ``rejected`` are the values that could not be read, by field. ``usable`` is false where nothing can be made of the
    record. ``options`` are those that the record is read by, where it has its own, and ``reading`` is how a dead letter
    writes them.
    """

    where: str
    row: Mapping[str, Any]
    notation: Notation
    fields: dict[str, Any] = field(default_factory=dict[str, Any])
    problems: list[tuple[str, str | BadValue]] = field(default_factory=list[tuple[str, str | BadValue]])
    units: dict[str, Unit | None] = field(default_factory=dict[str, Unit | None])
    signs: list[tuple[str, Sign]] = field(default_factory=list[tuple[str, Sign]])
    ambiguous: dict[str, Ambiguous] = field(default_factory=dict[str, Ambiguous])
    left_out: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    sale_starts: str = ""
    sale_ends: str = ""
    sale_period: str = ""
    canonical: bool = False
    rejected: dict[str, Any] = field(default_factory=dict[str, Any])
    usable: bool = True
    options: ReadingOptions | None = None
    reading: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, record: Record, notation: Notation) -> Draft:
        return cls(record.where, record.row if record.as_read is None else record.as_read, notation)

    @classmethod
    def unusable(cls, record: Record, problem: str) -> Draft:
        """A draft of which no product can be made, with the reason."""
        draft = cls.of(record, Notation())
        draft.problems.append(("", problem))
        draft.usable = False
        return draft

    def put(
        self,
        target: str,
        value: Any,
        convert: Callable[[Any, Notation], Any] | None = None,
        *,
        column: str | None = None,
        is_template: bool = False,
    ) -> None:
        """Convert a value and keep it, or keep the complaint. Nothing is put where there is no value.

        ``target`` is a product field or ``attributes.NAME``, ``value`` what the file holds. ``column`` is where it
        stands, which tells whose other numbers settle an ambiguous one; by default all values of a target are taken
        for one column. What a template has made of it may look like a date.
        """
        name, _, attribute = target.partition(".") if "." in target else (target, "", "")
        if value is None or value == "" or (isinstance(value, str) and value.isspace()):
            self._put_nothing(value, name, attribute)
            return
        if isinstance(value, str) and value[0] in "='" and self.notation.lists:
            value = _unwrapped(value.strip(), is_code=name in _CODES or is_code_attribute(attribute))
        elif is_list(value) and value and not (value := self._without_errors(name, value)):
            return
        if name in _MAY_SAY_NONE and _says_none(name, value):
            return
        if (
            isinstance(value, str)
            and (value[0] == "#" or name in _NO_NUMBERS)
            and self._is_damaged(target, value.strip(), None if is_template else column or target)
        ):
            return
        try:
            if attribute:
                attributes: dict[str, str] = self.fields.get("attributes") or {}
                self.fields["attributes"] = attributes | {attribute: to_attribute(value)}
            else:
                self._keep(name, (convert or CONVERTERS[name])(value, self.notation), column or target)
        except AmbiguousNumber as error:
            self.fields.pop(name, None)
            self.ambiguous[name] = Ambiguous(value, column or target, error)
        except UnknownWord:
            self.left_out.append((name, str(value).strip()))
        except BadValue as error:
            self.rejected[target] = value
            told = NestedValue(value, column or target) if _is_nested(value) else error
            self.problems.append((WIRE_NAMES[name] + (f".{attribute}" if attribute else ""), told))

    def _without_errors(self, name: str, values: list[Any]) -> list[Any]:
        """A list that a format made of cells, without the texts that a spreadsheet shows where a formula failed."""
        if self.notation.nulls:  # a list of JSON's own
            return values
        errors = [value for value in values if isinstance(value, str) and is_error_code(value.strip())]
        self.left_out += [(name, error.strip()) for error in errors]
        return [value for value in values if value not in errors] if errors else values

    def _put_nothing(self, value: object, name: str, attribute: str) -> None:
        if value is None and self.notation.nulls and not attribute:
            self.fields[name] = None

    def _keep(self, name: str, converted: Any, column: str) -> None:
        if isinstance(converted, Money):
            self.units[name] = converted.unit
            if converted.sign is not None:
                self.signs.append((column, converted.sign))
            self.fields[name] = converted.amount
        elif converted is not None:
            self.fields[name] = converted

    def _is_damaged(self, target: str, text: str, column: str | None) -> bool:
        """Complain of a required value that a spreadsheet has damaged; do without an optional one.

        ``column`` is where it stands, if it stands in one.
        """
        name = target.partition(".")[0]
        if is_error_code(text):
            if name in REQUIRED_FIELDS or name in _IDS:
                problem = _NOT_COMPUTED if text == NOT_COMPUTED else f"holds {text}, {_FAILED}"
                self.rejected[target] = text
                self.problems.append((WIRE_NAMES[name], problem))
            else:
                self.left_out.append((target, text))
            return True
        if name in _NO_NUMBERS and is_shortened(text):
            if name in _IDS:
                self.rejected[target] = text
                self.problems.append((WIRE_NAMES[name], f"{text!r} {_SHORTENED}"))
            else:
                self.left_out.append((target, text))
            return True
        is_code = name in _CODES or (name == "attributes" and is_size(target.partition(".")[2]))
        if column is not None and is_code and is_like_a_date(text):
            if name in _IDS:
                self.reject(name, text, LikeADate(text, column))
            else:
                self.left_out.append((target, text))
            return True
        return False

    def take_currency_beside(self, target: str, column: str | None) -> None:
        """Of a price within an object, that object's currency."""
        if target in {"price", "sale_price"} and column and (code := currency_beside(self.row, column)):
            stated = unit_named(code) or Unit(code, frozenset({code.upper()}))
            self.units[target] = self.units.get(target) or stated

    def read_ambiguous(self, target: str, sign: Sign) -> None:
        """Read a number that may be two by the sign that separates decimals."""
        waiting, unit = self.ambiguous.pop(target), self.units.get(target)
        self.put(
            target, waiting.value, lambda value, _: CONVERTERS[target](value, replace(self.notation, decimal=sign))
        )
        if target in self.units:
            self.units[target] = self.units[target] or unit  # one that stands apart from the amount

    def refuse_ambiguous(self, target: str) -> None:
        """Complain of a number that may be two."""
        refused = self.ambiguous.pop(target)
        self.rejected[target] = refused.value
        self.problems.append((WIRE_NAMES[target], refused.problem))

    def forget(self, target: str) -> None:
        """Drop all that was gathered for a field, complaints too."""
        self.fields.pop(target, None)
        self.units.pop(target, None)
        self.ambiguous.pop(target, None)
        self.rejected.pop(target, None)
        self.left_out = [(name, text) for name, text in self.left_out if name != target]
        wire_name = WIRE_NAMES.get(target, target)
        self.problems = [(name, problem) for name, problem in self.problems if name != wire_name]

    def reject(self, target: str, value: Any, problem: str | BadValue) -> None:
        """Complain of a value, and keep it as it is for the dead letter."""
        self.rejected[target] = value
        self.problems.append((WIRE_NAMES.get(target, target), problem))

    def as_product(self) -> dict[str, Any]:
        """What was understood of the product, in the API's names; a value that could not be read stands as it is."""
        gathered = {**self.fields, **{name: text for name, text in self.rejected.items() if "." not in name}}
        return {WIRE_NAMES[name]: value for name, value in gathered.items()}

    def put_prices(self, prices: Prices) -> None:
        self.put("price", prices.price)
        self.put("sale_price", prices.sale_price)

    def put_stock(self, quantity: object) -> None:
        """The pieces in stock, and whether there are any."""
        self.put("stock_quantity", quantity)
        count = self.fields.get("stock_quantity")
        if isinstance(count, int):
            self.put("in_stock", count > 0)

    def put_sale_dates(self, starts: str = "", ends: str = "", period: str = "") -> None:
        """When the sale price holds; ``period`` is ``start/end``. Empty texts bound nothing."""
        self.sale_starts, self.sale_ends, self.sale_period = starts, ends, period

    def check_units(self, units: Mapping[str, Unit], whose: str) -> None:
        """Complain of a price that is in another currency than the other one, or than its record or catalog says."""
        told: list[tuple[str, Unit]] = []
        if code := self.fields.get("currency"):
            told.append((f"the {whose}'s currency is", unit_named(code) or Unit(code, frozenset({code.upper()}))))
        for name, unit in units.items():
            for what, other in told:
                if not unit.agrees_with(other):
                    self.problems.append((WIRE_NAMES[name], f"is in {unit.text}, and {what} {other.text}"))
                    break
            told.append(("the price in", unit))

    def money(self, name: str) -> Money | None:
        """A price that was put, with its unit."""
        amount = self.fields.get(name)
        return None if amount is None else Money(amount, self.units.get(name))

    def put_attributes(self, attributes: Mapping[str, Any]) -> None:
        for name, value in attributes.items():
            self.put(f"{ATTRIBUTE_PREFIX}{name}", value)


_FAILED = "which a spreadsheet shows where a formula failed; export the catalog again"
_NOT_COMPUTED = "holds a formula without its value; open the file in a spreadsheet program, and save it there"
_SHORTENED = (
    "is a number that a spreadsheet has shortened, so its digits are lost; export the catalog again and do not save it "
    "in a spreadsheet, or format the column as text before"
)
_IDS = frozenset({"external_id", "parent_external_id"})
_WRAPPING = len('=""')
_FLAGS = frozenset({"in_stock", "is_active"})
_MAY_SAY_NONE = _FLAGS | {
    "sale_price",
    "stock_quantity",
    "rating",
    "review_count",
    "parent_external_id",
    "currency",
    "url",
    "categories",
    "brands",
    "tags",
}
_CODES = _IDS | {"sku"}
_NO_NUMBERS = _IDS | {"sku", "attributes"}


def _says_none(name: str, value: object) -> bool:
    if is_list(value):
        return bool(value) and all(isinstance(item, str) and means_no_value(item) for item in value)
    return (value is False and name not in _FLAGS) or means_no_value(str(value))


def _is_nested(value: object) -> bool:
    return is_object(value) or (is_list(value) and bool(value) and is_object(value[0]))


def _unwrapped(text: str, *, is_code: bool) -> str:
    """A cell without what tells a spreadsheet that it is text: ``="00123"``, an apostrophe before a code or a sign."""
    if text.startswith('="') and text.endswith('"') and len(text) > _WRAPPING:
        return text[2:-1]
    return text[1:] if is_code and text[0] == "'" and text[1:2].isdigit() else unguarded(text)
