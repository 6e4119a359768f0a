"""Findings of a check in the forms that pipelines read: JUnit XML, and workflow commands of GitHub Actions. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..catalogs import CheckReport, Finding

__all__ = ["as_github", "as_junit"]

_LINE = re.compile(r":([0-9]+)$")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MOST_ANNOTATIONS = 50


def as_junit(file: str, report: CheckReport) -> str:
    """One suite for the file: a case for every error, and one for all products that would be sent."""
    errors = [finding for finding in report.findings if finding.severity == "error"]
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    faults = 0 if report.fault is None else 1
    counts = f'tests="{len(errors) + 1 + faults}" failures="{len(errors)}" errors="{faults}"'
    lines.append(f"<testsuites><testsuite name={_attribute(file)} {counts}>")
    lines.append(f'<testcase classname={_attribute(file)} name="{report.products} products would be sent"/>')
    for finding in errors:
        name = " ".join(part for part in (finding.where, finding.external_id) if part) or "catalog"
        lines.append(f"<testcase classname={_attribute(file)} name={_attribute(name)}>")
        lines.append(f"<failure message={_attribute(finding.message)}/></testcase>")
    if report.fault is not None:
        lines.append(f'<testcase classname={_attribute(file)} name="reading">')
        lines.append(f"<error message={_attribute(str(report.fault))}/></testcase>")
    warnings = "\n".join(finding.message for finding in report.findings if finding.severity == "warning")
    lines.append(f"<system-out>{escape(_NOT_IN_XML.sub('?', warnings))}</system-out></testsuite></testsuites>")
    return "\n".join(lines)


def _attribute(text: str) -> str:
    return quoteattr(_NOT_IN_XML.sub("?", text))


def as_github(file: str, report: CheckReport) -> Iterator[str]:
    """``::error file=…,line=…::message`` for each finding; the platform shows no more than 50."""
    for finding in report.findings[:_MOST_ANNOTATIONS]:
        yield f"::{finding.severity} {_place(file, finding)}::{_escaped(finding.message)}"
    if report.fault is not None:
        yield f"::error file={_property(file)}::{_escaped(str(report.fault))}"
    counts = f"{report.products} products would be sent, {report.errors} errors, {report.warnings} warnings"
    yield f"::notice file={_property(file)}::{counts}"


def _place(file: str, finding: Finding) -> str:
    line = _LINE.search(finding.where)
    parts = [f"file={_property(file)}"]
    if line is not None:
        parts.append(f"line={line[1]}")
    if finding.external_id is not None:
        parts.append(f"title={_property(finding.external_id)}")
    return ",".join(parts)


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
