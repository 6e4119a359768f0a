"""Checking a catalog without sending anything: what would be sent, and what is wrong and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from ..api.arguments import check_callback, check_capable
from ..api.models import Product
from .readers.byte_source import CatalogError
from .relations import Relations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..report import ProductFailure
    from .catalog import Catalog

__all__ = ["CheckReport", "Finding", "check_catalog"]

MAX_KEPT_FINDINGS = 1_000
"""Errors that a report keeps, and as many warnings; ``on_finding`` sees all of them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or may be.

    ``where`` is the place in the file (``products.csv:17``), empty where it is about all of it; ``external_id`` the
    product, as far as known. An ``"error"`` is not sent; a ``"warning"`` is.
    """

    severity: Literal["error", "warning"]
    where: str
    external_id: str | None
    message: str


@dataclass(slots=True)
class CheckReport:
    """What a check found. ``fault`` is what nothing could be read beyond, ``None`` where the catalog was read whole."""

    products: int = 0
    errors: int = 0
    warnings: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])
    fault: CatalogError | None = None

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it if it is among the first."""
        if finding.severity == "error":
            self.errors += 1
            count = self.errors
        else:
            self.warnings += 1
            count = self.warnings
        if count <= MAX_KEPT_FINDINGS:
            self.findings.append(finding)

    @property
    def ok(self) -> bool:
        """Would every product be sent?"""
        return self.errors == 0 and self.fault is None


def check_catalog(
    catalog: Catalog,
    *,
    on_finding: Callable[[Finding], None] | None = None,
    on_product: Callable[[Product], None] | None = None,
) -> CheckReport:
    """Read a catalog to its end as a sync does, and send nothing.

    ``on_finding`` and ``on_product`` are called with each finding and each product that would be sent, in the order of
    the file; both are plain functions. Raises what the callbacks raise, and `ConfigurationError` as reading does.

    >>> report = check_catalog(read_catalog("products.csv"))   # doctest: +SKIP
    >>> report.ok, report.findings[:3]                         # doctest: +SKIP
    """
    check_capable("catalog", catalog, ("notes",), "a Catalog, such as read_catalog('products.csv')", none=False)
    check_callback("on_finding", on_finding)
    check_callback("on_product", on_product)
    report = CheckReport()

    def found(finding: Finding) -> None:
        report.add(finding)
        if on_finding is not None:
            on_finding(finding)

    with Relations() as relations:
        try:
            for item in catalog:
                if isinstance(item, Product):
                    report.products += 1
                    relations.see(item)
                    if on_product is not None:
                        on_product(item)
                else:
                    found(_of_failure(item))
        except CatalogError as error:
            report.fault = error
        for finding in _of_relations(relations):
            found(finding)
    for note in catalog.notes:
        found(Finding("warning", "", None, note))
    return report


def _of_relations(relations: Relations) -> Iterator[Finding]:
    for external_id, times in relations.duplicates():
        yield Finding("warning", "", external_id, f"comes {times} times; the last one counts")
    for external_id, parent in relations.missing_parents():
        message = f"its parent {parent!r} is not in this catalog; unless the shop has it, the server refuses this one"
        yield Finding("warning", "", external_id, message)


def _of_failure(failure: ProductFailure) -> Finding:
    where, _, message = failure.reason.partition(": ")
    return Finding("error", where, failure.external_id, message)
