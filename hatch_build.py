"""Put a bill of materials into the wheel: ``*.dist-info/sboms/neuroon-async.cdx.json``, as PEP 770 has it.

It is CycloneDX 1.7 in JSON. The wheel bundles nothing of others, so each dependency is *external*: named with the
versions that are allowed, not with one that happened to be installed. Nothing in it depends on when or where the wheel
is built: its time is ``SOURCE_DATE_EPOCH``, as that of the files beside it; its serial number comes from its content.
"""

import json
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.utils import get_reproducible_timestamp
from hatchling.metadata.core import ProjectMetadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Extras for those who work on the package: their tools are no part of what a user installs.
_TOOLS = frozenset({"dev", "bench"})


def external(requirement: Requirement, scope: str) -> dict[str, Any]:
    """A component that an installer fetches: which versions may be used, and when."""
    name = canonicalize_name(requirement.name)
    component = {"type": "library", "bom-ref": f"pkg:pypi/{name}", "name": name, "purl": f"pkg:pypi/{name}"}
    versions = "|".join(sorted(str(clause) for clause in requirement.specifier)) or "*"
    return component | {"isExternal": True, "versionRange": f"vers:pypi/{versions}", "scope": scope}


def components(required: list[str], extras: dict[str, list[str]]) -> list[dict[str, Any]]:
    """What the core requires, then what its extras add, each once and by name."""
    found: dict[str, dict[str, Any]] = {}
    for text in required:
        component = external(Requirement(text), "required")
        found[component["name"]] = component
    for extra in sorted(extras.keys() - _TOOLS):
        for text in extras[extra]:
            component = external(Requirement(text), "optional")
            kept = found.setdefault(component["name"], component)
            if kept["scope"] == "optional":
                kept.setdefault("properties", []).append({"name": "python:extra", "value": extra})
    return [found[name] for name in sorted(found)]


def bill_of_materials(metadata: ProjectMetadata[Any]) -> dict[str, Any]:
    """The document, without anything that changes from build to build."""
    core = metadata.core
    reference = f"pkg:pypi/{core.name}@{metadata.version}"
    parts = components(core.dependencies, core.optional_dependencies)
    subject = {
        "type": "library",
        "bom-ref": reference,
        "name": core.name,
        "version": metadata.version,
        "description": core.description,
        "licenses": [{"license": {"id": core.license_expression}}],
        "purl": reference,
    }
    time = datetime.fromtimestamp(get_reproducible_timestamp(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "version": 1,
        "metadata": {"timestamp": time, "lifecycles": [{"phase": "build"}], "component": subject},
        "components": parts,
        "dependencies": [{"ref": reference, "dependsOn": [part["bom-ref"] for part in parts]}],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document, sort_keys=True))
    return {**document, "serialNumber": f"urn:uuid:{serial}"}


class BillOfMaterials(BuildHookInterface[Any]):
    """Called by hatchling around the making of each wheel."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._folder = tempfile.TemporaryDirectory(prefix="bill-of-materials-")

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":  # such a wheel stays on the machine that makes it
            return
        path = Path(self._folder.name) / f"{self.metadata.core.name}.cdx.json"
        text = json.dumps(bill_of_materials(self.metadata), indent=2, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8", newline="\n")
        build_data["sbom_files"].append(str(path))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - as hatchling calls it
        self._folder.cleanup()
